"""Requests made to take long take no longer than their size: a body of some megabytes must not hold the loop."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import hub
import pytest

from ampmap.formats.registry import FORMATS

SMALL, FACTOR = 200, 5  # with two results for each call, no more than a message may have
MOST = 11  # times as long for FACTOR times as much; a quadratic reader takes 25 times
TRIES = 5
USER = {"role": "user", "content": "x"}
PARAMETERS = {"type": "object", "properties": {}}


def use(number: int) -> dict[str, Any]:
    return {"type": "tool_use", "id": f"c{number}", "name": "f", "input": {}}


def result(number: int) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": f"c{number}", "content": "r"}


def called(numbers: range, *results: dict[str, Any]) -> dict[str, Any]:
    return {
        "max_tokens": 9,
        "messages": [USER, {"role": "assistant", "content": [use(number) for number in numbers]},
                     {"role": "user", "content": [*results]}],
    }  # fmt: skip


def late(count: int) -> dict[str, Any]:
    turns = [each for number in range(count) for each in ({"role": "assistant", "content": [use(number)]}, USER)]
    messages = [USER, *turns, {"role": "user", "content": [result(number) for number in range(count)]}]
    return {"max_tokens": 9, "messages": messages}


def gemini(count: int, response: Callable[[int], str]) -> dict[str, Any]:
    calls = [{"functionCall": {"name": f"f{number}"}} for number in range(count)]
    responses = [{"functionResponse": {"name": response(number), "response": {}}} for number in range(count)]
    contents = [{"parts": [{"text": "x"}]}, {"role": "model", "parts": calls}, {"role": "user", "parts": responses}]
    return {"contents": contents}


def tools(count: int, **more: Any) -> dict[str, Any]:
    declared = [{"name": f"t{number}", "input_schema": PARAMETERS, **more} for number in range(count)]
    return {"max_tokens": 9, "messages": [USER], "tools": [{"name": "own", "input_schema": PARAMETERS}, *declared]}


def allowed(count: int) -> dict[str, Any]:
    functions = [{"type": "function", "function": {"name": f"t{number}"}} for number in range(count)]
    choice = {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": functions}}
    return {"messages": [USER], "tools": functions, "tool_choice": choice}


SHAPES: dict[str, tuple[str, Callable[[int], dict[str, Any]]]] = {
    "results in reverse": ("anthropic", lambda n: called(range(n), *(result(each) for each in reversed(range(n))))),
    "two results for each call": (
        "anthropic", lambda n: called(range(n), *(result(each % n) for each in range(2 * n)))
    ),
    "results without calls": ("anthropic", lambda n: called(range(1), *(result(each) for each in range(n)))),
    "results that come late": ("anthropic", late),
    "system messages between users'": (
        "openai-chat", lambda n: {"messages": [each for _ in range(n) for each in (USER, {**USER, "role": "system"})]},
    ),
    "server tools": ("anthropic", lambda n: tools(n, type="web_fetch_20250910")),
    "allowed tools": ("openai-chat", allowed),
    "responses by name in reverse": ("gemini", lambda n: gemini(n, lambda number: f"f{n - number}")),
    "responses of other names": ("gemini", lambda n: gemini(n, lambda _: "other")),
}  # fmt: skip


def cost(format: str, body: bytes) -> float:
    """Return how many seconds reading a request takes, and writing it in every format."""
    path = "/v1beta/models/{model}:generateContent" if format == "gemini" else ""
    began = time.thread_time()
    conversation = hub.read(format, body, path)
    for provider in FORMATS:
        hub.write(provider, conversation)
    return time.thread_time() - began


@pytest.mark.parametrize("shape", SHAPES)
def test_the_time_grows_as_the_request_does(shape: str) -> None:
    format, made = SHAPES[shape]
    small, large = (json.dumps(made(count)).encode() for count in (SMALL, FACTOR * SMALL))

    for _ in range(TRIES):
        ratio = cost(format, large) / min(cost(format, small) for _ in range(2))
        if ratio <= MOST:
            return
    pytest.fail(f"{ratio:.0f} times as long for {FACTOR} times as much")
