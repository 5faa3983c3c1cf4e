"""The starter configuration is one that ampmap accepts; it is written once, for its owner alone."""

from __future__ import annotations

import dataclasses
import stat
from pathlib import Path

import anyio
import pytest
from quickclock import on_quick_clock

from ampmap.commands.init import LOCAL, VENDORS, answering_servers, starter, write_starter
from ampmap.config import file as configfile
from ampmap.config.presets import PRESETS
from ampmap.errors import ConfigError
from ampmap.routing.snapshot import compile_snapshot
from ampmap.settings import Origin, Settings

KEYS = {PRESETS[name].key_env: f"secret-{name}" for name in VENDORS}


def accepted(text: str, env: dict[str, str]) -> Settings:
    """The settings that the text gives, which must leave nothing to complain about."""
    loaded = configfile.parse(text, "/config.yaml", env)
    _, warnings = compile_snapshot(loaded.settings)
    assert (loaded.warnings, warnings) == ((), ())
    return loaded.settings


@pytest.mark.parametrize("env", [{}, KEYS, {"OPENAI_API_KEY": "k", "LITELLM_API_KEY": "l"}])
@pytest.mark.parametrize("answering", [[], ["ollama"], list(LOCAL)])
def test_the_starter_is_accepted_without_a_warning(env: dict[str, str], answering: list[str]) -> None:
    settings = accepted(starter(env, answering), env)

    found = [name for name in VENDORS if PRESETS[name].key_env in env]
    assert [*found, *answering] == [provider.name for provider in settings.providers]
    assert all(provider.discover for provider in settings.providers)


@pytest.mark.parametrize("env", [{}, KEYS])
def test_what_is_commented_out_is_accepted_too(env: dict[str, str]) -> None:
    everything = KEYS | {"GATEWAY_KEY": "g"}
    lines = [
        line.replace("# ", "", 1) if line.startswith(("  # - ", "  #   ")) else line
        for line in starter(env, []).splitlines()
    ]

    settings = accepted("\n".join(lines), everything)

    assert sorted([*VENDORS, *LOCAL, "gateway"]) == sorted(provider.name for provider in settings.providers)
    assert 4 == len(settings.amp.rules)


def test_the_starter_holds_variables_and_no_keys() -> None:
    text = starter(KEYS, LOCAL)

    assert "secret" not in text
    assert "    api-key: ${ANTHROPIC_API_KEY}\n" in text


def test_a_blank_key_counts_as_none() -> None:
    assert "\n    api-key: ${OPENAI_API_KEY}" not in starter({"OPENAI_API_KEY": " "}, [])


@on_quick_clock()
async def test_servers_that_answer_are_found_and_others_are_not() -> None:
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener:
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        closed = await anyio.create_tcp_listener(local_host="127.0.0.1")
        closed_port = closed.extra(anyio.abc.SocketAttribute.local_port)
        await closed.aclose()
        presets = [
            dataclasses.replace(PRESETS["vllm"], origin=Origin("http", "127.0.0.1", closed_port)),
            dataclasses.replace(PRESETS["ollama"], origin=Origin("http", "127.0.0.1", port)),
        ]

        assert ["ollama"] == await answering_servers(presets)


@on_quick_clock()
async def test_a_port_that_stays_silent_costs_a_third_of_a_second() -> None:
    async with await anyio.create_tcp_listener(local_host="127.0.0.1", backlog=1) as listener:
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        preset = dataclasses.replace(PRESETS["vllm"], origin=Origin("http", "127.0.0.1", port))
        full = [await anyio.connect_tcp("127.0.0.1", port) for _ in range(2)]  # nobody accepts: the queue is full
        began = anyio.current_time()

        assert [] == await answering_servers([preset])
        assert anyio.current_time() - began < 1
        for stream in full:
            await stream.aclose()


async def test_every_preset_on_this_machine_is_asked() -> None:
    assert set(await answering_servers()) <= set(LOCAL)
    assert {name for name, preset in PRESETS.items() if preset.origin.host == "127.0.0.1"} == set(LOCAL)


def test_only_the_owner_can_read_what_is_written(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "config.yaml"

    write_starter(path, "log: {}\n")

    assert "log: {}\n" == path.read_text()
    assert [0o600, 0o700, 0o700] == [stat.S_IMODE(p.stat().st_mode) for p in (path, *path.parents[:2])]


@pytest.mark.parametrize("kind", ["file", "dangling link"])
def test_what_stands_there_is_never_overwritten(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "config.yaml"
    if kind == "file":
        path.write_text("mine")
    else:
        path.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(ConfigError, match="there is one already"):
        write_starter(path, "log: {}\n")

    assert kind != "file" or path.read_text() == "mine"
    assert not (tmp_path / "elsewhere").exists()


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(ConfigError, match=r"file/config\.yaml:1:1: cannot write"):
        write_starter(tmp_path / "file" / "config.yaml", "")
    with pytest.raises(ConfigError, match="not a path"):
        write_starter(tmp_path / "a\0b", "")
