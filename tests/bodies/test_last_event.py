"""The last event of a stream, wherever the stream is cut."""

from __future__ import annotations

import pytest
from renamed import REPLIES

from ampmap.bodies.last_event import LastEvent
from ampmap.formats.registry import FORMATS

STREAMS = {
    "anthropic.sse": "anthropic", "openai-chat.sse": "openai-chat", "openai-chat-crlf.sse": "openai-chat",
    "openai-responses.sse": "openai-responses",
}  # fmt: skip


@pytest.mark.parametrize(("stream", "name"), STREAMS.items())
def test_it_is_over_with_the_last_byte_wherever_it_is_cut(stream: str, name: str) -> None:
    reply = REPLIES[stream]
    for place in range(1, len(reply)):
        last = LastEvent(FORMATS[name].last_events)
        last.feed(reply[:place])
        assert not last.is_over, reply[:place]
        last.feed(reply[place:])
        assert last.is_over, reply[place:]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
@pytest.mark.parametrize(("stream", "name"), STREAMS.items())
def test_it_is_over_whatever_the_size_of_pieces(stream: str, name: str, size: int) -> None:
    last, reply = LastEvent(FORMATS[name].last_events), REPLIES[stream]
    for place in range(0, len(reply), size):
        assert not last.is_over
        last.feed(reply[place : place + size])
    assert last.is_over


def test_an_event_that_is_cut_after_whole_events_is_found() -> None:
    last = LastEvent(("[DONE]",))
    for piece in (b"data: {}\n\n", b"data: [DO", b"NE]\n\n"):
        assert not last.is_over
        last.feed(piece)
    assert last.is_over


def test_a_stream_without_a_last_event_is_never_over() -> None:
    last = LastEvent(())
    for piece in (b"data: {}\n\n", b"data: [DO", b"NE]\n\n"):
        last.feed(piece)
    assert not last.is_over


def test_another_word_and_another_member_are_no_last_event() -> None:
    last = LastEvent(("message_stop",))
    for piece in (b'data: {"type":"message_stopped"}\n\n', b'data: {"kind":"message_stop"}\n\n', b"data: x\n\n"):
        last.feed(piece)
    assert not last.is_over


@pytest.mark.parametrize("begin", [b'{"text": "', b"[{"])
def test_json_is_no_stream_whatever_it_ends_with(begin: bytes) -> None:
    last = LastEvent(("[DONE]",))
    for piece in (begin, b"\ndata: [DONE]\n\n"):
        last.feed(piece)
    assert not last.is_over
