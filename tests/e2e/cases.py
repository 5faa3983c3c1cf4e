"""Cases of agents' and programs' tests: one run and its row in the table, and what was seen of it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import pytest

from . import clients
from .agent_run import AgentOutcome, AgentRun
from .asks import Format, read
from .replies import FINAL, TOOL_SAID
from .sdks import CLIENTS

_TERMINAL = re.compile("\x1b\\[[0-9;?]*[a-zA-Z]")


@dataclass(frozen=True)
class Case:
    """One run of an agent and its row in the table."""

    name: str
    agent: str
    provider: Format
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str, str]:
        return self.name, self.agent, self.provider

    def run(self) -> AgentOutcome:
        """Make the run. Raises :class:`clients.Lacking`."""
        run = AgentRun(self.agent, CLIENTS[self.agent].command(), self.provider, **self.options)
        outcome: AgentOutcome = clients.within("e2e.agent_run", run, run.limit_s)
        return outcome


def cases(name: str, cells: list[tuple[str, Format]], **options: Any) -> pytest.MarkDecorator:
    """Parametrize a test with a case for each pair of an agent and a provider's format."""
    made = [Case(name, agent, provider, options) for agent, provider in cells]
    return pytest.mark.parametrize("case", made, ids=lambda case: f"{case.agent}-{case.provider}")


@dataclass(frozen=True)
class Seen:
    """What was seen of a case."""

    outcome: AgentOutcome
    case: Case
    table: list[tuple[str, ...]]

    @property
    def said(self) -> str:
        """All that the user could read, in one line of words: agents wrap and indent."""
        return " ".join(_TERMINAL.sub("", self.outcome.said).replace('\\"', '"').split())

    @property
    def asked(self) -> list[dict[str, Any]]:
        """The records of requests for models."""
        return [record for record in self.outcome.records if record["route_type"] not in ("ADMIN", "REJECTED")]

    @property
    def with_tools(self) -> list[bytes]:
        """The bodies of requests for models with tools, as the provider got them: not those for titles and routes."""
        asked = [each for each in self.outcome.seen if not re.search("count_?tokens|input_tokens", each.target, re.I)]
        return [each.body for each in asked if read(self.case.provider, each.target, each.body).tools]

    def note(self, what: str) -> None:
        """Add the row of the table."""
        agent, case = CLIENTS[self.case.agent], self.case
        name = case.name if case.provider == agent.speaks else f"{case.name}, {case.provider}"
        asked, sent = ({r.get(field, "-") for r in self.asked} for field in ("requested_model", "resolved_model"))
        self.table.append((
            f"{agent.title} {agent.version}", name, f"{self.outcome.seconds:.1f}", ", ".join(sorted(asked)),
            ", ".join(sorted(sent)), what,
        ))  # fmt: skip


def assert_the_job_is_done(seen: Seen) -> None:
    """The agent ran the model's command, gave it the output, and ended with the model's answer."""
    assert FINAL in seen.said
    assert seen.outcome.status == 0, seen.said
    assert TOOL_SAID.encode() in seen.with_tools[-1]
    assert CLIENTS[seen.case.agent].asks in {record["requested_model"] for record in seen.asked}
