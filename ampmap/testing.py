"""A pytest plugin: the fixture ``ampmap_proxy`` runs a real proxy beside a test, in a thread of its own.

Works for tests of any kind, synchronous or not. Nothing of ampmap is imported before a test asks for the fixture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .server import Server
    from .settings import Settings


@pytest.fixture
def ampmap_proxy() -> Iterator[Callable[[Settings | str], Server]]:
    """Start proxies: call it with settings, or with YAML as text; what it returns listens and has a ``url``.

    Listen on port 0 to be given a free one. Each proxy is drained when the test is over. HTTP proxies and Amp keys of
    the test's own environment play no part.
    """
    from anyio.from_thread import start_blocking_portal

    from .config.file import parse
    from .server import running

    with ExitStack() as stack:
        portal = stack.enter_context(start_blocking_portal("asyncio"))

        def start(settings: Settings | str) -> Server:
            if isinstance(settings, str):
                settings = parse(settings, "ampmap.yaml", {}).settings
            return stack.enter_context(portal.wrap_async_context_manager(running(settings, env={})))

        yield start
