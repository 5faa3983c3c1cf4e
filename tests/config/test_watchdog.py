"""Watchdog's part in watching: threads, ends, and what it cannot do."""

from __future__ import annotations

import errno
import logging
import os
import threading
from collections.abc import Iterable
from pathlib import Path

import anyio
import pytest
from kit import GUARD_S, until
from watchdog.observers.api import BaseObserver
from watched import (
    Watched,
    again,
    in_place,
    old_config,
    watching,
)

from ampmap.config import fingerprint, watch
from ampmap.config.fingerprint import Stats, stats

config = old_config


# Watchdog's part.


def observers(but: Iterable[BaseObserver] = ()) -> list[BaseObserver]:
    """Return watchdog's threads that run, except those that other tests have left for a moment."""
    return [each for each in threading.enumerate() if isinstance(each, BaseObserver) and each not in but]


async def test_reading_the_files_is_no_reason_to_look_at_them(config: Path) -> None:
    told: list[None] = []
    directories = watch.Directories(lambda: told.append(None), 60)
    directories.watch({str(config.parent)})
    try:
        for _ in range(50):
            config.read_text()
        again(config)  # when it is told, all that came before has been dispatched
        await until(lambda: bool(told))
    finally:
        directories.stop()

    assert len(told) <= 3  # a truncation, a write, a change of times


async def test_no_thread_is_left_behind(config: Path) -> None:
    before = set(threading.enumerate())

    async with watching(config) as watched:
        in_place(config)
        await watched.outcome()
        during = {thread for thread in set(threading.enumerate()) - before if "AnyIO" not in thread.name}

    assert during
    await until(lambda: not any(thread.is_alive() for thread in during))  # a thread outlives what it told a little


async def test_a_watcher_that_is_cancelled_in_the_midst_of_a_load_does_not_wait_for_it(config: Path) -> None:
    before = {thread for thread in threading.enumerate() if "AnyIO" not in thread.name}
    loading, loaded = threading.Event(), threading.Event()

    async with watching(config, poll_s=60) as watched:

        def block() -> None:
            loading.set()
            loaded.wait(GUARD_S)

        watched.before_load = block
        in_place(config)
        await watched.until(loading.is_set)

    assert not loaded.is_set()
    loaded.set()
    # Threads of tests before this one may have been about to end.
    await watched.until(lambda: before >= {thread for thread in threading.enumerate() if "AnyIO" not in thread.name})
    assert [] == watched.outcomes


async def test_an_event_after_the_end_of_the_loop_harms_nobody(config: Path) -> None:
    watched = Watched(config)
    watched.watcher.look_soon()

    await anyio.to_thread.run_sync(anyio.run, _run_and_cancel, watched)
    watched.watcher.look_soon()

    assert [] == watched.outcomes


async def _run_and_cancel(watched: Watched) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(watched.watcher.run)
        await watched.until(lambda: watched.watcher.looks > 0)
        group.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("where", "code"), [("__new__", errno.EMFILE), ("start", errno.EAGAIN), ("schedule", errno.ENOSPC)]
)
async def test_where_watching_is_impossible_the_poll_goes_on_and_it_is_said_once(
    config: Path, where: str, code: int, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = set(threading.enumerate())

    def fail(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    if where == "__new__":
        monkeypatch.setattr(watch, "Observer", fail)
    else:
        monkeypatch.setattr(BaseObserver, where, fail)

    async with watching(config, poll_s=0.05) as watched:
        in_place(config)
        assert ["new"] == await watched.outcome()

    warned = [r.getMessage() for r in caplog.records if r.name == "ampmap.watch" and r.levelno >= logging.WARNING]
    assert 1 == len(warned)
    assert os.strerror(code) in warned[0]
    # A thread that was begun before the failure takes a moment to end.
    await watched.until(lambda: before >= {thread for thread in threading.enumerate() if "AnyIO" not in thread.name})


async def test_a_directory_that_vanishes_as_it_is_about_to_be_watched_is_no_matter(
    config: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def vanish(*_: object, **__: object) -> None:
        raise FileNotFoundError

    monkeypatch.setattr(BaseObserver, "schedule", vanish)

    async with watching(config, poll_s=0.05) as watched:
        in_place(config)
        assert ["new"] == await watched.outcome()

    assert [] == [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_watching_begins_anew_when_watchdog_s_thread_has_died(config: Path) -> None:
    left = observers()
    async with watching(config, poll_s=0.1) as watched:
        (first,) = observers(but=left)
        first.stop()
        await watched.until(lambda: any(each.emitters for each in observers(but=[*left, first])))
        in_place(config)

        assert ["new"] == await watched.outcome()


async def test_a_directory_that_has_ceased_to_be_watched_is_watched_again(config: Path) -> None:
    left = observers()
    async with watching(config, poll_s=0.1) as watched:
        (first,) = observers(but=left)
        ended = first.emitters.copy()
        for emitter in ended:
            emitter.stop()
        await watched.until(
            lambda: any(len(ended) == len(each.emitters - ended) for each in observers(but=[*left, first]))
        )


async def test_a_quiet_configuration_is_only_glanced_at(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    glances = 0

    def counted(files: set[Path]) -> Stats:
        nonlocal glances
        glances += 1
        return stats(files)

    monkeypatch.setattr(fingerprint, "stats", counted)
    async with watching(config, poll_s=0.02) as watched:
        glances, looks = 0, watched.watcher.looks
        await watched.until(lambda: glances >= 10)

    assert looks == watched.watcher.looks
