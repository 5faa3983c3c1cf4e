"""The starter configuration is accepted, maps what agents ask for, and is written once, for its owner alone."""

from __future__ import annotations

import dataclasses
import stat
from pathlib import Path

import anyio
import pytest
from quickclock import on_quick_clock

from ampmap.commands.init import answering_servers, write_starter
from ampmap.commands.starter import LOCAL, REMOTE, Mapped, map_families, providers_alone, starter
from ampmap.config import file as configfile
from ampmap.config.presets import PRESETS
from ampmap.errors import ConfigError
from ampmap.proxy.discovery import offer_of
from ampmap.routing.decide import Ask, decide
from ampmap.routing.snapshot import Availability, compile_snapshot
from ampmap.settings import Origin, Settings

KEYS = {preset.key_env: f"secret-{preset.name}" for preset in REMOTE}
LISTS = {
    "anthropic": ("claude-haiku-4-5-20251001", "claude-opus-4-7", "claude-opus-4-8", "claude-sonnet-4-6"),
    "openai": ("gpt-4o", "gpt-5.1-codex", "gpt-5.2", "gpt-5.2-mini", "gpt-image-2", "text-embedding-3-large", "o3"),
    "gemini": ("gemini-2.5-pro", "gemini-3.8-flash", "imagen-4"),
    "openrouter": ("anthropic/claude-haiku-4.5", "anthropic/claude-opus-4.8", "openai/gpt-5.2", "qwen/qwen3-coder"),
    "ollama": ("nomic-embed-text:latest", "llama3.2:3b", "qwen3-coder:30b", "qwen2.5-coder:7b"),
}


def accepted(text: str, env: dict[str, str]) -> Settings:
    """The settings that the text gives, which must leave nothing to complain about."""
    loaded = configfile.parse(text, "/config.yaml", env)
    _, warnings = compile_snapshot(loaded.settings)
    assert (loaded.warnings, warnings) == ((), ())
    return loaded.settings


def mapped(*names: str, lists: dict[str, tuple[str, ...]] | None = None) -> tuple[str, list[Mapped], Availability]:
    """The starter for these providers with their lists, what it maps, and the lists."""
    found = [PRESETS[name] for name in names]
    lists = lists if lists is not None else LISTS
    availability = Availability(offers={name: offer_of(lists.get(name, ()), 1.0) for name in names})
    snapshot, _ = compile_snapshot(configfile.parse(providers_alone(found, KEYS), "", KEYS).settings)
    families = map_families(snapshot, availability)
    return starter(found, KEYS, families), families, availability


def targets(*names: str, lists: dict[str, tuple[str, ...]] | None = None) -> dict[str, str]:
    return {each.family.glob: each.target for each in mapped(*names, lists=lists)[1] if each.target}


@pytest.mark.parametrize("names", [[], ["ollama"], ["anthropic", "ollama"], list(LISTS), [each.name for each in LOCAL]])
def test_the_starter_is_accepted_without_a_warning(names: list[str]) -> None:
    settings = accepted(mapped(*names)[0], KEYS if names else {})

    assert names == [provider.name for provider in settings.providers]
    assert all(provider.discover for provider in settings.providers)


@pytest.mark.parametrize("names", [[], ["ollama"], ["anthropic", "gemini"]])
def test_what_is_commented_out_is_accepted_too(names: list[str]) -> None:
    text, families, _ = mapped(*names)
    lines = [line.replace("# ", "", 1) if line.startswith(("  # - ", "  #   ")) else line for line in text.splitlines()]

    settings = accepted("\n".join(lines), KEYS | {"GATEWAY_KEY": "g"})

    assert sorted([*PRESETS, "gateway"]) == sorted(provider.name for provider in settings.providers)
    assert {each.family.glob for each in families} <= {rule.source for rule in settings.amp.rules}


@pytest.mark.parametrize("names", [["ollama"], ["anthropic"], ["openai"], ["gemini"], ["openrouter"], list(LISTS)])
def test_what_agents_ask_for_today_is_served_as_init_says(names: list[str]) -> None:
    text, families, availability = mapped(*names)
    snapshot, _ = compile_snapshot(accepted(text, KEYS))

    for each in families:
        for asked in (each.family.asked, each.family.glob.replace("*", "x")):
            decisions = [decide(Ask(spoken, asked), snapshot, availability) for spoken in each.family.protocols]
            served = [decision.candidates[0] for decision in decisions if decision.candidates]
            assert bool(served) == bool(each.target)
            assert not served or (each.target, each.provider) in [(c.model, c.provider.name) for c in served]
    if not all(each.is_listed for each in families):
        assert {rule.source for rule in snapshot.settings.amp.rules} >= {
            each.family.asked for each in families if each.target and not each.is_listed
        }


def test_one_local_model_serves_every_family_whose_format_its_server_speaks() -> None:
    found = targets("ollama", lists={"ollama": ("gemma:7b",)})

    assert {"claude-*haiku*": "gemma:7b", "claude-*": "gemma:7b", "gpt-*": "gemma:7b"}.items() <= found.items()


def test_of_local_models_those_for_coding_come_first_and_small_ones_for_small_tasks() -> None:
    found = targets("ollama")

    assert ("qwen2.5-coder:7b", "qwen3-coder:30b") == (found["claude-*haiku*"], found["claude-*"])


def test_a_vendors_own_models_come_first_the_newest_of_them() -> None:
    found = targets("ollama", "anthropic", "openai", "gemini")

    assert {
        "claude-*haiku*": "claude-haiku-4-5-20251001", "claude-*": "claude-opus-4-8", "gpt-*": "gpt-5.2",
        "gemini-*": "gemini-3.8-flash",
    } == found  # fmt: skip


def test_a_routers_names_are_known_by_their_last_part() -> None:
    found = targets("openrouter")

    assert ("anthropic/claude-haiku-4.5", "anthropic/claude-opus-4.8", "openai/gpt-5.2") == (
        found["claude-*haiku*"], found["claude-*"], found["gpt-*"],
    )  # fmt: skip


@pytest.mark.parametrize(
    "names", [(), ("nomic-embed-text", "bge-m3", "whisper-1"), ("a'b", "${X}", "*", "a\nb", "", "9" * 5000)]
)
def test_nothing_is_mapped_to_what_holds_no_conversation_or_is_no_name(names: tuple[str, ...]) -> None:
    text, families, _ = mapped("ollama", lists={"ollama": names})

    assert not [each for each in families if each.target]
    assert not accepted(text, {}).amp.rules


@pytest.mark.parametrize("name", ["true", "1e5", "no", "123", "a:b", "null", "x/y:z@1"])
def test_a_name_that_yaml_would_read_otherwise_stays_a_name(name: str) -> None:
    settings = accepted(mapped("ollama", lists={"ollama": (name,)})[0], {})

    assert {(name,)} == {rule.targets for rule in settings.amp.rules}


def test_the_starter_holds_variables_and_no_keys() -> None:
    text, _, _ = mapped(*LISTS)

    assert "secret" not in text
    assert "    api-key: ${ANTHROPIC_API_KEY}\n" in text


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
    assert set(await answering_servers()) <= {each.name for each in LOCAL}
    assert {preset.origin.host for preset in LOCAL} == {"127.0.0.1"} and len(LOCAL) + len(REMOTE) == len(PRESETS)


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


def test_a_starter_in_which_nothing_was_found_is_written_anew(tmp_path: Path) -> None:
    path, untouched = tmp_path / "config.yaml", mapped()[0]
    write_starter(path, untouched, replaced=untouched)
    write_starter(path, "log: {}\n", replaced=untouched)

    assert "log: {}\n" == path.read_text() and 0o600 == stat.S_IMODE(path.stat().st_mode)
    with pytest.raises(ConfigError, match="there is one already"):
        write_starter(path, "other", replaced=untouched)
