"""What cannot be loaded is told once, and so is the recovery; forced loads; watchdog's part."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from kit import GUARD_S
from watched import (
    IS_ROOT,
    POLLING,
    again,
    in_place,
    missing_soon_believed,
    old_config,
    text,
    watching,
)

from ampmap.config import fingerprint, watch
from ampmap.config.fingerprint import Stats, stats
from ampmap.errors import ConfigError

config = old_config
soon_believed = missing_soon_believed


# What cannot be loaded.


async def test_a_failure_is_told_once_and_so_is_the_recovery(config: Path) -> None:
    async with watching(config) as watched:
        config.write_text("nonsense: 1\n")
        assert f"{config}:1:1: unknown key 'nonsense'" in await watched.complaint()
        await watched.looked(lambda: again(config))
        assert 1 == len(watched.outcomes)

        config.write_text(text("old"))
        assert ["old"] == await watched.outcome(2)
        await watched.looked(lambda: again(config))

    assert 2 == watched.watcher.loads == len(watched.outcomes)


async def test_another_failure_is_told_again(config: Path) -> None:
    async with watching(config) as watched:
        for n in (1, 2):
            config.write_text(f"nonsense{n}: 1\n")
            assert f"unknown key 'nonsense{n}'" in await watched.complaint(n)

    assert 2 == watched.watcher.loads


@pytest.mark.parametrize(
    ("name", "content"), [("config.yaml", ""), ("config.yaml", " \n\t\r\n"), ("config.yaml", "\ufeff"), ("", "")]
)
async def test_a_file_that_stays_empty_is_a_failure_and_not_loaded(config: Path, name: str, content: str) -> None:
    async with watching(config.parent / name, poll_s=0.1) as watched:
        config.write_text(content)
        complaint = await watched.complaint()
        config.write_text("# nothing, and meant so\n")
        recovered = await watched.outcome(2)

    assert complaint.startswith(f"{config}:1:1: this file is empty now")
    assert [] == recovered
    assert 1 == watched.watcher.loads


async def test_a_file_that_is_empty_or_gone_for_a_moment_is_no_failure(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Stats] = []

    def recorded(files: set[Path]) -> Stats:
        seen.append(stats(files))
        return seen[-1]

    monkeypatch.setattr(fingerprint, "stats", recorded)
    monkeypatch.setattr(watch, "UNFINISHED_S", 10 * GUARD_S)

    async with watching(config, poll_s=60) as watched:
        config.write_text("")
        await watched.until(lambda: (seen[-1][config] or (1,))[0] == 0)
        config.unlink()
        await watched.until(lambda: seen[-1][config] is None)
        config.write_text(text("new"))
        outcome = await watched.outcome()

    assert ["new"] == outcome
    assert 1 == watched.watcher.loads == len(watched.outcomes)


async def test_a_file_that_was_always_empty_may_stay_so(config: Path) -> None:
    config.write_text("")
    other = config.with_name("other.yaml")

    async with watching(config.parent) as watched:
        other.write_text(text("new"))
        assert ["new"] == await watched.outcome()

    assert 1 == watched.watcher.loads


async def test_a_directory_without_files_is_a_failure(config: Path) -> None:
    async with watching(config.parent, poll_s=0.1) as watched:
        config.unlink()
        complaint = await watched.complaint()
        config.write_text(text("old"))
        assert ["old"] == await watched.outcome(2)

    assert f"{config.parent}:1:1: no *.yaml is left in this directory; put one back" == complaint
    assert 1 == watched.watcher.loads


async def test_a_directory_in_the_place_of_the_file_is_a_failure(config: Path) -> None:
    async with watching(config, poll_s=0.1) as watched:
        config.unlink()
        config.mkdir()
        complaint = await watched.complaint()
        config.rmdir()
        config.write_text(text("new"))
        assert ["new"] == await watched.outcome(2)

    assert f"{config}:1:1: no *.yaml is left in this directory; put one back" == complaint


async def test_a_file_in_the_place_of_the_directory_is_a_failure(config: Path) -> None:
    async with watching(config, poll_s=0.1) as watched:
        shutil.rmtree(config.parent)
        config.parent.write_text(text("wrong"))
        assert "this cannot be found any more: Not a directory" in await watched.complaint()
        config.parent.unlink()
        config.parent.mkdir()
        in_place(config)
        assert ["new"] == await watched.outcome(2)

    assert 1 == watched.watcher.loads


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
async def test_a_pipe_is_never_opened(config: Path) -> None:
    async with watching(config, poll_s=0.1) as watched:
        config.unlink()
        os.mkfifo(config)
        complaint = await watched.complaint()
        watched.watcher.force()
        await watched.outcome(2)

    assert f"{config}:1:1: cannot read this file: it is a pipe; use an environment variable or a file" == complaint


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"#" * 10_000_000, "larger than 4 MiB"),
        (b"a: \xff\n", "this is not UTF-8"),
        (b"a: [b\nc: 1\n", "a comma or the closing bracket is missing"),
        (b"- 1\n", "expected a mapping, got a list"),
        (b"\0" * 100, "the control character U+0000 is not allowed"),
    ],
    ids=["large", "latin-1", "torn", "list", "zeros"],
)
async def test_content_that_cannot_be_used_is_complained_of(config: Path, content: bytes, what: str) -> None:
    async with watching(config, **POLLING) as watched:
        config.write_bytes(content)
        watched.watcher.force()
        complaint = await watched.complaint()
        in_place(config)
        assert ["new"] == await watched.outcome(2)

    assert what in complaint
    assert 2 == watched.watcher.loads


@pytest.mark.skipif(IS_ROOT, reason="root reads everything")
async def test_a_file_that_may_not_be_read_is_complained_of_until_it_may(config: Path) -> None:
    async with watching(config, poll_s=0.1) as watched:
        config.chmod(0)
        complaint = await watched.complaint()
        config.chmod(0o600)
        assert ["old"] == await watched.outcome(2)

    assert "Permission denied" in complaint


async def test_a_loop_of_links_is_complained_of(config: Path) -> None:
    async with watching(config, poll_s=0.1) as watched:
        config.unlink()
        config.symlink_to(config)
        complaint = await watched.complaint()
        config.unlink()
        in_place(config)
        assert ["new"] == await watched.outcome(2)

    assert f"{config}:1:1: this cannot be found any more: Too many levels of symbolic links" == complaint


@pytest.mark.parametrize("where", ["load", "on_loaded"])
async def test_a_bug_in_loading_is_logged_and_survived(
    config: Path, where: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with watching(config, poll_s=60) as watched:

        def fail(*_: object) -> None:
            raise ZeroDivisionError

        with monkeypatch.context() as patch:
            patch.setattr(watched.watcher, f"_{where}", fail)
            await watched.looked(lambda: config.write_text(text("bad")))
        in_place(config)
        await watched.until(lambda: ["new"] in watched.outcomes)

    assert [ZeroDivisionError] == [record.exc_info[0] for record in caplog.records if record.exc_info]
    assert (["a bug in ampmap (ZeroDivisionError); its log says more"] if where == "load" else []) == [
        str(outcome) for outcome in watched.outcomes if isinstance(outcome, ConfigError)
    ]


# On demand.


@pytest.mark.parametrize("options", [{"poll_s": 60}, {"poll_s": 60, "with_events": False}], ids=["events", "none"])
async def test_a_forced_load_needs_no_change(config: Path, options: dict[str, Any]) -> None:
    async with watching(config, **options) as watched:
        watched.watcher.force()
        assert ["old"] == await watched.outcome(1)
        config.unlink()
        watched.watcher.force()
        assert "cannot be found any more" in await watched.complaint(2)

    assert 1 == watched.watcher.loads


async def test_a_forced_load_tells_a_known_failure_again(config: Path) -> None:
    async with watching(config, poll_s=60) as watched:
        config.write_text("nonsense: 1\n")
        first = await watched.complaint(1)
        watched.watcher.force()
        assert first == await watched.complaint(2)

    assert 2 == watched.watcher.loads
