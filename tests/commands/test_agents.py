"""The table of agents: the lines that point each at a proxy are ones that a shell accepts, and people find them."""

from __future__ import annotations

import os
import shlex
import subprocess

import pytest

from ampmap.commands.agents import POINTED, env_lines, exports

URL = "http://127.0.0.1:8267"


def evaluated(lines: list[str], env: dict[str, str]) -> dict[str, str]:
    """The environment of a shell that has evaluated the lines."""
    script = 'eval "$1" && env -0'
    env = {"PATH": os.environ["PATH"], **env}
    done = subprocess.run(["sh", "-euc", script, "sh", "\n".join(lines)], env=env, capture_output=True, check=True)
    assert done.stderr == b""
    return dict(pair.split("=", 1) for pair in done.stdout.decode().split("\0") if pair)


@pytest.mark.parametrize(
    ("agent", "expected"),
    [
        ("amp", {"AMP_URL": URL}),
        ("claude", {"ANTHROPIC_BASE_URL": URL}),
        ("codex", {"OPENAI_BASE_URL": URL + "/v1", "OPENAI_API_KEY": "ampmap"}),
        ("openai", {"OPENAI_BASE_URL": URL + "/v1", "OPENAI_API_KEY": "ampmap"}),
        ("gemini", {"GOOGLE_GEMINI_BASE_URL": URL, "GEMINI_API_KEY": "ampmap"}),
    ],
)
def test_each_agent_gets_its_own_variables(agent: str, expected: dict[str, str]) -> None:
    found = evaluated(env_lines(agent, URL, False), {})

    assert expected == {name: value for name, value in found.items() if "URL" in name or "KEY" in name}


@pytest.mark.parametrize("agent", POINTED)
def test_a_proxy_with_keys_takes_them_from_a_variable(agent: str) -> None:
    found = evaluated(env_lines(agent, URL, True), {"AMPMAP_API_KEY": "one $two", "OPENAI_API_KEY": "theirs"})

    assert "one $two" in [value for name, value in found.items() if name != "AMPMAP_API_KEY"]
    assert all("one" not in line for line in env_lines(agent, URL, True) if not line.startswith("#"))


def test_a_key_that_the_user_has_is_kept() -> None:
    assert "mine" == evaluated(env_lines("gemini", URL, False), {"GEMINI_API_KEY": "mine"})["GEMINI_API_KEY"]


def test_without_an_agent_all_are_pointed_here() -> None:
    found = evaluated(env_lines(None, "http://0.0.0.0:9/", False), {})

    assert "http://127.0.0.1:9" == found["AMP_URL"] == found["ANTHROPIC_BASE_URL"] == found["GOOGLE_GEMINI_BASE_URL"]
    assert "http://127.0.0.1:9/v1" == found["OPENAI_BASE_URL"]


@pytest.mark.parametrize("url", ["http://h/$(touch pwned)", "http://h/`x`", "http://h/'; exit 1; '", 'http://h/"x'])
def test_a_url_cannot_break_out_of_its_line(url: str) -> None:
    lines = env_lines(None, url, False)

    assert url == evaluated(lines, {})["AMP_URL"]
    assert all(line.startswith(("#", "export ")) and "\n" not in line for line in lines)
    assert all(len(shlex.split(line)) == 2 for line in lines if not line.startswith("#"))


def test_codex_is_told_where_it_reads_its_address() -> None:
    assert f'#   base_url = "{URL}/v1"' in env_lines("codex", URL, False)


@pytest.mark.parametrize(
    ("url", "reached"),
    [
        ("http://0.0.0.0:8267", "http://127.0.0.1:8267"),
        ("http://[::]:8267", "http://[::1]:8267"),
        ("http://192.0.2.1:80", "http://192.0.2.1:80"),
    ],
)
def test_an_agent_is_pointed_at_an_address_it_can_reach(url: str, reached: str) -> None:
    amp, claude, codex, openai, gemini = exports(url, False)

    assert amp.endswith(f"export AMP_URL={reached}")
    assert claude.endswith(f"export ANTHROPIC_BASE_URL={reached}")
    assert f'base_url = "{reached}/v1"' in codex
    assert openai.endswith(f"export OPENAI_BASE_URL={reached}/v1")
    assert gemini.endswith(f"export GOOGLE_GEMINI_BASE_URL={reached}")
