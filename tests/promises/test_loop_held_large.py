"""Nobody holds the loop by translation: requests and replies of megabytes and of very many parts, in all formats."""

from __future__ import annotations

from functools import partial

import pytest
from kit import post
from largebodies import CHAT, CLAUDE, FORMATS, GEMINI, PATHS, RESPONSES, asking, conversation, whole
from loopheld import BOUND_S, CLOSE, both_loops, least, told
from translated import speaking
from widerequests import wide

from ampmap.formats.base import MOST_ELEMENTS

FINE = told(b"application/json", b"{}")
PROVIDER = {CHAT: CLAUDE, CLAUDE: RESPONSES, RESPONSES: GEMINI, GEMINI: CHAT}  # the format that a request becomes
PAIRS = [(format, provider) for format in FORMATS for provider in FORMATS if format != provider]
WIDE = {**wide(MOST_ELEMENTS), **wide(8 * MOST_ELEMENTS)}


def requested(format: str, body: bytes) -> bytes:
    return post(body, CLOSE, path=PATHS[format])


@pytest.mark.sample(1 / 4)
@both_loops
@pytest.mark.parametrize(("format", "provider"), PAIRS)
async def test_no_long_conversation_holds_the_loop(format: str, provider: str) -> None:
    worst, where = await least(requested(format, conversation(format)), FINE, partial(speaking, provider))

    assert worst <= BOUND_S, where


@pytest.mark.sample(1 / 10)
@both_loops
@pytest.mark.parametrize(("format", "name"), WIDE)
async def test_no_wide_request_holds_the_loop(format: str, name: str) -> None:
    worst, where = await least(requested(format, WIDE[format, name]), FINE, partial(speaking, PROVIDER[format]))

    assert worst <= BOUND_S, where


@pytest.mark.sample(1 / 6)
@both_loops
@pytest.mark.parametrize("provider", [CLAUDE, GEMINI, RESPONSES])
@pytest.mark.parametrize("format", [CHAT, CLAUDE, GEMINI])
async def test_no_large_reply_that_was_to_be_a_stream_holds_the_loop(format: str, provider: str) -> None:
    path, body = asking(format, streams=True)
    reply = told(b"application/json", whole(provider))
    worst, where = await least(post(body, CLOSE, path=path), reply, partial(speaking, provider))

    assert worst <= BOUND_S, where
