"""A reply's bytes on their way to the client: the requested model's name given back, tools given their casing.

The first line steers: behind its first byte, which says nothing, are the lengths of the pieces in which the rest
arrives. Held to it:

* what comes out does not depend on the cuts, and neither filter holds more than 4 KiB; the renamer holds nothing
* the renamer changes strings only, each to the one name; in valid JSON exactly those at the documented members
* tool names change in their casing alone; in valid JSON exactly those of ``tool_use`` blocks that the request lists
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from ampmap.amp.tool_names import HELD_BYTES, ToolNames
from ampmap.bodies.filters import ByteFilter, Chain
from ampmap.bodies.rename import Renamer
from ampmap.formats.registry import REPLY_NAMES

from . import control, cut

NAME = 'asked "for"\\'
CASINGS = {"bash": "Bash", "read": "Read", "grep": "Grep", "été": "Été"}

_VALUE = json.dumps(NAME).encode()
_PATHS = (("model",), ("modelVersion",), ("message", "model"), ("response", "model"), ("response", "modelVersion"))
_ESCAPED_TYPE = re.compile(rb'\\u00|"[^"]*\\[^"]*tool')  # a type that is spelled with escapes is none
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)', re.DOTALL)
_STRING_IN_LINE = re.compile(rb'"(?:[^"\\\r\n]|\\[^\r\n])*+\\?(?:"|(?=[\r\n])|\Z)')
_NAME_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*+"', re.DOTALL)


def check(data: bytes) -> None:
    """Feed a reply to both filters, alone and chained, whole and in pieces."""
    steer, reply = control(data)
    in_lines = _has_lines(reply)
    pieces = cut(reply, steer[1:])

    def renamer() -> Renamer:
        return Renamer(NAME, REPLY_NAMES)

    def tools() -> ToolNames:
        return ToolNames(CASINGS)

    whole = renamer()
    renamed = whole.feed(reply)
    assert whole.finish() == b""
    _only_strings(reply, renamed, in_lines=in_lines)
    _in_pieces(renamer, pieces, renamed, held_bytes=0)
    cased = _all(tools(), [reply])
    _only_casing(reply, cased)
    _in_pieces(tools, pieces, cased, held_bytes=HELD_BYTES)
    both = _all(Chain(renamer(), tools()), [reply])
    _in_pieces(lambda: Chain(renamer(), tools()), pieces, both, held_bytes=HELD_BYTES)
    (_events if in_lines else _json)(reply, renamed, cased)


def _has_lines(reply: bytes) -> bool:
    """Whether a reply is an event stream: it does not begin as JSON does."""
    return re.match(rb'[{\["0-9tfn-]', reply.lstrip(b" \t\r\n\xef\xbb\xbf")) is None


def _all(byte_filter: ByteFilter, pieces: list[bytes]) -> bytes:
    return b"".join([byte_filter.feed(piece) for piece in pieces]) + byte_filter.finish()


def _in_pieces(make: Callable[[], ByteFilter], pieces: list[bytes], expected: bytes, *, held_bytes: int) -> None:
    """Hold what comes out of the pieces to what came out of the whole; a reply that breaks off loses nothing."""
    assert _all(make(), pieces) == expected
    begun = make()
    for piece in pieces[: len(pieces) // 2]:
        begun.feed(piece)
    assert len(begun.finish()) <= held_bytes


def _only_strings(reply: bytes, renamed: bytes, *, in_lines: bool) -> None:
    """Hold what was renamed to strings, each of them as long as a string is; all other bytes stand as they came."""
    if _VALUE in reply:
        return
    string = _STRING_IN_LINE if in_lines else _STRING
    first, *others = renamed.split(_VALUE)
    assert reply.startswith(first)
    at = len(first)
    for kept in others:
        old = string.match(reply, at)
        assert old is not None, reply[at : at + 40]
        at = old.end()
        assert reply[at:].startswith(kept), reply[at : at + 40]
        at += len(kept)
    assert at == len(reply)


def _only_casing(reply: bytes, cased: bytes) -> None:
    """Check that only strings were changed, and only their casing."""
    before = after = 0
    while before < len(reply) or after < len(cased):
        if reply[before : before + 1] == cased[after : after + 1] != b'"':
            before, after = before + 1, after + 1
            continue
        old, new = _NAME_TOKEN.match(reply, before), _NAME_TOKEN.match(cased, after)
        if old is None or new is None or old[0] == new[0]:
            assert reply[before : before + 1] == cased[after : after + 1]
            before, after = before + 1, after + 1
            continue
        if not _is_casing(old[0], new[0]):  # a quote that ends a string, or stands in one
            before, after = before + 1, after + 1
            continue
        before, after = old.end(), new.end()
    assert (before, after) == (len(reply), len(cased))


def _is_casing(old: bytes, new: bytes) -> bool:
    try:
        one, other = json.loads(old), json.loads(new)
    except ValueError:
        return False
    return bool(one != other and other == CASINGS.get(one.casefold()))


def _json(reply: bytes, renamed: bytes, cased: bytes) -> None:
    before = _parsed(reply)
    if before is not None:
        assert _parsed(renamed) == [_named(before[0])]
        if not _ESCAPED_TYPE.search(reply):
            assert _parsed(cased) == [_cased(before[0])]


def _events(reply: bytes, renamed: bytes, cased: bytes) -> None:
    """Hold each event whose data is JSON to what a parser makes of it, if all complete events are of that kind."""
    before = _datas(reply)
    parsed = [_parsed(data) for data in before]
    if not all(parsed):
        return
    texts = [found[0] for found in parsed if found]
    assert [_parsed(data) for data in _datas(renamed)] == [[_named(text)] for text in texts]
    if not _ESCAPED_TYPE.search(reply):
        assert [_parsed(data) for data in _datas(cased)] == [[_cased(text)] for text in texts]


def _datas(stream: bytes) -> list[bytes]:
    """Return the data of each complete event that has any (HTML §9.2.6)."""
    lines = re.split(rb"\r\n|\r|\n", stream.removeprefix(b"\xef\xbb\xbf"))
    found, data = [], list[bytes]()
    for line in lines[:-1]:
        if line.startswith(b"data:"):
            data.append(line[5:])
        elif not line:
            found += [b"\n".join(data)] if data else []
            data = []
    return [] if data else found


def _parsed(text: bytes) -> list[Any] | None:
    """Return what a text holds, in a list; None for what is not JSON, or could be read in two ways."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) < len(pairs):
            raise ValueError("a key comes twice")
        return dict(pairs)

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    try:
        return [json.loads(text.decode(), object_pairs_hook=once, parse_constant=refuse, parse_int=float)]
    except (ValueError, RecursionError):
        return None


def _named(root: Any) -> Any:
    """Return the parsed reply with the name at each documented member."""
    if isinstance(root, list):
        return [_named(item) if isinstance(item, dict) else item for item in root]
    for *parents, last in _PATHS if isinstance(root, dict) else ():
        root = _set(root, parents, last)
    return root


def _set(holder: Any, parents: list[str], last: str) -> Any:
    if not isinstance(holder, dict):
        return holder
    if parents:
        return {k: _set(v, parents[1:], last) if k == parents[0] else v for k, v in holder.items()}
    return {k: NAME if k == last and isinstance(v, str) else v for k, v in holder.items()}


def _cased(root: Any) -> Any:
    """Return the parsed reply with its blocks' names changed."""
    if not isinstance(root, dict):
        return root
    changed = dict(root)
    if isinstance(root.get("content"), list):
        changed["content"] = [_cased_block(block) for block in root["content"]]
    if "content_block" in root:
        changed["content_block"] = _cased_block(root["content_block"])
    return changed


def _cased_block(block: Any) -> Any:
    if not isinstance(block, dict) or block.get("type") != "tool_use" or not isinstance(block.get("name"), str):
        return block
    if len(json.dumps(block)) > HELD_BYTES // 6:
        return block if len(json.dumps(block)) > 6 * HELD_BYTES else _Either(block)
    return {**block, "name": CASINGS.get(block["name"].casefold(), block["name"])}


class _Either(dict[str, Any]):
    """A block so large that its name may have been held for too long."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, dict) and {**self, "name": ""} == {**other, "name": ""}

    __hash__ = None
