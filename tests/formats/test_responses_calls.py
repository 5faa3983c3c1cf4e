"""Calls of tools in the replies of Responses servers: whole or cut, with an id or without, JSON or none."""

from __future__ import annotations

import json
from typing import Any

import hub
import pytest
from translating import events_of, whole_of

from ampmap.formats.events import Event, Start

CUT = {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}


def item(arguments: str, **members: Any) -> dict[str, Any]:
    return {"type": "function_call", "call_id": "c", "name": "f", "arguments": arguments, **members}


def replied(*items: dict[str, Any], **members: Any) -> list[Event]:
    return whole_of("openai-responses", {"id": "r", "status": "completed", "output": [*items], **members})


def streamed(*items: dict[str, Any], **members: Any) -> list[Event]:
    response = {"id": "r", "status": "completed", "output": [*items], **members}
    events: list[dict[str, Any]] = []
    for index, each in enumerate(items):
        events.append({"type": "response.output_item.added", "output_index": index, "item": {**each, "arguments": ""}})
        events.append({"type": "response.function_call_arguments.delta", "output_index": index,
                       "delta": each["arguments"]})  # fmt: skip
        events.append({"type": "response.output_item.done", "output_index": index, "item": each})
    events.append({"type": "response.completed", "response": response})
    return events_of("openai-responses", b"".join(b"data: %b\n\n" % json.dumps(each).encode() for each in events))


@pytest.mark.parametrize("read", [replied, streamed])
@pytest.mark.parametrize("arguments", ['{"a":1}', "{}", "", "[1]", "null", '{"a":', "no JSON"])
@pytest.mark.parametrize("status", ["completed", None])
def test_a_complete_reply_has_whole_calls_whatever_their_arguments(read: Any, arguments: str, status: str) -> None:
    unfinished = status is None and arguments in ('{"a":', "no JSON")
    found = read(item(arguments, status=status))

    assert [not unfinished] == [block.whole for block in hub.blocks(found)]
    assert ("length" if unfinished else "calls") == hub.end(found).reason


@pytest.mark.parametrize("status", ["completed", "incomplete", None])
def test_a_call_that_reached_the_limit_is_cut(status: str | None) -> None:
    """Some servers call each item complete."""
    found = replied(item('{"a":1}', status="completed"), item('{"b":', call_id="d", status=status), **CUT)

    assert "length" == hub.end(found).reason


def test_a_call_without_an_id_gets_one() -> None:
    calls = [item("{}", call_id=None), item("{}", call_id="", id="fc_1"), item("{}", call_id=None)]
    ids = [event.id for event in replied(*calls) if isinstance(event, Start)]

    assert 3 == len({*ids}) and "fc_1" == ids[1] and all(ids)
    assert ids == [event.id for event in replied(*calls) if isinstance(event, Start)]
