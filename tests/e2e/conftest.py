"""These tests run programs from the npm registry: only when asked for, by ``AMPMAP_E2E=1`` or by their path."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from .agent_run import KEY, AgentOutcome
from .cases import Case, Seen
from .runs import Runs

_HERE = Path(__file__).resolve().parent
TABLE = pytest.StashKey[list[tuple[str, ...]]]()


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave this directory out of a run of all tests."""
    named = [(config.invocation_params.dir / argument.partition("::")[0]).resolve() for argument in config.args]
    asked_for = os.environ.get("AMPMAP_E2E") == "1" or any(path.is_relative_to(_HERE) for path in named)
    return None if asked_for else True


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Show what was seen of each client in each scenario, and once each reason why one was not run."""
    skipped = [report.longrepr for report in terminalreporter.stats.get("skipped", ())]
    reasons = {longrepr[2] for longrepr in skipped if _HERE in Path(longrepr[0]).resolve().parents}
    for reason in sorted(reasons):
        terminalreporter.line(f"not run: {reason.removeprefix('Skipped: ')}")
    rows = config.stash.get(TABLE, [])
    if not rows:
        return
    rows = [("client", "scenario", "s", "asked for", "was sent as", "what was seen"), *sorted(rows)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    terminalreporter.section("real agents")
    for row in rows:
        terminalreporter.line("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


@pytest.fixture(scope="session")
def runs(request: pytest.FixtureRequest) -> Iterator[Runs]:
    """Begin all the runs that the collected tests will ask for."""
    with Runs() as made:
        for item in request.session.items:
            params = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
            if isinstance(case := params.get("case"), Case):
                made.begin(case.key, case.run)
        yield made


@pytest.fixture
def seen(case: Case, runs: Runs, request: pytest.FixtureRequest) -> Seen:
    """Return what was seen of the case, after what must be so in every run: a strict provider had nothing to say."""
    outcome: AgentOutcome = runs.get(case.key, case.run)
    assert outcome.complaints == [], outcome.said
    for arrival in outcome.seen:
        assert arrival.header("authorization") == f"Bearer {KEY}"
    assert KEY not in outcome.said
    attempts = sum(record["attempts"] for record in outcome.records)
    assert attempts == len(outcome.seen) or case.options.get("down"), (outcome.records, outcome.said)
    return Seen(outcome, case, request.config.stash.setdefault(TABLE, []))
