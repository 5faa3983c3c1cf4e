"""Each agent's settings, as ``ampmap doctor`` reads them: here, elsewhere, or hidden by something that comes first."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from ampmap.commands.agent_checks import check_agents
from ampmap.commands.agent_settings import SETTINGS
from ampmap.commands.agents import RUN
from ampmap.commands.findings import Finding
from ampmap.config.file import parse

HERE = "http://127.0.0.1:8267"
AWAY = "https://user.example/planted-in-a-path"
SELECTED = '{"security": {"auth": {"selectedType": "gemini-api-key"}}}'
FROM_ENV = {"GOOGLE_GEMINI_BASE_URL": HERE}


def looked(tmp_path: Path, files: dict[str, str], env: dict[str, str], more: str = "") -> list[Finding]:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    settings = parse(f"listen: 127.0.0.1:8267\n{more}", "f.yaml", {}).settings
    home = {"HOME": str(tmp_path), "PATH": str(tmp_path / "bin")}
    return check_agents(settings, {**home, **env}, tmp_path / "project")


def in_claude(url: str) -> str:
    return json.dumps({"env": {"ANTHROPIC_BASE_URL": url}})


def in_opencode(name: str, url: str) -> str:
    return json.dumps({"provider": {name: {"options": {"baseURL": url}}}})


def codex(url: str, more: str = "") -> str:
    return f'model_provider = "a"\n[model_providers.a]\nname = "a"\nbase_url = "{url}"\n{more}'


WELL: list[tuple[dict[str, str], dict[str, str]]] = [
    ({}, {"ANTHROPIC_BASE_URL": HERE}),
    ({}, {"ANTHROPIC_BASE_URL": "http://localhost:8267/"}),
    ({".claude/settings.json": in_claude(HERE)}, {"ANTHROPIC_BASE_URL": AWAY}),
    ({".codex/config.toml": codex(f"{HERE}/v1")}, {}),
    ({".codex/config.toml": f'openai_base_url = "{HERE}/v1"'}, {}),
    ({".codex/config.toml": f'profile = "x"\nprofiles.x.{codex(f"{HERE}/v1")}'}, {}),
    ({".gemini/settings.json": f"// mine\n{SELECTED}"}, FROM_ENV),
    ({}, {"GOOGLE_GENAI_USE_VERTEXAI": "true", "GOOGLE_VERTEX_BASE_URL": HERE}),
    ({".gemini/settings.json": SELECTED, ".gemini/.env": f'export GOOGLE_GEMINI_BASE_URL="{HERE}"\n'}, {}),
    ({".config/opencode/opencode.jsonc":
      "// mine\n" + in_opencode("anthropic", f"{HERE}/v1").replace("}}", "}, /**/ }", 1)}, {}),
    ({}, {"OPENCODE_CONFIG_CONTENT": in_opencode("google", f"{HERE}/v1beta")}),
    ({}, {"OPENAI_BASE_URL": f"{HERE}/v1"}),
    ({".pi/agent/models.json": json.dumps({"providers": {"anthropic": {"baseUrl": HERE}}})}, {}),
    ({".aider.conf.yml": f"openai-api-base: {HERE}/v1\n"}, {}),
    ({}, {"AMP_URL": HERE, "AMP_API_KEY": "sgamp_key"}),
    ({".config/amp/settings.json": json.dumps({"amp.url": HERE}),
      ".local/share/amp/secrets.json": json.dumps({f"apiKey@{HERE}/": "sgamp_key"})}, {}),
]  # fmt: skip


@pytest.mark.parametrize(("files", "env"), WELL)
def test_an_agent_that_leads_here_is_well(tmp_path: Path, files: dict[str, str], env: dict[str, str]) -> None:
    findings = looked(tmp_path, files, env)

    assert {"well"} == {finding.state for finding in findings}, findings


BAD: list[tuple[dict[str, str], dict[str, str], str, str]] = [
    ({".claude/settings.json": in_claude(AWAY)}, {"ANTHROPIC_BASE_URL": HERE},
     "ANTHROPIC_BASE_URL of the environment leads here, but ANTHROPIC_BASE_URL of 'env' in ", "ampmap run claude"),
    ({".claude/settings.json": '{"env": {"CLAUDE_CODE_USE_VERTEX": "1"}}'}, {"ANTHROPIC_BASE_URL": HERE},
     "CLAUDE_CODE_USE_VERTEX of 'env' in ", "take it out there"),
    ({"project/.claude/settings.local.json": '{"env": {"ANTHROPIC_BASE_URL": "x"}}'}, {"ANTHROPIC_BASE_URL": HERE},
     "comes first: something that is no URL", "ampmap run claude"),
    ({}, {"ANTHROPIC_BASE_URL": f"{HERE}/v1"}, "its scheme or path is wrong", "write http://127.0.0.1:8267"),
    ({}, {"ANTHROPIC_BASE_URL": HERE.replace("http", "https")}, "its scheme or path is wrong", f"write {HERE}"),
    ({".codex/config.toml": codex(HERE)}, {}, "its scheme or path is wrong", f"write {HERE}/v1"),
    ({".codex/config.toml": codex(f"{HERE}/v1", 'wire_api = "chat"')}, {}, "wire_api", '"responses"'),
    ({".gemini/settings.json": SELECTED.replace("gemini-api-key", "oauth-personal")}, FROM_ENV,
     "the login 'oauth-personal'", "/auth"),
    ({}, FROM_ENV, "selects a login that it then refuses", '"selectedType": "gemini-api-key"'),
    ({".qwen/settings.json": SELECTED.replace("gemini-api-key", "qwen-oauth")}, {"OPENAI_BASE_URL": f"{HERE}/v1"},
     "selects the login 'qwen-oauth'", "qwen --auth-type openai"),
    ({}, {"AMP_URL": HERE}, "it has no token for that address", "amp login"),
    ({".claude/settings.json": "{planted"}, {}, "settings.json cannot be read", "correct that file"),
    ({".codex/config.toml": "planted"}, {}, "config.toml cannot be read", "correct that file"),
    ({".pi/agent/models.json": "[" * 100_000}, {}, "models.json cannot be read", "correct that file"),
]  # fmt: skip


@pytest.mark.parametrize(("files", "env", "what", "remedy"), BAD)
def test_what_keeps_an_agent_from_coming_here_is_a_fault_with_a_way_out(
    tmp_path: Path, files: dict[str, str], env: dict[str, str], what: str, remedy: str
) -> None:
    findings = looked(tmp_path, files, env)

    assert [
        finding for finding in findings if finding.state == "bad" and what in finding.what and remedy in finding.remedy
    ]
    assert "planted" not in str(findings) and "user.example/" not in str(findings)


@pytest.mark.parametrize("name", SETTINGS)
def test_an_installed_agent_that_nothing_points_here_is_a_note(tmp_path: Path, name: str) -> None:
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / name
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)

    [finding] = looked(tmp_path, {}, {})

    assert "note" == finding.state and "leads to its vendor" in finding.what
    assert f"`ampmap run {name}`" in finding.remedy and f"`ampmap env {name}`" in finding.remedy


def test_an_agent_that_leads_elsewhere_shows_the_host_alone(tmp_path: Path) -> None:
    [finding] = looked(tmp_path, {}, {"ANTHROPIC_BASE_URL": AWAY})

    assert ("note", "Claude Code: leads to user.example (ANTHROPIC_BASE_URL of the environment)") == (
        finding.state,
        finding.what,
    )


def test_every_agent_that_can_be_run_is_looked_at() -> None:
    assert set(RUN) == SETTINGS.keys()


def test_the_key_of_agents_is_compared_and_not_shown(tmp_path: Path) -> None:
    more = "api-keys: [planted-one]"

    [_, unset] = looked(tmp_path, {}, {}, more)
    [_, wrong] = looked(tmp_path, {}, {"AMPMAP_API_KEY": "planted-two"}, more)

    assert ("note", "bad") == (unset.state, wrong.state)
    assert 1 == len(looked(tmp_path, {}, {"AMPMAP_API_KEY": "planted-one"}, more))
    assert "planted" not in f"{unset}{wrong}"


def test_an_http_proxy_for_this_machine_too_is_a_note(tmp_path: Path) -> None:
    env = {"HTTPS_PROXY": "http://user:planted@proxy.example:1"}
    [_, finding] = looked(tmp_path, {}, env)

    assert ("note", "export NO_PROXY=127.0.0.1") == (finding.state, finding.remedy)
    assert 1 == len(looked(tmp_path, {}, {**env, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}))


def test_a_pipe_in_the_place_of_a_file_is_told_and_blocks_nothing(tmp_path: Path) -> None:

    (tmp_path / ".claude").mkdir()
    os.mkfifo(tmp_path / ".claude" / "settings.json")

    assert "cannot be read" in looked(tmp_path, {}, {})[0].what


PLANTED = ("project/.claude/settings.json", "project/.gemini/.env", "project/opencode.json", "project/.aider.conf.yml")


@pytest.mark.parametrize(
    "text", ['"' + '\\"' * 20_000, "/* " * 20_000, "\n" * 20_000, "a=x" + " " * 20_000 + "y", "," * 40_000]
)
def test_files_of_a_strangers_folder_are_read_in_linear_time(tmp_path: Path, text: str) -> None:
    """The search for the end of a text holds the interpreter: no deadline and no Ctrl-C would end it."""
    began = time.thread_time()

    looked(tmp_path, dict.fromkeys(PLANTED, text), {})

    assert time.thread_time() - began < 1, "from every place anew it takes several seconds, and hours for a megabyte"


@pytest.mark.parametrize("value", [[1], "x", 1, True, {"ANTHROPIC_BASE_URL": [1]}, {"x": {"options": [1]}}, [[]]])
def test_settings_of_other_types_are_passed_over(tmp_path: Path, value: object) -> None:
    text = json.dumps({"env": value, "provider": value, "security": value})

    assert looked(tmp_path, dict.fromkeys(PLANTED, text), {}) == looked(tmp_path / "empty", {}, {})
