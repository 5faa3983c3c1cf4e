"""Every way of saving a configuration is noticed, loaded once, and never taken for "no rules"."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest
from kit import GUARD_S
from watched import (
    IS_LINUX,
    POLLING,
    Watched,
    again,
    by_rename,
    by_rename_of,
    in_place,
    old_config,
    targets,
    text,
    watching,
)

from ampmap.config import file as configfile
from ampmap.config import fingerprint, watch
from ampmap.config.file import Loaded
from ampmap.config.fingerprint import Found, contents

config = old_config


def from_elsewhere(path: Path) -> None:
    temporary = path.parent.parent / "elsewhere" / "config.yaml"
    temporary.parent.mkdir()
    temporary.write_text(text("new"))
    temporary.replace(path)


def like_vim(path: Path) -> None:
    """``:set backupcopy=no``: the old file is moved aside, a new one written, the old one removed."""
    aside = path.with_name(path.name + "~")
    path.rename(aside)
    path.write_text(text("new"))
    aside.unlink()


def by_sed(path: Path) -> None:
    subprocess.run(["sed", "-i", "s/old/new/", str(path)], check=True)


def deleted_and_created(path: Path) -> None:
    path.unlink()
    path.write_text(text("new"))


def as_a_link(path: Path) -> None:
    target = path.with_name("target.txt")
    target.write_text(text("new"))
    path.unlink()
    path.symlink_to(target)


def keeping_size_and_mtime(path: Path) -> None:
    before = path.stat()
    path.write_text(text("new"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


WAYS = [in_place, by_rename, from_elsewhere, like_vim, by_sed, deleted_and_created, as_a_link, keeping_size_and_mtime]


@pytest.mark.skipif(not IS_LINUX, reason="sed -i, and the close that tells the end of a save, are Linux's")
@pytest.mark.parametrize("save", WAYS)
async def test_a_save_is_loaded_once_and_soon(
    config: Path, save: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("UNFINISHED_S", "CAP_S"):  # a save without an event, or taken for unfinished, outlasts the guard
        monkeypatch.setattr(watch, name, 2 * GUARD_S)
    async with watching(config, poll_s=2 * GUARD_S) as watched:
        save(config)
        outcome = await watched.outcome()
        await watched.looked(lambda: again(config))

    assert ["new"] == outcome
    assert 1 == watched.watcher.loads == len(watched.outcomes)


@pytest.mark.parametrize("save", [in_place, by_rename, deleted_and_created, as_a_link, keeping_size_and_mtime])
async def test_a_save_without_events_is_found_by_the_poll(config: Path, save: Callable[[Path], None]) -> None:
    async with watching(config, **POLLING) as watched:
        save(config)

        assert ["new"] == await watched.outcome()

    assert 1 == watched.watcher.loads


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a file be still for longer than a busy machine pauses between two writes."""
    monkeypatch.setattr(watch, "QUIET_S", 0.5)
    monkeypatch.setattr(watch, "CAP_S", 2 * GUARD_S)


@pytest.mark.usefixtures("unhurried")
async def test_a_file_written_in_pieces_is_loaded_by_the_poll_when_it_has_come_to_rest(config: Path) -> None:
    async with watching(config, poll_s=0.15, with_events=False) as watched:
        with config.open("w") as file:
            for piece in text("new"):
                file.write(piece)
                file.flush()
                await anyio.sleep(0.015)
        outcome = await watched.outcome()

    assert ["new"] == outcome
    assert 1 == watched.watcher.loads == len(watched.outcomes)


@pytest.mark.usefixtures("unhurried")
async def test_a_file_written_in_pieces_is_loaded_once_it_is_still(config: Path) -> None:
    async with watching(config, poll_s=60) as watched:
        with config.open("w") as file:
            for piece in text("new"):
                file.write(piece)
                file.flush()
                await anyio.sleep(0.015)  # all in all longer than a file has to be still
            assert 0 == watched.watcher.loads
        outcome = await watched.outcome()

    assert ["new"] == outcome
    assert 1 == watched.watcher.loads == len(watched.outcomes)


async def test_a_file_that_is_never_closed_is_loaded_all_the_same(config: Path) -> None:
    async with watching(config) as watched:
        with config.open("w") as file:
            file.write(text("new"))
            file.flush()
            outcome = await watched.outcome()

    assert ["new"] == outcome
    assert 1 == watched.watcher.loads


@pytest.mark.usefixtures("unhurried")
async def test_a_hundred_saves_in_a_burst_are_a_few_loads_and_the_last_one_wins(config: Path) -> None:
    async with watching(config) as watched:
        for n in range(100):
            config.write_text(text(f"new{n}"))
            await anyio.sleep(0.001)
        await watched.until(lambda: ["new99"] in watched.outcomes)

    assert watched.watcher.loads <= 3
    assert ["new99"] == watched.outcomes[-1]


async def test_saves_that_never_cease_are_loaded_all_the_same(config: Path) -> None:
    async with watching(config) as watched:
        n = 0
        with anyio.fail_after(GUARD_S):
            while not watched.outcomes:
                config.write_text(text(f"new{n}"))
                await anyio.sleep(0.02)
                n += 1

    assert watched.watcher.loads <= 8  # one, and those during which the next save came


async def test_a_save_without_a_change_loads_nothing(config: Path) -> None:
    async with watching(config) as watched:
        await watched.looked(lambda: again(config))
        await watched.looked(lambda: by_rename_of(config, text("old")))

    assert (0, []) == (watched.watcher.loads, watched.outcomes)


async def test_what_changed_between_loading_and_watching_is_loaded(config: Path) -> None:
    watched = Watched(config, poll_s=60)
    config.write_text(text("new"))

    async with anyio.create_task_group() as group:
        group.start_soon(watched.watcher.run)
        assert ["new"] == await watched.outcome()
        group.cancel_scope.cancel()

    assert 1 == watched.watcher.loads


async def test_what_changes_while_it_is_loaded_is_loaded_again_and_never_handed_over(config: Path) -> None:
    async with watching(config, poll_s=60) as watched:

        def change_once() -> None:
            watched.before_load = lambda: None
            by_rename(config)

        watched.before_load = change_once
        config.write_text(text("torn"))
        outcome = await watched.outcome()

    assert ["new"] == outcome
    assert 2 == watched.watcher.loads
    assert 1 == len(watched.outcomes)


async def test_what_changes_with_every_load_is_left_for_later(config: Path) -> None:
    async with watching(config, poll_s=0.1) as watched:

        def change() -> None:
            config.write_text(text(f"new{watched.watcher.loads}"))

        watched.before_load = change
        config.write_text(text("new"))
        await watched.until(lambda: watched.watcher.loads >= 4)
        assert [] == watched.outcomes
        watched.before_load = lambda: None
        outcome = await watched.outcome()

    assert isinstance(outcome, list)
    assert targets(configfile.load(config, {})) == outcome


async def test_a_file_emptied_only_while_it_is_loaded_never_means_no_rules(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = configfile.load

    def torn(path: Path, env: dict[str, str]) -> Loaded:
        monkeypatch.setattr(configfile, "load", load)
        config.write_text("")
        loaded = load(path, env)
        config.write_text(text("new"))
        return loaded

    async with watching(config, poll_s=60) as watched:
        monkeypatch.setattr(configfile, "load", torn)
        config.write_text(text("new"))
        outcome = await watched.outcome()

    assert ["new"] == outcome
    assert 2 == watched.watcher.loads


async def test_a_file_emptied_as_its_digest_is_read_is_no_failure(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def emptied(files: set[Path]) -> dict[Path, Found]:
        monkeypatch.setattr(fingerprint, "contents", contents)
        config.write_text("")
        return contents(files)

    async with watching(config, poll_s=60) as watched:
        monkeypatch.setattr(fingerprint, "contents", emptied)
        await watched.looked(lambda: config.write_text(text("torn")))
        config.write_text(text("new"))
        outcome = await watched.outcome()

    assert ["new"] == outcome
    assert 1 == watched.watcher.loads


async def test_a_file_emptied_while_it_is_loaded_never_means_no_rules(config: Path) -> None:
    async with watching(config, poll_s=60) as watched:

        def empty() -> None:
            watched.before_load = lambda: None
            config.write_text("")

        watched.before_load = empty
        await watched.looked(lambda: config.write_text(text("new")))
        by_rename(config)  # the same content as was loaded, and not handed over, before
        outcome = await watched.outcome()

    assert ["new"] == outcome
    assert 2 == watched.watcher.loads
