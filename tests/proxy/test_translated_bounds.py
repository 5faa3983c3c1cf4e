"""What translating a large request holds: the loop for a moment at a time, and little memory beside the body."""

from __future__ import annotations

import gc
import json
import tracemalloc
from typing import Any

import pytest
from turnlengths import BestOf, steps_of

from ampmap.bodies.steps import finished
from ampmap.formats.base import Asked
from ampmap.formats.conversation import Turn
from ampmap.proxy.translation import Translated, Translation
from ampmap.proxy.turns import in_turns
from ampmap.routing.snapshot import Availability, Candidate
from ampmap.settings import Endpoint, Origin, Provider

BOTH_LOOPS = True

STEP_S = 0.005
BYTES = 5_000_000
BODY_FACTOR = 2.5  # the body among it
TEXT = 'line\n"x" é' * 400


def turn(number: int) -> list[dict[str, Any]]:
    call = {"type": "tool_use", "id": f"c{number}", "name": "Read", "input": {"path": f"/{number}"}}
    result = {"type": "tool_result", "tool_use_id": f"c{number}", "content": TEXT}
    said = [{"type": "text", "text": 'I look "there" 😀'}, call]
    return [{"role": "assistant", "content": said}, {"role": "user", "content": [result]}]


def messages(kind: str) -> list[dict[str, Any]]:
    """Return messages of five megabytes."""
    if kind == "many turns":
        turns = [each for number in range(BYTES // 6000) for each in turn(number)]
        return [{"role": "user", "content": "hi"}, *turns]
    if kind == "one long text":
        return [{"role": "user", "content": "line\n 😀" * (BYTES // 12)}]
    source = {"type": "base64", "media_type": "image/png", "data": "A" * BYTES}
    return [{"role": "user", "content": [{"type": "image", "source": source}]}]


def translation(body: bytearray) -> Translation:
    return Translation("anthropic", Asked(body=body, model="m", path="/v1/messages"))


def candidate() -> Candidate:
    endpoint = Endpoint(protocol="openai-chat")
    return Candidate(Provider(name="p", origin=Origin("http", "h", 80), endpoints=(endpoint,)), endpoint, "m")


def run(body: bytearray) -> tuple[Translated, float]:
    """Translate a body and count its tokens; return the request and how long the longest step took."""
    work = translation(body)
    written, found = steps_of(work.write(candidate(), Availability()))
    counted, _ = steps_of(work.count())
    return found, max(written + counted)


@pytest.mark.sample(1 / 3)
@pytest.mark.parametrize("kind", ["many turns", "one long text", "an image"])
def test_five_megabytes_are_translated_in_short_steps(kind: str) -> None:
    body = bytearray(json.dumps({"model": "m", "max_tokens": 9, "messages": messages(kind)}).encode())
    for _ in (best := BestOf(STEP_S)):
        found, seconds = run(body)
        best.add(seconds)

    assert best.holds, best.seconds
    assert len(body) * 0.9 < sum(map(len, found.written.pieces)) < len(body) * 1.3


@pytest.mark.sample(1 / 3)
@pytest.mark.parametrize("kind", ["many turns", "one long text", "an image"])
def test_five_megabytes_take_little_memory_beside_the_body(kind: str) -> None:
    body = bytearray(
        json.dumps({"model": "m", "max_tokens": 9, "messages": messages(kind)}, ensure_ascii=False).encode()
    )
    run(bytearray(json.dumps({"model": "m", "max_tokens": 9, "messages": turn(0)}).encode()))
    tracemalloc.start()
    try:
        run(body)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert len(body) + peak <= BODY_FACTOR * len(body)


def large_body() -> bytearray:
    body = {"model": "m", "max_tokens": 9, "messages": messages("many turns")[:201]}
    return bytearray(json.dumps(body, ensure_ascii=False).encode())


async def test_nobody_looks_for_cycles_while_a_large_request_is_translated() -> None:
    """To look through its objects would take tens of milliseconds, and find none."""
    work, found = translation(large_body()), list[int]()
    look = lambda phase, info: found.append(info["generation"])  # noqa: E731
    gc.collect()
    gc.callbacks.append(look)
    try:
        await in_turns(work.write(candidate(), Availability()), makes_many=work.is_large)
        seen = list(found)
    finally:
        gc.callbacks.remove(look)

    assert work.is_large and set(seen) <= {0}  # that is once it is over, and about the newest objects alone
    assert gc.isenabled()


def test_a_large_body_is_given_up_with_its_translation_and_waits_for_no_collector() -> None:
    body = large_body()
    gc.collect()
    gc.disable()
    try:
        written = run(body)
        del written

        body.clear()  # a BufferError as long as anything refers to it
    finally:
        gc.enable()


def test_the_neutral_form_of_a_large_request_is_not_kept_while_its_provider_thinks() -> None:
    def alive() -> int:
        return sum(isinstance(each, Turn) for each in gc.get_objects())

    before, work = alive(), translation(large_body())
    finished(work.write(candidate(), Availability()))

    assert alive() == before
    again = finished(work.write(candidate(), Availability()))  # for another candidate
    assert b"".join(again.written.pieces).startswith(b'{"model":')
