"""aider, which offers no tools, edits a file by the text of an answer, and commits it, through ampmap."""

from __future__ import annotations

import itertools
from typing import get_args

import pytest

from .asks import Format
from .cases import Case, Seen, cases
from .provider import Faults
from .replies import AFTER, BEFORE, EDITED, EDITS, FINAL
from .sdks import AIDER

CELLS: list[tuple[str, Format]] = [("aider", spoken) for spoken in get_args(Format)]
FAULTY: list[tuple[str, Format]] = [("aider", AIDER.speaks), ("aider", "anthropic")]

_LIMIT_S = 240.0  # LiteLLM's import alone takes a minute on a busy machine


def _arguments(form: str) -> tuple[str, ...]:
    return ("--edit-format", form, EDITED, "--message")


_REPOSITORY = {"repository": {EDITED: BEFORE}, "limit_s": _LIMIT_S}
_EDITED = [
    Case(f"edit by {form}, {via}", "aider", spoken, {"via": via, "arguments": _arguments(form), **_REPOSITORY})
    for form, (_, spoken), via in itertools.product(EDITS, CELLS, ("run", "env"))
    if via == "run" or spoken == AIDER.speaks
]


def assert_the_file_is_edited(seen: Seen) -> None:
    """aider made the model's edit, and committed it with the model's words."""
    assert seen.outcome.status == 0, seen.said
    assert {EDITED: AFTER} == seen.outcome.repository, seen.said
    assert [FINAL, "begin"] == seen.outcome.commits, seen.said


@pytest.mark.parametrize("case", _EDITED, ids=lambda case: f"{case.provider}-{case.name}")
def test_aider_edits_a_file(case: Case, seen: Seen) -> None:
    assert_the_file_is_edited(seen)
    assert [("MODEL_MAPPING", 200, "ok")] * 2 == [(r["route_type"], r["status"], r["outcome"]) for r in seen.asked]
    assert AIDER.asks in {record["requested_model"] for record in seen.asked}
    seen.note(f"edited and committed after {len(seen.asked)} requests")


@cases("429 twice", FAULTY, faults=Faults(limited=2), arguments=_arguments("diff"), **_REPOSITORY)
def test_aider_asks_again_when_it_asks_too_often(case: Case, seen: Seen) -> None:
    assert_the_file_is_edited(seen)
    assert [429, 429] == [record["status"] for record in seen.asked if record["status"] != 200]
    seen.note(f"edited and committed after {len(seen.asked)} requests")


@cases("cut stream", FAULTY, faults=Faults(cut=1), arguments=_arguments("diff"), **_REPOSITORY)
def test_aider_sees_that_a_stream_was_cut(case: Case, seen: Seen) -> None:
    assert 1 == [record["outcome"] for record in seen.asked].count("upstream_truncated")
    assert_the_file_is_edited(seen)
    seen.note(f"edited and committed after {len(seen.asked)} requests")
