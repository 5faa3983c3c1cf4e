"""Named cases of replies: what is renamed and what is not, and how much is held meanwhile."""

from __future__ import annotations

import base64
import json
import tracemalloc
from typing import Any

import pytest
from renamed import (
    NAME,
    VALUE,
    fed,
)

from ampmap.bodies.json_scan import Paths
from ampmap.bodies.rename import Renamer
from ampmap.formats.registry import REPLY_NAMES


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (b'data: {"model":"never closed\ndata: {"model":"a"}\n', b'data: {"model":@\ndata: {"model":@}\n'),
        (b'data: "never closed\ndata: {"model":"a"}\n', b'data: "never closed\ndata: {"model":@}\n'),
        (b'data: {"a":"}\n\ndata: {"model":"a"}\n\n', b'data: {"a":"}\n\ndata: {"model":@}\n\n'),
        (b':\n{"model":"a"}\n', b':\n{"model":"a"}\n'),
        (b'Data: {"model":"a"}\n', b'Data: {"model":"a"}\n'),
        (b'\xef\xbbdata: {"model":"a"}\n', b'\xef\xbbdata: {"model":"a"}\n'),
        (b'\n\ndata: {"model"\n"model":"\ndata::"\n\n', b'\n\ndata: {"model"\n"model":"\ndata::@\n\n'),
        (b'data: {"model":"a\\"b\\\\"}\n', b'data: {"model":@}\n'),
        (b'data: {"model":"a" "b"}\n\n', b'data: {"model":@ "b"}\n\n'),
        (b'data: {"a":1"model":"b"}\n\n', b'data: {"a":1"model":"b"}\n\n'),
        (b'data: {"model":null,"b":"model"}\n\n', b'data: {"model":null,"b":"model"}\n\n'),
        (b'data: {"models":["x"],"modelVersion" : "y"}\n\n', b'data: {"models":["x"],"modelVersion" : @}\n\n'),
    ],
)
def test_an_event_stream_is_renamed_line_by_line(reply: bytes, expected: bytes) -> None:
    """Only ``data`` fields are read, and what is broken ends with its line or event."""
    for pieces in ([reply], [reply[i : i + 1] for i in range(len(reply))]):
        assert expected.replace(b"@", VALUE) == fed(Renamer(NAME, REPLY_NAMES), pieces)


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (b'{"model":"a"}', b'{"model":@}'),
        (b'{"model":"a"}\n{"model":"b"}', b'{"model":@}\n{"model":@}'),
        (b' \n\t{"model":"a"}', b' \n\t{"model":@}'),
        (b'1\n{"model":"a"}', b'1\n{"model":@}'),
        (b'\xef\xbb\xbf[{"model":"a"}]', b'\xef\xbb\xbf[{"model":@}]'),
        (b'\n\ndata: {"model":"a"}', b'\n\ndata: {"model":@}'),
        (b': {\ndata: {"model":"a"}', b': {\ndata: {"model":@}'),
        (b'  data: {"model":"a"}', b'  data: {"model":"a"}'),
        (b'<p>"model":"a"</p>', b'<p>"model":"a"</p>'),
        (b"", b""),
    ],
)
def test_the_format_is_told_by_the_first_byte(reply: bytes, expected: bytes) -> None:
    """Blanks and a byte order mark tell nothing."""
    for pieces in ([reply], [reply[i : i + 1] for i in range(len(reply))]):
        assert expected.replace(b"@", VALUE) == fed(Renamer(NAME, REPLY_NAMES), pieces)


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (rb'{"mod\u0065l":"a","x":"y"}', rb'{"mod\u0065l":@,"x":"y"}'),
        (rb'{"model":"a","\u006dodel":"b"}', rb'{"model":@,"\u006dodel":@}'),
        (rb'{"\u006d\u0065ssage":{"model":"a"}}', rb'{"\u006d\u0065ssage":{"model":@}}'),
        (rb'{"mod\u0065l\u0073":"a","mod\x":"b","\ud800model":"c"}', None),
        (b'{"' + b"\\u006d" * 20 + b'":"a","model":"b"}', b'{"' + b"\\u006d" * 20 + b'":"a","model":@}'),
    ],
)
@pytest.mark.parametrize("opening", [b"", b"data: "])
def test_a_key_that_is_spelled_with_escapes_is_the_same_key(
    opening: bytes, reply: bytes, expected: bytes | None
) -> None:
    """In whole replies and events, also where others of their kind came before."""
    whole = opening + reply + b"\n\n"
    wanted = opening + (expected or reply).replace(b"@", VALUE) + b"\n\n"

    for pieces in ([whole], [whole[i : i + 1] for i in range(len(whole))]):
        assert wanted == fed(Renamer(NAME, REPLY_NAMES), pieces)
    plain = opening + b'{"model":"a","x":"y"}\n\n'
    assert fed(Renamer(NAME, REPLY_NAMES), [plain, plain, whole]).endswith(wanted)


def test_an_event_that_needs_no_change_is_passed_as_the_same_object() -> None:
    """The common piece of a stream costs no copy."""
    renamer = Renamer(NAME, REPLY_NAMES)
    renamer.feed(b": hello\n\n")
    piece = b'data: {"delta":"x"}\n\n'

    assert renamer.feed(piece) is piece


@pytest.mark.parametrize("opening", [b"", b"data: "])
def test_names_stand_where_the_paths_lead(opening: bytes) -> None:
    """A further format's, too."""
    reply = opening + b'{"model":"a","engine":{"model":"b","name":"c"},"runs":[{"name":"d"}],"name":"e"}\n\n'
    wanted = reply.replace(b'"c"', VALUE).replace(b'"d"', VALUE)

    for pieces in ([reply], [reply[i : i + 1] for i in range(len(reply))], [b"\n\n", reply]):
        assert fed(Renamer(NAME, Paths(["engine.name", "runs[].name"])), pieces).endswith(wanted)


@pytest.mark.sample(1 / 3)
@pytest.mark.parametrize("prefix", [b"", b"data: "])
@pytest.mark.parametrize("chunk", [997, 65536, 1 << 24])
def test_a_large_reply_passes_in_constant_memory(prefix: bytes, chunk: int) -> None:
    """Megabytes in one string, one array, one depth and one line; what is kept between the pieces is small."""
    inner: dict[str, Any] = {
        "b64": base64.b64encode(bytes(900_000)).decode(),
        "text": 'say "x\\y"\n' * 30_000,
        "numbers": [0.25] * 60_000,
        "items": [{"a": ["b", {}], "model": "kept"}] * 10_000,
    }
    body = json.dumps({**{f"k{i}": i for i in range(1_000)}, **inner, "data": inner, "model": "old"}).encode()
    reply = prefix + body.replace(b'"data"', b'"deep": ' + b"[" * 9_000 + b"]" * 9_000 + b', "data"') + b"\n\n"
    pieces = [reply[i : i + chunk] for i in range(0, len(reply), chunk)]
    renamer = Renamer(NAME, REPLY_NAMES)

    tracemalloc.start()
    try:
        held = 0
        results = []
        for piece in pieces:
            before = tracemalloc.get_traced_memory()[0]
            result = renamer.feed(piece)
            held += tracemalloc.get_traced_memory()[0] - before - (0 if result is piece else len(result))
            results.append(result)
    finally:
        tracemalloc.stop()

    assert reply.replace(b'"old"', VALUE) == b"".join(results)
    assert held < 16_384
