"""Lines of shell that point each agent at a proxy: a shell accepts them, they do without more, and people find them."""

from __future__ import annotations

import json
import os
import shlex
import subprocess

import pytest

from ampmap.commands.agents import AGENTS, PROGRAMS, RUN, Address
from ampmap.commands.env import env_lines, exports, past_proxies
from ampmap.formats.registry import FORMATS

URL = "http://127.0.0.1:8267"


def evaluated(lines: list[str], env: dict[str, str], then: str = "") -> dict[str, str]:
    """The environment of a shell that has evaluated the lines, or of what is run ``then``."""
    script = f'eval "$1" && {then or "env -0"}'
    env = {"PATH": os.environ["PATH"], **env}
    done = subprocess.run(["sh", "-euc", script, "sh", "\n".join(lines)], env=env, capture_output=True, check=True)
    assert done.stderr == b""
    return dict(pair.split("=", 1) for pair in done.stdout.decode().split("\0") if pair)


@pytest.mark.parametrize(
    ("agent", "expected"),
    [
        ("amp", {"AMP_URL": URL}),
        ("claude", {"ANTHROPIC_BASE_URL": URL, "ANTHROPIC_AUTH_TOKEN": "ampmap"}),
        ("codex", {"AMPMAP_API_KEY": "ampmap"}),
        ("openai", {"OPENAI_BASE_URL": f"{URL}/v1", "OPENAI_API_KEY": "ampmap"}),
        (
            "gemini",
            {
                "GOOGLE_GENAI_USE_VERTEXAI": "true", "GOOGLE_VERTEX_BASE_URL": URL, "GOOGLE_API_KEY": "ampmap",
                "GEMINI_DEFAULT_AUTH_TYPE": "vertex-ai",
            },
        ),
        (
            "qwen",
            {
                "OPENAI_BASE_URL": f"{URL}/v1", "OPENAI_API_KEY": "ampmap", "OPENAI_MODEL": "gpt-6.2-sol",
                "QWEN_DEFAULT_AUTH_TYPE": "openai",
            },
        ),
        ("pi", {"ANTHROPIC_API_KEY": "ampmap"}),
        (
            "aider",
            {"OPENAI_API_BASE": f"{URL}/v1", "OPENAI_API_KEY": "ampmap", "ANTHROPIC_API_BASE": URL},
        ),
    ],
)  # fmt: skip
def test_each_agent_gets_its_own_variables(agent: str, expected: dict[str, str]) -> None:
    found = evaluated(env_lines(agent, URL, False), {})

    assert expected == {name: found[name] for name in found.keys() - {"PATH", "PWD", "_", "SHLVL", "OLDPWD"}}


def test_opencode_is_pointed_by_a_variable_that_holds_its_configuration() -> None:
    found = evaluated(env_lines("opencode", URL, False), {})["OPENCODE_CONFIG_CONTENT"]

    options = {name: each["options"] for name, each in json.loads(found)["provider"].items()}
    assert {"baseURL": f"{URL}/v1", "apiKey": "ampmap"} == options["anthropic"] == options["openai"]
    assert {"baseURL": f"{URL}/v1beta", "apiKey": "ampmap"} == options["google"]


def test_what_opencode_was_told_before_stays() -> None:
    before = {"OPENCODE_CONFIG_CONTENT": '{"theme": "x", "provider": {"openai": {"models": {"m": {}}}}}'}
    lines = env_lines("opencode", URL, False, env=before)

    found = json.loads(evaluated(lines, {})["OPENCODE_CONFIG_CONTENT"])
    assert found["theme"] == "x" and found["provider"]["openai"]["models"] == {"m": {}}
    assert found["provider"]["openai"]["options"]["baseURL"] == f"{URL}/v1"


def test_opencode_can_be_pointed_twice_in_one_shell() -> None:
    once = evaluated(env_lines("opencode", URL, False), {})
    twice = evaluated(env_lines("opencode", URL, False, env=once), once)

    assert json.loads(twice["OPENCODE_CONFIG_CONTENT"]) == json.loads(once["OPENCODE_CONFIG_CONTENT"])


@pytest.mark.parametrize("agent", AGENTS)
def test_a_proxy_with_keys_takes_them_from_a_variable(agent: str) -> None:
    lines = env_lines(agent, URL, True)
    found = evaluated(lines, {"AMPMAP_API_KEY": "one $two", "OPENAI_API_KEY": "theirs"})

    assert any("one $two" in text for name, text in found.items() if name != "AMPMAP_API_KEY" or agent == "codex")
    assert all("one" not in line for line in lines if not line.startswith("#"))


def test_a_key_that_the_user_has_is_kept() -> None:
    assert "mine" == evaluated(env_lines("gemini", URL, False), {"GOOGLE_API_KEY": "mine"})["GOOGLE_API_KEY"]


@pytest.mark.parametrize("agent", ["claude", "codex", "opencode", "pi"])
def test_where_a_provider_wants_the_agents_own_login_no_key_comes_before_it(agent: str) -> None:
    lines = env_lines(agent, URL, False, login=True)

    assert not [line for line in lines if line.startswith("export") and ("KEY" in line or "TOKEN" in line)]
    assert "apiKey" not in "".join(lines)


def test_without_an_agent_all_are_pointed_here() -> None:
    found = evaluated(env_lines(None, "http://0.0.0.0:9/", False), {})

    assert "http://127.0.0.1:9" == found["AMP_URL"] == found["ANTHROPIC_BASE_URL"] == found["GOOGLE_VERTEX_BASE_URL"]
    assert "http://127.0.0.1:9/v1" == found["OPENAI_BASE_URL"]


@pytest.mark.parametrize("url", ["http://h/$(touch pwned)", "http://h/`x`", "http://h/'; exit 1; '", 'http://h/"x'])
def test_a_url_cannot_break_out_of_its_line(url: str) -> None:
    lines = env_lines(None, url, False)

    assert url == evaluated(lines, {})["AMP_URL"]
    assert all(line.startswith(("#", "export ", "codex() {")) and "\n" not in line for line in lines)
    assert all(len(shlex.split(line)) == 2 for line in lines if line.startswith("export"))


def test_codex_becomes_a_function_whose_options_point_it_here() -> None:
    lines = [line.replace("command codex", "told") for line in env_lines("codex", URL, False)]
    told = "told() { n=0; for each; do printf '%s=%s\\0' $n \"$each\"; n=$((n + 1)); done; }"

    found = evaluated([told, *lines], {}, "codex exec 'say hi'")
    assert ["-c", 'model_provider="ampmap"', "-c"] == list(found.values())[:3]
    assert f'base_url = "{URL}/v1"' in found["3"]
    assert ["exec", "say hi"] == list(found.values())[4:]


@pytest.mark.parametrize("agent", RUN)
def test_what_an_agent_needs_besides_is_said(agent: str) -> None:
    lines = env_lines(agent, URL, False)

    assert f"# {AGENTS[agent].title}" == lines[0]
    assert [line for line in lines[1:] if line.startswith("# ")]
    assert not [line for line in lines if "{url}" in line or "{folder}" in line]


@pytest.mark.parametrize(
    ("url", "reached"),
    [
        ("http://0.0.0.0:8267", "http://127.0.0.1:8267"),
        ("http://[::]:8267", "http://[::1]:8267"),
        ("http://192.0.2.1:80", "http://192.0.2.1:80"),
    ],
)
def test_an_agent_is_pointed_at_an_address_it_can_reach(url: str, reached: str) -> None:
    found = {line[:12].strip(): line[13:] for line in exports(url, False)}

    assert [agent.title for agent in AGENTS.values()] == list(found)
    assert f"export AMP_URL={reached}" == found["Amp"]
    assert f"export ANTHROPIC_BASE_URL={reached}" == found["Claude Code"]
    assert f"export OPENAI_BASE_URL={reached}/v1" == found["OpenAI SDKs"]
    port = "" if url.endswith(":8267") else " --port 80"
    assert f'eval "$(ampmap env codex{port})"' == found["Codex"]
    assert f'eval "$(ampmap env gemini{port})"' == found["Gemini CLI"]


@pytest.mark.parametrize("agent", RUN)
def test_run_points_each_agent_here_by_more_than_its_settings_can_undo(agent: str) -> None:
    found = AGENTS[agent].point(Address(URL, "the-key"), {})

    assert URL in "\n".join([*found.variables.values(), *found.options, *found.files.values()])
    assert "the-key" not in " ".join(found.options)
    assert bool(found.options) == (agent not in {"gemini", "opencode", "amp"})


def test_every_wire_format_has_variables_for_any_program() -> None:
    missing = set(FORMATS) ^ set(PROGRAMS)
    assert not missing, f"PROGRAMS in commands/agents.py has to say which variables point a program at {missing}"


@pytest.mark.parametrize("protocol", PROGRAMS)
def test_a_program_finds_one_key_alone_because_sdks_warn_of_two(protocol: str) -> None:
    found = PROGRAMS[protocol](Address(URL, "the-key"), {})
    pairs = [{"ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"}, {"GOOGLE_API_KEY", "GEMINI_API_KEY"}, {"OPENAI_API_KEY"}]

    (keys,) = ({*names} for names in pairs if names & {*found.variables})
    assert ["the-key"] == [found.variables[name] for name in keys & {*found.variables}]
    assert keys == {*found.variables, *found.unset} & keys


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({}, {}),
        ({"HTTPS_PROXY": ""}, {}),
        ({"http_proxy": "http://p"}, {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}),
        ({"ALL_PROXY": "http://p", "NO_PROXY": "a,127.0.0.1"}, {"NO_PROXY": "127.0.0.1,a", "no_proxy": "127.0.0.1"}),
    ],
)
def test_an_http_proxy_elsewhere_is_passed_by(env: dict[str, str], expected: dict[str, str]) -> None:
    assert expected == past_proxies(env)
