"""The table that ``run`` prints at its end: what an agent asked for, and who served it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from ..escaping import counted, printable
from ..records.record import Record
from .table import NAME_CHARS, aligned

_ROWS = 12


@dataclass(slots=True)
class _Row:
    statuses: Counter[int] = field(default_factory=Counter)
    duration_ms: float = 0.0
    tokens_in: int = 0
    tokens_out: int = 0


class Summary:
    """Requests for models, counted by the requested name, the provider that served them, and its name of the model."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str, str], _Row] = {}

    def add(self, record: Record) -> None:
        """Count one request, if it asks for a model."""
        if not record.requested_model:
            return
        source = record.source if record.source != "error" else "nobody"
        row = self._rows.setdefault((record.requested_model, record.resolved_model, source), _Row())
        row.statuses[record.status] += 1
        row.duration_ms += record.duration_ms
        row.tokens_in += record.input_tokens or 0
        row.tokens_out += record.output_tokens or 0

    def lines(self, title: str) -> list[str]:
        """Return the table, aligned, the most frequent requests first."""
        total = sum(row.statuses.total() for row in self._rows.values())
        if not total:
            return [f"ampmap: {title} asked for no model through ampmap"]
        rows = sorted(self._rows.items(), key=lambda item: -item[1].statuses.total())
        lines = [f"ampmap: {counted(total, 'request')} of {title}"]
        lines += [f"  {line}" for line in aligned([_cells(*names, row) for names, row in rows[:_ROWS]], right=(0, 4))]
        if len(rows) > _ROWS:
            lines.append(f"  and {counted(len(rows) - _ROWS, 'more row')}")
        return lines


def _cells(asked: str, served: str, source: str, row: _Row) -> tuple[str, ...]:
    asked, served = printable(asked)[:NAME_CHARS], printable(served)[:NAME_CHARS]
    statuses = ", ".join(str(status) for status in sorted(row.statuses))
    tokens = f"↑{_short(row.tokens_in)} ↓{_short(row.tokens_out)}" if row.tokens_in or row.tokens_out else ""
    number = f"{row.statuses.total()} ×"
    names = f"{asked} → {served}" if served else asked
    return number, names, printable(source), statuses, f"{row.duration_ms / 1e3:.1f} s", tokens


def _short(number: int) -> str:
    return str(number) if number < 1000 else f"{number / 1000:.1f}k"
