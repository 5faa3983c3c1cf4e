"""A watcher of a configuration, and what it has handed over."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from kit import GUARD_S

from ampmap.config import file as configfile
from ampmap.config import watch
from ampmap.config.file import Loaded
from ampmap.config.watch import Watcher
from ampmap.errors import ConfigError

IS_LINUX = sys.platform == "linux"  # elsewhere no event tells that a file was closed
IS_ROOT = sys.platform != "win32" and os.geteuid() == 0
POLLING = {"poll_s": 0.04, "with_events": False}


def text(target: str) -> str:
    return f"amp-model-mappings:\n- {{from: a, to: {target}}}\n"


def targets(loaded: Loaded) -> list[str]:
    return [target for rule in loaded.settings.amp.rules for target in rule.targets]


class Watched:
    """A watcher under test, and what it has handed over."""

    def __init__(self, path: Path, **options: Any) -> None:
        self.path = path
        self.outcomes: list[list[str] | ConfigError] = []
        self.before_load: Callable[[], object] = lambda: None
        files = configfile.load(path, {}).files if path.exists() else ()
        self.watcher = Watcher(path, self._load, self._on_loaded, self.outcomes.append, files, **options)

    def _load(self) -> Loaded:
        loaded = configfile.load(self.path, {})
        self.before_load()
        return loaded

    def _on_loaded(self, loaded: Loaded) -> None:
        self.outcomes.append(targets(loaded))

    async def until(self, holds: Callable[[], bool]) -> None:
        with anyio.fail_after(GUARD_S):
            while not holds():
                await anyio.sleep(0.002)

    async def outcome(self, number: int = 1) -> list[str] | ConfigError:
        """Return the outcome of that number, counted from 1."""
        await self.until(lambda: len(self.outcomes) >= number)
        return self.outcomes[number - 1]

    async def complaint(self, number: int = 1) -> str:
        outcome = await self.outcome(number)
        assert isinstance(outcome, ConfigError)
        return str(outcome)

    async def looked(self, write: Callable[[], object]) -> None:
        """Do something and wait until it was looked at."""
        before = self.watcher.looks
        write()
        await self.until(lambda: self.watcher.looks > before)


@asynccontextmanager
async def watching(path: Path, **options: Any) -> AsyncIterator[Watched]:
    watched = Watched(path, **options)
    async with anyio.create_task_group() as group:
        group.start_soon(watched.watcher.run)
        await watched.until(lambda: watched.watcher.looks > 0)
        yield watched
        group.cancel_scope.cancel()


@pytest.fixture
def old_config(tmp_path: Path) -> Path:
    """A configuration in a folder of its own."""
    path = tmp_path / "etc" / "config.yaml"
    path.parent.mkdir()
    path.write_text(text("old"))
    return path


@pytest.fixture(autouse=True)
def missing_soon_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is missing or empty is believed to be so after 0.3 s."""
    monkeypatch.setattr(watch, "UNFINISHED_S", 0.3)


# Ways of saving.


def in_place(path: Path) -> None:
    path.write_text(text("new"))


def by_rename(path: Path) -> None:
    by_rename_of(path, text("new"))


def again(path: Path) -> None:
    """Save without a change."""
    path.write_bytes(path.read_bytes())


def by_rename_of(path: Path, content: str) -> None:
    temporary = path.parent / ".config.yaml.tmp"
    temporary.write_text(content)
    temporary.replace(path)
