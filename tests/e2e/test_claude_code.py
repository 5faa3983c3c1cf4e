"""The real Claude Code, oldest and newest: a user whose model nobody serves reads what to write, and at once."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from . import clients
from .amp_cli import Outcome, Run
from .conftest import TABLE

# The first and, when this was written, the newest release of the npm registry; AMPMAP_CLAUDE_CODE names another one.
VERSIONS = ("0.2.9", "2.1.332", *filter(None, [os.environ.get("AMPMAP_CLAUDE_CODE")]))


def set_up(home: Path, url: str, settings: dict[str, Any]) -> dict[str, str]:
    """Answer the questions of a first start, which old releases ask under ``-p``, too; return the environment."""
    (home / ".claude.json").write_text(json.dumps({"hasCompletedOnboarding": True, "theme": "dark"}))
    return {
        "ANTHROPIC_BASE_URL": url, "ANTHROPIC_AUTH_TOKEN": "ampmap", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    }  # fmt: skip


@pytest.mark.parametrize("version", VERSIONS)
def test_claude_code_shows_whole_why_nobody_serves_its_model(version: str, request: pytest.FixtureRequest) -> None:
    try:
        outcome: Outcome = clients.run(Run(clients.claude_code(version), ("-p", "hi"), rules="", set_up=set_up))
    except clients.Lacking as exc:
        pytest.skip(str(exc))

    said = f"{outcome.stdout}\n{outcome.stderr}"
    unserved = [record for record in outcome.records if record["route_type"] == "NO_PROVIDER"]
    assert {400} == {record["status"] for record in unserved}, said
    message = unserved[-1]["detail"]
    assert message in said or json.dumps(message)[1:-1] in said  # old releases show the error's JSON
    assert "amp-model-mappings" in message
    assert outcome.status is not None and outcome.seconds < 20, said  # most of it is the start of an old release
    assert len(unserved) <= 6
    row = (f"claude {version}", "unserved", f"{outcome.seconds:.1f}", unserved[-1]["requested_model"], "-",
           f"the message, whole, after {len(unserved)} requests")  # fmt: skip
    request.config.stash.setdefault(TABLE, []).append(row)
