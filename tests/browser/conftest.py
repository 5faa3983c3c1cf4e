"""These tests drive a real browser: only when asked for, by ``AMPMAP_BROWSER=1`` or by their path."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from . import chromium

_HERE = Path(__file__).resolve().parent


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave this directory out of a run of all tests."""
    named = [(config.invocation_params.dir / argument.partition("::")[0]).resolve() for argument in config.args]
    asked_for = os.environ.get("AMPMAP_BROWSER") == "1" or any(path.is_relative_to(_HERE) for path in named)
    return None if asked_for else True


@pytest.fixture(scope="session")
def devtools(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run one browser for all tests."""
    if chromium.executable() is None:
        pytest.fail("no Chromium is here; on Debian: apt-get install chromium", pytrace=False)
    with chromium.launched(tmp_path_factory.mktemp("chromium") / "profile") as url:
        yield url


@pytest.fixture
async def browser(devtools: str) -> AsyncIterator[chromium.Browser]:
    """Give each test a context of its own."""
    async with chromium.connected(devtools) as found:
        yield found
