"""The tools that a request lists or forces: their casings, in bodies of any size."""

from __future__ import annotations

import json
from collections.abc import Generator

import pytest

from ampmap.bodies.json_walk import WINDOW_BYTES
from ampmap.bodies.search import holds
from ampmap.bodies.steps import finished
from ampmap.formats.anthropic.listed_tools import scan_advertised
from ampmap.formats.offered_tools import NAMES


def advertised(body: bytes, window_bytes: int = WINDOW_BYTES) -> dict[str, str]:
    return finished(scan_advertised(body, window_bytes=window_bytes))


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ({"tools": [{"name": "Bash"}, {"name": "glob"}]}, {"bash": "Bash", "glob": "glob"}),
        (
            {"tools": [{"name": "Bash"}], "tool_choice": {"type": "tool", "name": "Read"}},
            {"bash": "Bash", "read": "Read"},
        ),
        ({"tool_choice": {"name": "Read"}}, {"read": "Read"}),
        ({"tools": [{"name": "Bash"}, {"name": "Bash"}], "tool_choice": {"name": "Bash"}}, {"bash": "Bash"}),
        ({"tools": [{"name": "Bash"}, {"name": "bash"}, {"name": "Read"}]}, {"read": "Read"}),
        ({"tools": [{"name": "Bash"}], "tool_choice": {"name": "BASH"}}, {}),
        ({"tools": [{"name": 7}, {"name": ""}, {}, "Bash", None, {"function": {"name": "Bash"}}]}, {}),
        ({"tools": {"name": "Bash"}, "tool_choice": "auto"}, {}),
        ({"input": {"tools": [{"name": "Bash"}]}}, {}),
        ({"messages": [{"tools": [{"name": "Bash"}]}]}, {}),
        ([{"tools": [{"name": "Bash"}]}], {}),
    ],
)
def test_a_request_advertises_its_tools_by_folded_name(body: object, names: dict[str, str]) -> None:
    assert names == advertised(json.dumps(body).encode())
    assert names == advertised(json.dumps(body).encode(), 16)


@pytest.mark.parametrize(
    "body", [b"", b'{"tools":[{"name":"Bash"}]', b'{"tools":[{"name":"Bash"}]}x', b'{"tools":"\xff"}']
)
def test_what_is_no_json_advertises_nothing(body: bytes) -> None:
    assert {} == advertised(body)


def test_of_two_lists_of_tools_the_last_counts() -> None:
    assert {"read": "Read"} == advertised(b'{"tools":[{"name":"Bash"}],"tools":[{"name":"Read"}]}')


@pytest.mark.parametrize("window_bytes", [128, 1000, WINDOW_BYTES])
def test_a_large_list_of_large_tools_is_read_as_any_other(window_bytes: int) -> None:
    tools = [
        {"description": "x" * 300, "name": "Été", "input_schema": {"name": ["x" * 300]}},
        *([{"name": "Bash"}] * 50),
        {"name": "Read", "x": 1, "description": "é" * 300},
        {"name": "x", "y": "z" * 300, "name ": 1},
        ["x" * 300, {"name": "no"}],
        "x" * 300,
    ]
    body = json.dumps({"tools": tools, "tool_choice": {"y": "é" * 300, "name": "Grep"}}, ensure_ascii=False)
    expected = {"été": "Été", "bash": "Bash", "read": "Read", "x": "x", "grep": "Grep"}

    assert expected == advertised(body.encode(), window_bytes)
    assert expected == advertised(json.dumps(json.loads(body)).encode(), window_bytes)
    doubled = body[:-1] + ', "tools": ["' + "x" * 300 + '"], "tool_choice": "' + "x" * 300 + '"}'
    assert {} == advertised(doubled.encode(), window_bytes)


def test_of_too_many_names_some_are_known() -> None:
    """What is remembered of a request has a bound."""
    tools = [{"name": f"n{number:06}"} for number in range(10 * NAMES)]

    assert NAMES - 1 == len(advertised(json.dumps({"tools": tools[: NAMES - 1]}).encode()))
    assert NAMES <= len(advertised(json.dumps({"tools": tools}).encode())) < 4 * NAMES


@pytest.mark.parametrize("at", [*range(1024 * 1024 - 12, 1024 * 1024 + 2), 0, 3_000_000])
def test_words_are_found_wherever_they_stand(at: int) -> None:
    """The body is searched in slices, with a turn for others between two."""
    body = bytearray(b"x" * 3_500_000)
    body[at : at + 7] = b'"tools"'
    steps = holds(body, b'"tools"')

    assert at // (1024 * 1024) >= sum(1 for _ in _until_found(steps)) >= (at - 7) // (1024 * 1024)
    assert 3 == len(list(holds(body, b'"tool"')))


def _until_found(steps: Generator[None, None, bool]) -> Generator[None, None, None]:
    assert (yield from steps)


def test_others_have_their_turn_while_a_large_request_is_walked() -> None:
    messages = [{"role": "user", "content": "x" * 10_000}] * 100
    body = json.dumps({"messages": messages, "tools": [{"name": "Bash"}]}).encode()

    assert len(list(scan_advertised(body))) >= 100 * 10_000 // WINDOW_BYTES
    assert {"bash": "Bash"} == advertised(body)
