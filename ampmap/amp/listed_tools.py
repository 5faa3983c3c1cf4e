"""Find the tools that an Anthropic request lists or forces, whose casing ``tool_names`` restores in the reply.

Pure: no I/O, no clock. Each tool has a name that clients take literally.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Final

from ..bodies.json_walk import WINDOW_BYTES, Walk

LISTED_BYTES: Final = 1024 * 1024
"""The most that a request's tool names may be, each with _NAME_BYTES for itself; of more than that none is known."""

_NAME_BYTES: Final = 64
_SEARCHED_BYTES: Final = 1024 * 1024
_LISTING: Final = ("tools", "tool_choice")


def scan_advertised(
    body: bytes | bytearray, *, window_bytes: int = WINDOW_BYTES
) -> Generator[None, None, dict[str, str]]:
    """Find the tools that an Anthropic request lists in ``tools[].name``, and forces by ``tool_choice.name``.

    Returns their casings by folded name, without those that have two; none at all if the names are more than
    LISTED_BYTES. Yields after every window or so, that others may have their turn; the body must not change meanwhile.
    What is not valid JSON lists nothing.
    """
    if not ((yield from holds(body, b'"tools"')) or (yield from holds(body, b'"tool_choice"'))):
        return {}
    listed, forced = list[str](), list[str]()
    walk = Walk(body, window_bytes)
    try:
        for part in walk.members("messages", "tools"):
            if part is None:
                yield
            elif isinstance(part.value, dict):
                value = part.value if part.value.keys().isdisjoint(_LISTING) else walk.exact(part)
                listed = _names(value["tools"]) if "tools" in value else listed
                forced = _names([value["tool_choice"]]) if "tool_choice" in value else forced
            elif part.key == "tools":
                listed = (yield from _listed(walk)) if walk.is_array(part) else []
            elif part.key == "tool_choice":
                forced = (yield from _name_in_large(walk)) if walk.is_object(part) else []
            elif part.key == "messages" and walk.is_array(part):
                yield from (None for part in walk.parts() if part is None)
    except (ValueError, RecursionError):
        return {}
    casings: dict[str, set[str]] = {}
    for name in [*listed, *forced]:
        casings.setdefault(name.casefold(), set()).add(name)
    return {folded: names.pop() for folded, names in casings.items() if len(names) == 1}


def holds(body: bytes | bytearray, words: bytes) -> Generator[None, None, bool]:
    """Whether ``words`` stand in a body; yields between two slices."""
    for low in range(0, len(body), _SEARCHED_BYTES):
        if low:
            yield
        if body.find(words, low, low + _SEARCHED_BYTES + len(words) - 1) >= 0:
            return True
    return False


def _listed(walk: Walk) -> Generator[None, None, list[str]]:
    """Find the names in the list of tools that begins here. Raises ValueError for more than LISTED_BYTES."""
    found: set[str] = set()
    size = 0
    for part in walk.parts():
        if part is None:
            yield
            continue
        if part.value is not None:
            names = _names(part.value) if walk.may_have(part, b'"name"') else []
            if not all(map(str.isascii, names)):
                names = _names(walk.exact(part))
        else:
            names = (yield from _name_in_large(walk)) if walk.is_object(part) else []
        new = set(names) - found
        size += sum(map(len, new)) + _NAME_BYTES * len(new)
        if size > LISTED_BYTES:
            raise ValueError(f"tool names of more than {LISTED_BYTES} bytes")
        found |= new
    return list(found)


def _names(tools: Any) -> list[str]:
    """Give the names of those in a list of tools that have one."""
    names = [tool.get("name") for tool in tools if isinstance(tool, dict)] if isinstance(tools, list) else []
    return [name for name in names if name and isinstance(name, str)]


def _name_in_large(walk: Walk) -> Generator[None, None, list[str]]:
    """Find the name of the tool that begins here, which is large; one that is large itself is none."""
    name: Any = None
    for part in walk.parts():
        if part is None:
            yield
        elif isinstance(part.value, dict):
            name = walk.exact(part)["name"] if "name" in part.value else name
        elif part.key == "name":
            name = None
    return _names([{"name": name}])
