"""Find the tools that a request lists or forces. Pure.

``amp.tool_names`` restores their casing in the reply, because clients take the names of tools literally.
"""

from __future__ import annotations

from typing import Final

from ...bodies.json_walk import WINDOW_BYTES, Walk
from ...bodies.search import holds
from ...bodies.steps import Steps
from ..offered_tools import scan_tools, tools_of

_LISTING: Final = {"tools": list, "tool_choice": dict}


def scan_advertised(body: bytes | bytearray, *, window_bytes: int = WINDOW_BYTES) -> Steps[dict[str, str]]:
    """Find the names in ``tools[].name`` and ``tool_choice.name``: folded name -> the name as the request spells it.

    A name that the request spells in two ways is left out. ``offered_tools`` limits how many and how long they are.
    Yields after every ``window_bytes`` or so; the body must not change between the steps. A body that is not valid JSON
    as far as it is read lists nothing.
    """
    if not (yield from holds(body, b'"tools"', b'"tool_choice"')):
        return {}
    found: dict[str, set[str]] = {}
    walk = Walk(body, window_bytes)
    try:
        for part in walk.members("tools"):
            if part is None:
                yield
            elif part.value is not None:
                listing = {} if _LISTING.keys().isdisjoint(part.value) else walk.exact(part)
                for key in _LISTING.keys() & listing.keys():
                    is_kind = isinstance(listing[key], _LISTING[key])
                    found[key] = tools_of(listing[key], named=True) if is_kind else set()
            elif part.key in _LISTING:
                is_kind = walk.is_array(part) if _LISTING[part.key] is list else walk.is_object(part)
                found[part.key] = (yield from scan_tools(walk, part, named=True)) if is_kind else set()
    except (ValueError, RecursionError):
        return {}
    casings: dict[str, set[str]] = {}
    for name in set().union(*found.values()) - {""}:
        casings.setdefault(name.casefold(), set()).add(name)
    return {folded: names.pop() for folded, names in casings.items() if len(names) == 1}
