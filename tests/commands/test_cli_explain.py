"""``ampmap explain`` as a shell runs it: what it prints, and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ampmap.commands.main import main

CONFIG = """\
listen: 127.0.0.1:0
amp-model-mappings:
  - {from: claude-opus-4.5, to: claude-sonnet-4}
  - {from: '^gpt-5', to: claude-sonnet-4, regex: true}
  - {from: costly, to: unserved, credits: refuse}
providers:
  - {name: anthropic, type: anthropic, api-key: not-shown, models: [claude-sonnet-4]}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "ampmap.yaml"
    path.write_text(CONFIG)
    path.chmod(0o600)
    return path


@pytest.fixture(autouse=True)
def no_config_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AMPMAP_CONFIG", "XDG_CONFIG_HOME", "ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GEMINI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.mark.parametrize(
    ("arguments", "code", "shown"),
    [
        (["claude-sonnet-4"], 0, "anthropic: LOCAL_PROVIDER  claude-sonnet-4  by anthropic"),
        (["claude-opus-4.5"], 0, "anthropic: MODEL_MAPPING  claude-opus-4.5 -> claude-sonnet-4  by anthropic"),
        (["gpt-5-codex", "--protocol", "anthropic"], 0, "* rule '^gpt-5' (regex) -> claude-sonnet-4"),
        (["unknown"], 3, "Amp's paths under /api/provider/: AMP_CREDITS  goes to the Amp upstream"),
        (["unknown", "--as", "amp"], 3, 'amp-model-mappings: [{from: "unknown"'),
        (["unknown", "--as", "claude"], 4, "anthropic: NO_PROVIDER"),
        (["claude-opus-4.5", "--as", "claude"], 0, "anthropic: MODEL_MAPPING  claude-opus-4.5 -> claude-sonnet-4"),
        (["claude-opus-4.5", "--as", "codex"], 4, "openai-responses: NO_PROVIDER"),
        (["claude-opus-4.5", "--as", "codex", "--protocol", "anthropic"], 0, "anthropic: MODEL_MAPPING"),
        (["costly"], 4, "Amp's paths under /api/provider/: REFUSED"),
        (["costly", "--as", "amp"], 4, "'credits: refuse' on rule 'costly' -> unserved"),
        (
            ["claude-opus-4.5", "--protocol", "gemini"],
            3,
            "gemini: NO_PROVIDER",
        ),
    ],
)
def test_explain_tells_the_decision_and_exits_by_it(
    config: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, shown: str
) -> None:
    assert code == main(["explain", "--config", str(config), *arguments])
    assert shown in capsys.readouterr().out


def test_explain_speaks_json(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 == main(["explain", "claude-opus-4.5", "--json", "--config", str(config)])
    told = json.loads(capsys.readouterr().out)
    assert 0 == told["exit_code"]
    by_protocol = {decision["protocol"]: decision for decision in told["decisions"]}
    assert [{"provider": "anthropic", "model": "claude-sonnet-4"}] == by_protocol["anthropic"]["candidates"]
    assert ("NO_PROVIDER", "none") == (by_protocol["gemini"]["route_type"], by_protocol["gemini"]["cost"])
    by_protocol = {decision["protocol"]: decision for decision in told["amp_decisions"]}
    assert ("AMP_CREDITS", "amp_credits") == (by_protocol["gemini"]["route_type"], by_protocol["gemini"]["cost"])


def test_explain_shows_the_bytes_that_would_change(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    request = tmp_path / "request.json"
    request.write_text('{"max_tokens": 1, "model": "claude-opus-4.5"}')

    assert 0 == main(["explain", "--request", str(request), "--config", str(config)])
    assert 'bytes 27 to 44 of 45 change: "claude-opus-4.5" -> "claude-sonnet-4" (45 bytes are sent)' in (
        capsys.readouterr().out
    )


def test_a_header_and_a_provider_are_part_of_what_is_explained(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text(
        "amp-model-mappings: [{from: a, to: claude-sonnet-4, when: {header: {x-a: b}, provider: p}}]\n"
        + CONFIG[CONFIG.index("providers") :]
    )
    arguments = ["explain", "a", "--protocol", "anthropic", "--config", str(config)]

    assert 3 == main(arguments)
    assert "its condition does not hold: provider 'p'" in capsys.readouterr().out
    assert 0 == main([*arguments, "--provider", "p", "--header", "X-A: B"])
    with pytest.raises(SystemExit, match="2"):
        main([*arguments, "--header", "none"])
