"""Find the edits that change, add or remove top-level members of a request's JSON body.

Pure. A key may be spelled with escapes. All members with the same key are changed, because parsers differ in which one
they use (RFC 8259 §4).
"""

from __future__ import annotations

import json
from collections.abc import Collection

from ..errors import BadRequest
from .edits import Cuts, Edit
from .json_scan import quoted
from .json_walk import WINDOW_BYTES, Part, Walk
from .steps import Steps, finished

CHANGES = 10_000
"""The most members of a body that are changed, because a body may repeat a key."""

_KEY_CHARS = 1024  # a longer key is in no rule
_ESCAPED_BYTES = 12  # the longest spelling of one character of a key: a surrogate pair


def scan_members(
    body: bytes | bytearray,
    change: Collection[tuple[str, str]],
    drop: Collection[str],
    *,
    window_bytes: int = WINDOW_BYTES,
) -> Steps[list[Edit]]:
    """Find the edits that give the members of ``change`` their values, which are JSON, and remove those of ``drop``.

    A member that is missing is added at the end. An edit that removes a member removes one comma next to it. Yields
    about once per window; the body must not change meanwhile. Raises BadRequest for a body that is no JSON object.
    """
    values = {name: value.encode() for name, value in change}
    names = values.keys() | set(drop)
    ascii_only = all(map(str.isascii, names))
    missing, edits, cuts, kept = dict(values), list[Edit](), Cuts(), False
    count = 0
    walk = Walk(body, window_bytes)
    try:
        for part in walk.members():
            if part is None:
                yield
                continue
            if part.value is not None and part.at == part.start:  # several members
                members = part.value if ascii_only else walk.exact(part)
                if not names.isdisjoint(members):
                    walk.singly(part)
                else:
                    cuts.keep(part)
                    kept = True
                continue
            name, end = _name(body, part), part.end
            if name in names:
                count += 1
                if count > CHANGES:
                    raise BadRequest(f"the body has more than {CHANGES} members that a rule's 'set' or 'drop' names")
            if part.value is None and name in names:
                for _ in walk.skip():
                    yield
                end = walk.at
            if name in drop:
                cuts.take(part, end)
                continue
            cuts.keep(part)
            kept = True
            if name in values:
                edits.append((part.at, end, values[name]))
                missing.pop(name, None)
    except (ValueError, RecursionError) as exc:
        raise BadRequest("the body is not valid JSON, so a rule's 'set' and 'drop' cannot change it") from exc
    if missing:
        added = b",".join([quoted(name) + b":" + value for name, value in missing.items()])
        end = body.rfind(b"}")
        edits.append((end, end, b"," + added if kept else added))
    return edits + [(start, end, b"") for start, end in cuts.finished()]


def find_members(body: bytes | bytearray, change: Collection[tuple[str, str]], drop: Collection[str]) -> list[Edit]:
    """Do as :func:`scan_members` without a pause, for commands; the body is not read if there is nothing to change."""
    return finished(scan_members(body, change, drop)) if change or drop else []


def _name(body: bytes | bytearray, part: Part) -> str:
    """Return a member's key with its escapes decoded; empty for one that is too long."""
    if part.key.isascii():
        return part.key
    if len(part.key) > _KEY_CHARS:
        return ""
    written = body[part.start : part.start + _ESCAPED_BYTES * len(part.key) + 2].decode("utf-8", "replace")
    name: str = json.JSONDecoder().raw_decode(written)[0]
    return name
