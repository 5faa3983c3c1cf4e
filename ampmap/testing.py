"""A pytest plugin: the fixtures ``ampmap_proxy``, a real proxy, and ``ampmap_provider``, a stand-in for providers.

Each runs beside a test in a thread of its own, so it works for tests of any kind, synchronous or not. Nothing of ampmap
is imported before a test asks for a fixture, or a test module for :class:`Reply` and :class:`Call`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .commands.scripted import Call as Call
    from .commands.scripted import Reply as Reply
    from .commands.stand_in import StandIn as StandIn
    from .server import Server
    from .settings import Settings

_MODULES = {"Call": "scripted", "Reply": "scripted", "StandIn": "stand_in"}


def __getattr__(name: str) -> object:
    """Import ``Reply``, ``Call`` or ``StandIn`` when it is first asked for."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".commands.{_MODULES[name]}", __package__), name)


@pytest.fixture
def ampmap_proxy() -> Iterator[Callable[[Settings | str], Server]]:
    """Start proxies: call it with settings, or with YAML as text; what it returns listens and has a ``url``.

    Settings without ``listen`` mean port 8267; ``listen: 127.0.0.1:0`` gives a proxy a free one. Each proxy is drained
    when the test is over. HTTP proxies and Amp keys of the test's own environment are not used.
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


@pytest.fixture
def ampmap_provider() -> Iterator[Callable[..., StandIn]]:
    """Start stand-in providers: ``ampmap_provider("name", models=("a", "b"))`` listens on loopback and has a ``url``.

    It speaks all four wire formats on their usual paths, whole and streamed, accepts any key, and lists ``models``. By
    default it answers with a text that names itself and the model. ``provider.reply(...)`` sets the replies to the next
    requests for models, one :class:`Reply` each; ``provider.default`` is the reply to all later ones. A reply has a
    text, tool calls, tokens, a status with headers, or a fault in its middle: a cut connection, silence, an error that
    the provider states, malformed JSON.

    ``provider.seen`` lists the requests in order of arrival: ``path``, ``header(name)``, ``body`` and ``json``.

    Both may be used from the test's own thread. The provider and its connections end when the test is over.
    """
    from anyio.from_thread import start_blocking_portal

    from .commands.stand_in import standing_in

    with ExitStack() as stack:
        portal = stack.enter_context(start_blocking_portal("asyncio"))

        def start(name: str = "provider", *, models: tuple[str, ...] = (), default: Reply | None = None) -> StandIn:
            context = standing_in(name, models=models, default=default)
            return stack.enter_context(portal.wrap_async_context_manager(context))

        yield start
