"""The estimate of a request's tokens."""

from __future__ import annotations

from typing import Any

import pytest

from ampmap.bodies.steps import finished
from ampmap.bodies.texts import Long, Raw
from ampmap.formats.conversation import Call, Conversation, Media, Result, Text, Thinking, Tool, Turn
from ampmap.formats.counting import estimate


def count(said: Conversation) -> int:
    return finished(estimate(said))


def user(*parts: Any) -> Conversation:
    return Conversation(turns=(Turn("user", parts),))


@pytest.mark.parametrize(
    ("said", "tokens"),
    [
        (Conversation(), 1),
        (user(Text("")), 4),
        (user(Text("x" * 300)), 104),
        (user(Text("é" * 150)), 124),
        (user(Text(Long(memoryview(b"x" * 300), "x" * 300))), 204),
        (user(Media("image", data="A" * 9000)), 1604),
        (user(Media("document", data="A" * 1000)), 2004),
        (user(Media("document", data="A" * 250_000)), 6004),
        (user(Result("c", (Text("x" * 30), Media("image", url="u")))), 1614),
        (Conversation(system=(Text("x" * 30),)), 14),
        (Conversation(turns=(Turn("assistant", (Thinking("x" * 30), Call("c", "xxx", Raw(b"{" + b"x" * 26)))),)), 24),
        (Conversation(tools=(Tool(name="xxx", description="x" * 27, schema=Raw(b"x" * 30)),)), 20),
    ],
)
def test_texts_messages_images_and_pages_count(said: Conversation, tokens: int) -> None:
    assert tokens == count(said)
