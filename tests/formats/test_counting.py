"""The estimate of a request's tokens."""

from __future__ import annotations

from typing import Any

import hub
import pytest
from openai.types.responses import input_token_count_params

from ampmap.bodies.steps import finished
from ampmap.bodies.texts import Long, Raw
from ampmap.formats.conversation import Call, Conversation, Media, Result, Text, Thinking, Tool, Turn
from ampmap.formats.counting import estimate
from ampmap.formats.profile import Profile


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


def asked(format: str) -> tuple[Any, Any]:
    """Return a request that has all members, and the one that asks for its number of tokens."""
    said = Conversation(
        system=(Text("s"),), turns=(Turn("user", (Text("x"),)),), tools=(Tool(name="f"),), max_output=99, temperature=1,
        top_p=1, user="u", cache_key="k", stream=True, verbosity="low", parallel_calls=False,
    )  # fmt: skip
    target = hub.target(Profile(effort=("low",) if format == "gemini" else (), verbosity=True, prompt_cache_key=True))
    written = hub.write(format, said, target)
    count = hub.dialect(format).write_count
    assert count is not None
    return hub.body(written), hub.body(count(written, target))


def test_the_counter_of_responses_gets_no_member_that_it_refuses() -> None:
    whole, counted = asked("openai-responses")
    known = input_token_count_params.InputTokenCountParams.__annotations__.keys()

    assert {"store", "stream", "max_output_tokens", "safety_identifier", "prompt_cache_key"} <= whole.keys()
    assert counted == {key: value for key, value in whole.items() if key in known}
    assert {"model", "input", "instructions", "tools", "text", "parallel_tool_calls"} == counted.keys()


def test_geminis_counter_gets_the_model_beside_the_request() -> None:
    whole, counted = asked("gemini")

    assert {"generateContentRequest": {"model": f"models/{hub.SENT}", **whole}} == counted
