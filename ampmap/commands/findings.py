"""The findings of ``ampmap doctor``, shown to a person or to a machine."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from ..escaping import counted, printable

State = Literal["well", "note", "bad"]

_WIDTH = 100
_MARKS = {"well": "✓", "note": "•", "bad": "✗"}
_PLAIN_MARKS = {"well": "+", "note": "-", "bad": "x"}
_COLOURS = {"well": "32", "note": "33", "bad": "31"}


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check: ``well``, ``bad``, or a ``note``, which does not count as a fault; and the way out."""

    area: str
    state: State
    what: str
    remedy: str = ""


def is_well(findings: Sequence[Finding]) -> bool:
    """Tell whether nothing is bad."""
    return all(finding.state != "bad" for finding in findings)


def as_dict(findings: Sequence[Finding]) -> dict[str, Any]:
    """Return the findings for a machine."""
    return {"well": is_well(findings), "findings": [asdict(finding) for finding in findings]}


def as_lines(findings: Sequence[Finding], encoding: str, *, colour: bool) -> Iterator[str]:
    """Yield the findings for a person, aligned, in lines of 100 columns at most; ``encoding`` is the output's."""
    try:
        "".join((*_MARKS.values(), "→")).encode(encoding)
        marks, arrow = _MARKS, "→"
    except (UnicodeEncodeError, LookupError):
        marks, arrow = _PLAIN_MARKS, "->"
    width = max(len(finding.area) for finding in findings)
    before = ""
    for finding in findings:
        mark = marks[finding.state]
        if colour:
            mark = f"\x1b[{_COLOURS[finding.state]}m{mark}\x1b[0m"
        area = finding.area if finding.area != before else ""
        before = finding.area
        first, *more = _wrapped(finding.what, width)
        yield f"{mark} {area:<{width}}  {first}"
        remedy = _wrapped(f"{arrow} {finding.remedy}", width) if finding.remedy else []
        yield from (f"  {'':<{width}}  {line}" for line in [*more, *remedy])
    numbers = {state: sum(finding.state == state for finding in findings) for state in _MARKS}
    notes = f", {counted(numbers['note'], 'note')}" if numbers["note"] else ""
    yield ""
    yield f"{counted(numbers['bad'], 'fault')}{notes}" if numbers["bad"] else f"all is well{notes}"


def _wrapped(text: str, width: int) -> list[str]:
    room = _WIDTH - width - 4
    # A path or a command is copied, so it stays whole.
    return textwrap.wrap(printable(text), room, break_long_words=False, break_on_hyphens=False) or [""]
