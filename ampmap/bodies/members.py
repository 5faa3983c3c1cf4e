"""Change top-level members of a request's JSON body by splice: every other byte stays as it came.

Pure. A key may be spelled with escapes. Of several members with one key all are changed, as parsers differ in which
one they use (RFC 8259 §4).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Generator

from ..errors import BadRequest
from .edits import Cuts, Edit
from .json_scan import quoted
from .json_walk import WINDOW_BYTES, Part, Walk

CHANGES = 10_000
"""The most members of a body that are changed: a name of a rule's, given again and again."""

_KEY_CHARS = 1024  # a longer one is no name of a rule's
_ESCAPED_BYTES = 12  # the most that one character of a key takes: two halves of a surrogate pair


def scan_members(
    body: bytes | bytearray,
    change: Collection[tuple[str, str]],
    drop: Collection[str],
    *,
    window_bytes: int = WINDOW_BYTES,
) -> Generator[None, None, list[Edit]]:
    """Find the edits that give the members of ``change`` their values (JSON), and take those of ``drop`` out.

    A member that is not there is added at the end. With a member that is taken out goes one comma next to it. Yields
    after every window or so; the body must not change meanwhile. Raises BadRequest for a body that is no JSON object.
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
    """Find the edits all at once if there is anything to change: for a command line."""
    steps = scan_members(body, change, drop)
    while change or drop:
        try:
            next(steps)
        except StopIteration as done:
            return [*done.value]
    return []


def _name(body: bytes | bytearray, part: Part) -> str:
    """Return the key of a single member; empty for one that is too long."""
    if part.key.isascii():
        return part.key
    if len(part.key) > _KEY_CHARS:
        return ""
    written = body[part.start : part.start + _ESCAPED_BYTES * len(part.key) + 2].decode("utf-8", "replace")
    name: str = json.JSONDecoder().raw_decode(written)[0]
    return name
