"""The log for people: one line for each request within 100 columns, with what stands out, and nothing forged."""

from __future__ import annotations

import logging
import re
import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ampmap.errors import Outcome
from ampmap.records.human_format import COLUMNS, HumanFormatter, is_for_people, wants_colour
from ampmap.records.record import Record

AT = time.mktime((2026, 5, 1, 14, 2, 7, 0, 0, -1))
HINT = "this request spends Amp credits. To serve it yourself: ampmap map add a b (or add a: [b])"


def entry(message: str, *args: object, level: int = logging.INFO) -> logging.LogRecord:
    made = logging.LogRecord("ampmap.x", level, "f.py", 1, message, args, None)
    made.created = AT
    return made


def shown(record: Record, encoding: str = "utf-8", *, colour: bool = False) -> str:
    return HumanFormatter(encoding, colour=colour).format(entry("%s", record))


def served(**more: object) -> Record:
    fields: dict[str, object] = {
        "route_type": "MODEL_MAPPING", "requested_model": "claude-opus-4-8", "resolved_model": "qwen3-coder:30b",
        "provider": "ollama", "source": "ollama", "cost": "own", "path": "/v1/messages", "method": "POST",
        "status": 200, "duration_ms": 9600.0, "input_tokens": 2103, "output_tokens": 503,
    }  # fmt: skip
    return Record(**{**fields, **more})  # type: ignore[arg-type]


def paid(**more: object) -> Record:
    fields = {"route_type": "AMP_CREDITS", "resolved_model": "", "provider": "", "source": "ampcode.com"}
    return served(**{**fields, "cost": "amp_credits", "input_tokens": None, "output_tokens": None, **more})


@pytest.mark.parametrize(
    ("record", "line"),
    [
        (served(), "14:02:07  claude-opus-4-8 → qwen3-coder:30b  ollama  200  9.6 s  ↑2.1k ↓503"),
        (
            served(resolved_model="claude-opus-4-8", input_tokens=None, output_tokens=1_234_567, duration_ms=12.3),
            "14:02:07  claude-opus-4-8  ollama  200  12 ms  ↓1.2M",
        ),
        (
            served(translated="anthropic -> openai-chat", lost="top_k", resolved_model="m"),
            "14:02:07  claude-opus-4-8 → m  ollama  as openai-chat  200  9.6 s  ↑2.1k ↓503  lost top_k",
        ),
        (
            paid(hint=HINT, paste="ampmap map add a b"),
            "14:02:07  claude-opus-4-8  ampcode.com  200  9.6 s  costs credits\n"
            "          ! to serve it yourself: ampmap map add a b",
        ),
        (
            served(source="error", status=502, outcome="upstream_error", detail="provider ollama: refused",
                   resolved_model="m", input_tokens=None, output_tokens=None, duration_ms=182_000.0),
            "14:02:07  claude-opus-4-8 → m  ollama  502  182 s  failed\n          ! provider ollama: refused",
        ),
        (
            served(outcome="client_gone", detail="the client left", output_tokens=None),
            "14:02:07  claude-opus-4-8 → qwen3-coder:30b  ollama  200  9.6 s  ↑2.1k  client left",
        ),
        (
            Record(route_type="NO_PROVIDER", requested_model="m", status=404, outcome="rejected", detail="do this"),
            "14:02:07  m  no provider  404  0 ms\n          ! do this",
        ),
        (
            Record(route_type="MANAGEMENT", method="GET", path="/api/internal", source="ampcode.com", status=200),
            "14:02:07  GET /api/internal  ampcode.com  200  0 ms",
        ),
    ],
)  # fmt: skip
def test_a_request_is_one_line_and_what_needs_attention_has_a_second(record: Record, line: str) -> None:
    assert line == shown(record)


@pytest.mark.parametrize(
    ("record", "painted"),
    [
        (served(), "\x1b[2m14:02:07\x1b[0m"),
        (paid(hint=HINT, paste="ampmap map add a b"), "\x1b[33mcosts credits\x1b[0m"),
        (paid(hint=HINT, paste="ampmap map add a b"), "\x1b[33m! to serve it yourself: ampmap map add a b\x1b[0m"),
        (served(status=429, outcome="upstream_error"), "\x1b[31m429\x1b[0m"),
        (served(outcome="upstream_truncated"), "\x1b[31mreply cut off\x1b[0m"),
        (served(translated="gemini -> anthropic"), "\x1b[36mas anthropic\x1b[0m"),
    ],
)
def test_colours_only_paint_what_is_there(record: Record, painted: str) -> None:
    line = shown(record, colour=True)

    assert painted in line
    assert shown(record) == re.sub("\x1b\\[[0-9]+m", "", line)


def columns(text: str) -> int:
    """Count as a terminal does: two columns for what Asian typography calls wide, none for what combines."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


names = st.text(max_size=120) | st.text("漢e\u0301x", max_size=120)
numbers = st.none() | st.integers(0, 10**10)
OUTCOMES: tuple[Outcome, ...] = (
    "ok", "client_gone", "upstream_truncated", "timeout", "rejected", "upstream_error", "shutdown"
)  # fmt: skip


@given(
    asked=names, used=names, provider=names, lost=names, inputs=numbers, outputs=numbers,
    translated=st.sampled_from(["", "gemini -> openai-responses"]), outcome=st.sampled_from(OUTCOMES),
    ms=st.floats(0, 1e8), cost=st.sampled_from(["own", "amp_credits"]),
    encoding=st.sampled_from(["utf-8", "ascii", "latin-1"]),
)  # fmt: skip
def test_a_line_fits_whatever_it_holds_and_any_terminal_can_show_it(
    asked: str, used: str, provider: str, lost: str, inputs: int | None, outputs: int | None, translated: str,
    outcome: Outcome, ms: float, cost: str, encoding: str,
) -> None:  # fmt: skip
    record = served(
        requested_model=asked, resolved_model=used, provider=provider, lost=lost, input_tokens=inputs, cost=cost,
        output_tokens=outputs, translated=translated if cost == "own" else "", outcome=outcome, duration_ms=ms,
    )  # fmt: skip

    line = shown(record, encoding)

    assert line.isprintable()
    assert line.encode(encoding)
    assert columns(line) <= COLUMNS
    assert "  200  " in line


def test_both_names_are_told_from_others_where_they_are_too_long() -> None:
    line = shown(served(requested_model="claude-" + "x" * 90 + "-8", resolved_model="qwen-" + "y" * 90 + ":30b"))

    assert re.match("14:02:07  claude-x+…x+-8 → qwen-y+…y+:30b  ollama  200", line)
    assert COLUMNS == columns(line)


HOSTILE = "a\n14:02:07  forged \x1b[31m\u202e\u2028\x85\ud800"


def test_what_a_client_wrote_begins_no_line_and_steers_no_terminal() -> None:
    formatter = HumanFormatter("utf-8", colour=False)
    record = Record(requested_model=HOSTILE, path=HOSTILE, status=400, outcome="rejected", detail=HOSTILE)

    lines = [*shown(record).split("\n"), *formatter.format(entry("%s", HOSTILE)).split("\n")]

    assert 3 == len(lines)
    assert all(line.isprintable() for line in lines)


def test_other_events_are_marked_by_their_level() -> None:
    formatter = HumanFormatter("utf-8", colour=False)

    assert "14:02:07  provider a is back" == formatter.format(entry("provider %s is back", "a"))
    assert "14:02:07  ! it is down" == formatter.format(entry("it is down", level=logging.WARNING))
    assert "14:02:07  \x1b[31m! a bug\x1b[0m" in HumanFormatter("utf-8", colour=True).format(
        entry("a bug", level=logging.ERROR)
    ).replace("\x1b[2m14:02:07\x1b[0m", "14:02:07")


def test_a_traceback_is_indented() -> None:
    failed = entry("failed", level=logging.ERROR)
    failed.exc_info = (ValueError, ValueError(HOSTILE), None)

    first, *rest = HumanFormatter("utf-8", colour=False).format(failed).split("\n")

    assert "14:02:07  ! failed" == first
    assert rest and all(line.startswith(" " * 10) and line.isprintable() for line in rest)


@pytest.mark.parametrize(
    ("fields", "is_shown"),
    [
        ({"path": "/_ampmap/health", "route_type": "ADMIN", "status": 200}, False),
        ({"path": "/_ampmap/ready", "route_type": "ADMIN", "status": 503}, False),
        ({"path": "/_ampmap/status", "route_type": "REJECTED", "status": 403}, False),
        ({"path": "/", "method": "HEAD", "route_type": "ADMIN", "status": 200}, False),
        ({"path": "/v1/models", "route_type": "ADMIN", "status": 200}, False),
        ({"path": "/v1/models/x", "route_type": "ADMIN", "status": 404}, True),
        ({"path": "/v1/messages", "route_type": "LOCAL_PROVIDER", "status": 200}, True),
        ({"path": "/api/internal", "route_type": "MANAGEMENT", "status": 200}, True),
    ],
)
def test_probes_and_looks_at_the_proxy_are_left_out(fields: dict[str, object], is_shown: bool) -> None:
    assert is_shown == is_for_people(entry("%s", Record(**fields)))  # type: ignore[arg-type]
    assert is_for_people(entry("%s", "anything else"))


@pytest.mark.parametrize(
    ("env", "colours"),
    [({}, True), ({"NO_COLOR": ""}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)],
)
def test_a_user_can_turn_colours_off(env: dict[str, str], colours: bool) -> None:
    assert colours == wants_colour(env)
