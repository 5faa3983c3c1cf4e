"""JSON of providers is read only while it has few values, and to find that out takes time in proportion to its bytes.

Unless the limit held, each of these would block the event loop for tenths of a second, or for hours.
"""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from test_hostile_replies import CHAT, CLAUDE, GEMINI, RESPONSES, block, calls, ends_of, event, item, late, stream_of

from ampmap.bodies.texts import Raw
from ampmap.errors import UpstreamProtocolError
from ampmap.formats.arguments import arguments_of
from ampmap.formats.bounds import LARGE_BYTES, VALUES, bounded_loads, refuse_many
from ampmap.formats.failures import read_failure
from ampmap.formats.translate import WHOLE_EVENTS, TranslatedStream, scan_whole_reply

MANY = "[],"
SECONDS = 1.0  # a hundred times what is needed
PIECES = 20
ARGUMENTS = ['{"a":[', *[MANY * (VALUES // PIECES)] * PIECES, "1]}"]


def seconds_of(call: Any) -> float:
    began = time.thread_time()
    call()
    return time.thread_time() - began


@pytest.mark.parametrize("text", ['{"a":"' + '\\"' * 100_000 + "," * 500_000, '"\\' + '"\\' * 300_000 + "," * 300_000])
def test_a_string_without_an_end_is_searched_once(text: str) -> None:
    assert seconds_of(lambda: refuse_many(text)) < SECONDS
    assert seconds_of(lambda: refuse_many(text.encode())) < SECONDS


def test_a_client_may_send_as_many_values_as_before() -> None:
    """Arguments of a client are bounded otherwise, and what is wrong with them is no fault of the provider's."""
    text = json.dumps({"a": [[]] * 60_000})
    assert LARGE_BYTES < len(text) < 256 * 1024

    assert arguments_of(text) == Raw(text.encode())


@pytest.mark.parametrize("text", [MANY * VALUES, '"",' * (VALUES + 1), '{"":"' + '","":"' * VALUES])
def test_too_many_values_are_refused(text: str) -> None:
    for data in (text, text.encode()):
        with pytest.raises(UpstreamProtocolError, match=f"{VALUES} values"):
            refuse_many(data)


def test_what_stands_in_strings_is_no_value() -> None:
    value = {"a": '[{,"\\' * VALUES}

    assert value == bounded_loads(json.dumps(value)) == bounded_loads(json.dumps(value).encode())


def begun(provider: str, client: str) -> tuple[TranslatedStream, list[Any], Any]:
    """Return a stream, the events of a call whose arguments have too many values, and the event that ends it."""
    if provider == CLAUDE:
        pieces = [late(0, type="input_json_delta", partial_json=each) for each in ARGUMENTS]
        end = {"type": "content_block_stop", "index": 0}
        return stream_of(provider, client), [block(0, type="tool_use", id="a", name="b"), *pieces], end
    if provider == RESPONSES:
        call = {"type": "function_call", "call_id": "a", "name": "free"}
        pieces = [item("function_call_arguments.delta", 0, delta=each) for each in ARGUMENTS]
        done = item("output_item.done", 0, item={**call, "arguments": "".join(ARGUMENTS)})
        return stream_of(provider, client), [item("output_item.added", 0, item=call), *pieces], done
    first = calls(index=0, id="c", function={"name": "free", "arguments": ARGUMENTS[0]})
    pieces = [calls(index=0, function={"arguments": each}) for each in ARGUMENTS[1:]]
    return stream_of(provider, client), [first, *pieces], {"choices": [{"delta": {}, "finish_reason": "tool_calls"}]}


@pytest.mark.parametrize(("provider", "client"), [(CLAUDE, CHAT), (RESPONSES, CHAT), (CHAT, GEMINI), (CHAT, RESPONSES)])
def test_arguments_of_too_many_values_are_not_read(provider: str, client: str) -> None:
    stream, pieces, end = begun(provider, client)
    for each in pieces:
        stream.feed(event(each))

    with pytest.raises(UpstreamProtocolError, match=f"{VALUES} values"):
        stream.feed(event(end) + b"data: [DONE]\n\n")


def whole(provider: str, client: str, body: bytes) -> tuple[Any, float]:
    """Translate a whole reply; return the result and how long the longest step took."""
    steps, longest = scan_whole_reply(*ends_of(provider, client), body), 0.0
    while True:
        began = time.thread_time()
        try:
            next(steps)
        except StopIteration as done:
            return done.value[0], max(longest, time.thread_time() - began)
        longest = max(longest, time.thread_time() - began)


def test_a_whole_reply_of_too_many_values_is_not_read() -> None:
    body = '{"choices":[' + MANY * VALUES + "1]}"
    for feed in (lambda: whole(CHAT, CLAUDE, body.encode()), lambda: in_stream(body.encode())):
        with pytest.raises(UpstreamProtocolError, match=f"{VALUES} values"):
            feed()


def in_stream(body: bytes) -> bytes:
    stream = stream_of(CHAT, CLAUDE)
    return stream.feed(body) + stream.finish()


@pytest.mark.parametrize("begin", [b"", b"data: "], ids=["one value", "an event without its end"])
def test_what_comes_at_the_end_of_a_stream_is_bounded(begin: bytes) -> None:
    many = b'{"candidates":[{"content":{"parts":[%b{}]}}]}'
    for part, count, why in ((b"{},", VALUES, f"{VALUES} values"), (b'{"text":"x"},', WHOLE_EVENTS, "10000 parts")):
        stream = stream_of(GEMINI, CLAUDE)
        stream.feed(begin + many % (part * count))
        with pytest.raises(UpstreamProtocolError, match=why):
            stream.finish()


SAID = b'data: {"choices":[{"delta":{"content":"x"}}]}\n\n'


@pytest.mark.parametrize("noise", [SAID, b"data:x\n\n", b":\n"], ids=["texts", "no JSON", "comments"])
def test_others_have_their_turn_within_a_stream_that_is_read_whole(noise: bytes) -> None:
    end = b'data: {"choices":[{"delta":{"content":"end"},"finish_reason":"stop"}]}\n\n'

    found, longest = whole(CHAT, CLAUDE, SAID + noise * 50_000 + end)

    assert found["content"][0]["text"].endswith("end")
    assert longest < 0.05, "all at once it takes tenths of a second"


def test_a_whole_reply_of_too_many_parts_is_not_written() -> None:
    thought = b'data: {"choices":[{"delta":{"reasoning":"x"}}]}\n\n'

    with pytest.raises(UpstreamProtocolError, match="10000 parts"):
        whole(CHAT, CLAUDE, (SAID + thought) * WHOLE_EVENTS)


def test_blanks_before_a_reply_are_looked_at_once() -> None:
    stream = stream_of(CHAT, CLAUDE)
    blanks = b" " * 512
    for _ in range(8_000_000 // len(blanks)):
        stream.feed(blanks)

    assert seconds_of(lambda: [stream.feed(blanks) for _ in range(1000)]) < SECONDS
    with pytest.raises(UpstreamProtocolError, match="16777216 bytes"):
        while True:
            stream.feed(b" " * 1_000_000)


def test_an_error_page_of_open_tags_is_read_once() -> None:
    assert seconds_of(lambda: read_failure(502, b"<" * 64 * 1024)) < 0.01
    assert read_failure(502, b"<p>a < b</p>").message == "a < b"


def test_long_numbers_are_refused_where_there_may_be_many() -> None:
    number, text = "7" * 4299, "7" * 1_000_000
    assert bounded_loads(f"[{number}]") == [int(number)]
    assert bounded_loads(f'["{text}",{"7" * 499}]')[0] == text
    for data in (f"[{','.join([number] * 200)}]", f'["{text}",{number}]'):
        with pytest.raises(UpstreamProtocolError, match="hundreds of digits"):
            refuse_many(data.encode())


def test_lines_that_say_nothing_are_not_read_without_end() -> None:
    said = b'data: {"choices":[{"delta":{"content":"x"}}]}\n'
    stream = stream_of(CHAT, CLAUDE)
    assert stream.feed((b"data: noise\n" * 1000 + said) * 3 + b"\n").count(b"text_delta") == 3

    with pytest.raises(UpstreamProtocolError, match="1024 lines"):
        stream.feed(b"data: noise\n" * 2000 + b"\n")


@pytest.mark.parametrize("client", [CHAT, CLAUDE])
@pytest.mark.parametrize("member", ["content", "reasoning"])
def test_halves_of_surrogate_pairs_are_written_as_fast_as_other_text(client: str, member: str) -> None:
    half = "\ud800" * 300_000
    seconds: list[float] = []
    data = event({"choices": [{"delta": {member: half}}]})
    while len(seconds) < 4 and (not seconds or min(seconds) > 0.05):
        stream = stream_of(CHAT, client)
        began = time.thread_time()
        out = stream.feed(data)
        seconds.append(time.thread_time() - began)

    assert min(seconds) < 0.05, "one by one they take a tenth of a second"
    assert out.count(b"\\ud800") == 300_000
