"""Ask providers for their lists of models: at the start, after a reload, every few minutes, and when a model is missed.

A provider's last good list is kept, however old, and across reloads that leave the provider unchanged. Lists cost
nothing. The status shows which providers could not be asked, and why.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import anyio
from anyio import to_thread
from anyio.abc import TaskGroup

from ..errors import ExchangeError
from ..escaping import printable
from ..formats.model_page import Refused
from ..http.pool import Pool
from ..net.address import is_loopback
from ..routing.names import split_date
from ..routing.snapshot import Offer
from ..settings import Provider
from .provider_lists import list_models

_log = logging.getLogger("ampmap.discovery")

EVERY_S = 300.0
RETRY_S = 15.0  # between questions to a provider that failed: it may be a local server that was not started yet
MISS_WAIT_S = 1.0  # how long a request waits for a new list because its model is on none
_MISS_LOCAL_S = 5.0  # how old the last list must be then, for a provider on this machine
_MISS_FAR_S = 60.0  # and for any other
_FEW = 1000  # a list with more names is processed in a thread, because it would block the loop
_LIST_S = 20.0  # for one list with all its pages


def offer_of(names: Iterable[str], learnt_at: float, entries: Mapping[str, Mapping[str, Any]] | None = None) -> Offer:
    """Make an offer of the names that a provider lists; ``entries`` is what the list says of some of them.

    A dated name, ``NAME-20251101`` or ``NAME-2025-11-01``, also serves ``NAME``, if it is the newest and ``NAME``
    itself is not listed.
    """
    listed = frozenset(names)
    newest: dict[str, tuple[str, str]] = {}
    for name in listed:
        base, date = split_date(name)
        if date and base not in listed:
            newest[base] = max(newest.get(base, ("", "")), (date, name))
    dated = {base: name for base, (_, name) in newest.items()}
    return Offer(listed, dated, learnt_at, entries=entries or {})


class _Question:
    """A question for a provider's list; ``over`` is set at its end, ``answered`` says whether a list came."""

    __slots__ = ("answered", "began", "over")

    def __init__(self, began: float) -> None:
        self.began = began
        self.over = anyio.Event()
        self.answered = False


class Discovery:
    """Keeps the offers of the providers with ``discover``.

    ``changed`` is called with all offers, by the provider's name, whenever one of them changed. ``now`` reads a
    monotonic clock in seconds.
    """

    def __init__(
        self, pool: Pool, changed: Callable[[dict[str, Offer]], None], now: Callable[[], float] = time.monotonic
    ) -> None:
        self._pool = pool
        self._changed = changed
        self.now = now
        self._providers: tuple[Provider, ...] = ()
        self._offers: dict[str, Offer] = {}
        self._configured: dict[str, float] = {}  # when each provider was configured, or last changed
        self._asked: dict[str, float] = {}  # when the last question to each provider ended
        self._questions: dict[Provider, _Question] = {}  # those under way
        self._waiting: dict[str, anyio.Event] = {}  # for providers whose first answer, good or bad, has not come yet
        self._wake = anyio.Event()
        self._settled = anyio.Event()  # set, and replaced, whenever a first answer comes
        self._asking: anyio.CancelScope | None = None  # the round under way
        self._group: TaskGroup | None = None  # while ``run`` runs

    @property
    def pending(self) -> bool:
        """Whether some provider's first answer has not come yet."""
        return bool(self._waiting)

    def configure(self, providers: tuple[Provider, ...]) -> None:
        """Ask these providers from now on; unchanged ones keep their offers."""
        before = {provider.name: provider for provider in self._providers}
        self._providers = tuple(provider for provider in providers if provider.discover)
        names = {provider.name for provider in self._providers}
        for name in self._configured.keys() - names:
            self._forget(name)
            self._settle(name)
        for provider in self._providers:
            if not _same(before.get(provider.name), provider):
                self._forget(provider.name)
                self._configured[provider.name] = self.now()
                self._waiting.setdefault(provider.name, anyio.Event())
        self._changed(dict(self._offers))
        if self._asking is not None:
            self._asking.cancel()  # a provider that does not answer must not keep a new one from being asked
        self._wake.set()

    def unlearnt(self) -> dict[str, float]:
        """Return the providers that have never given a list, each with the seconds since it was configured.

        A reload that leaves a provider unchanged keeps the time.
        """
        now = self.now()
        return {
            name: now - since
            for name, since in self._configured.items()
            if (offer := self._offers.get(name)) is None or offer.learnt_at is None
        }

    async def missed(self) -> bool:
        """Ask again for lists that may have changed, because a model is on none of them; True if a new list has come.

        Servers on this machine are asked if their list is older than 5 s, and waited for until 1 s after the question;
        others are asked in the background if their list is older than 60 s. Concurrent calls share one question to each
        provider. A provider that has not answered its first question is not asked, nor is any while :meth:`run` does
        not run. Cancelling cancels no question.
        """
        if self._group is None:
            return False
        now, local = self.now(), []
        for provider in self._providers:
            if provider.name in self._waiting:
                continue
            here = is_loopback(provider.origin.host)
            question = self._questions.get(provider)
            age = now - self._asked.get(provider.name, now)
            if question is None and age > (_MISS_LOCAL_S if here else _MISS_FAR_S):
                question = self._question(provider)
                self._group.start_soon(self._ask, provider, question)
            if question is not None and here:
                local.append(question)
        for question in local:
            with anyio.move_on_after(question.began + MISS_WAIT_S - self.now()):
                await question.over.wait()
        return any(question.answered for question in local)

    async def wait_first(self, seconds: float) -> None:
        """Wait until each provider has answered once, or failed to; ``seconds`` at most."""
        with anyio.move_on_after(seconds):
            while self._waiting:
                await next(iter(self._waiting.values())).wait()

    async def wait_one(self) -> None:
        """Wait until one more provider has answered for the first time, or failed to, if any is left."""
        if self._waiting:
            await self._settled.wait()

    async def run(self) -> None:
        """Ask all providers every EVERY_S, and those that failed every RETRY_S, until cancelled."""
        async with anyio.create_task_group() as self._group:
            try:
                await self._rounds()
            finally:
                self._group = None

    async def _rounds(self) -> None:
        while True:
            self._wake = anyio.Event()
            with anyio.CancelScope() as self._asking:
                await self.round()
            again = anyio.current_time() + EVERY_S
            while not self._wake.is_set() and (left := again - anyio.current_time()) > 0:
                failed = any(offer.error for offer in self._offers.values())
                with anyio.move_on_after(min(RETRY_S, left) if failed else left):
                    await self._wake.wait()
                if failed and not self._wake.is_set():
                    with anyio.CancelScope() as self._asking:
                        await self.round(only_failed=True)

    async def round(self, *, only_failed: bool = False) -> None:
        """Ask every provider once, or only those that failed or were never asked, all at the same time."""
        async with anyio.create_task_group() as group:
            for provider in self._providers:
                offer = self._offers.get(provider.name)
                if not only_failed or offer is None or offer.error:
                    if under_way := self._questions.get(provider):
                        group.start_soon(under_way.over.wait)
                    else:
                        group.start_soon(self._ask, provider, self._question(provider))

    def _question(self, provider: Provider) -> _Question:
        question = self._questions[provider] = _Question(self.now())
        return question

    async def _ask(self, provider: Provider, question: _Question) -> None:
        try:
            offer = await self._learn(provider)
            if provider in self._providers:  # a reload may have dropped or changed it meanwhile
                question.answered = not offer.error
                self._offers[provider.name] = offer
                self._asked[provider.name] = self.now()
                self._changed(dict(self._offers))
                self._settle(provider.name)
        finally:
            if self._questions.get(provider) is question:
                del self._questions[provider]
            question.over.set()

    async def _learn(self, provider: Provider) -> Offer:
        """Return the provider's new offer; if it cannot be asked, the old one with the reason."""
        known = self._offers.get(provider.name)
        try:
            with anyio.fail_after(_LIST_S):
                names = await list_models(self._pool, provider)
                if len(names) <= _FEW:
                    return offer_of(names, time.time(), names.entries)
                return await to_thread.run_sync(offer_of, names, time.time(), names.entries)
        except (Refused, ExchangeError, TimeoutError) as exc:
            why = printable(str(exc)) or f"no answer within {_LIST_S:g} s"
            if known is None or known.error != why:
                _log.warning("cannot learn the models of %s: %s", provider.name, why)
            return replace(known, error=why) if known else Offer(frozenset(), {}, None, why)
        except Exception:  # a bug that one provider's list triggers must not end discovery, or the proxy
            _log.exception("cannot learn the models of %s: a bug in ampmap", provider.name)
            return replace(known or Offer(), error="a bug in ampmap; see its log")

    def _forget(self, name: str) -> None:
        for known in (self._offers, self._configured, self._asked):
            known.pop(name, None)

    def _settle(self, name: str) -> None:
        if event := self._waiting.pop(name, None):
            event.set()
            self._settled.set()
            self._settled = anyio.Event()


def _same(before: Provider | None, now: Provider) -> bool:
    """Tell whether two providers would be asked the same question."""
    return before is not None and _question_of(before) == _question_of(now)


def _question_of(provider: Provider) -> tuple[object, ...]:
    endpoints = [replace(each, profile=None) for each in provider.endpoints]
    return provider.origin, endpoints, provider.api_key, provider.headers, provider.ca_file
