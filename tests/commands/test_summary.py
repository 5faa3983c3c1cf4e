"""The table at the end of ``run``."""

from __future__ import annotations

from ampmap.commands.summary import Summary
from ampmap.records.record import Record


def record(asked: str, status: int = 200, **fields: object) -> Record:
    found = Record(requested_model=asked, status=status, source="local", resolved_model="served", duration_ms=1500.0)
    for name, content in fields.items():
        setattr(found, name, content)
    return found


def test_requests_are_added_up_by_what_was_asked_and_who_served_it() -> None:
    summary = Summary()
    summary.add(record("a", input_tokens=900, output_tokens=20))
    summary.add(record("a", status=429, input_tokens=300))
    summary.add(record("longer", source="error", resolved_model="", status=400, duration_ms=1.0))
    summary.add(record("", path="/v1/models"))

    assert [
        "ampmap: 3 requests of X",
        "  2 ×  a → served  local   200, 429  3.0 s  ↑1.2k ↓20",
        "  1 ×  longer      nobody  400       0.0 s",
    ] == summary.lines("X")


def test_without_a_request_it_says_so() -> None:
    assert ["ampmap: X asked for no model through ampmap"] == Summary().lines("X")


def test_many_rows_are_counted_and_names_cut() -> None:
    summary = Summary()
    for number in range(14):
        summary.add(record(f"{number}-{'n' * 200}"))
    lines = summary.lines("X")

    assert "  and 2 more rows" == lines[-1] and len(lines) == 14
    assert max(map(len, lines)) <= 100


def test_nothing_in_it_can_draw_on_the_terminal() -> None:
    summary = Summary()
    summary.add(record("\x1b[2J\n", resolved_model="\x07"))

    assert all(line.isprintable() for line in summary.lines("X"))
