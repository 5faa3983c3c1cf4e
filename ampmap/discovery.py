"""Model lists asked of providers, off the request path: at start, after a reload, and every few minutes.

The last good answer of a provider is kept, stale or not, and across reloads for as long as the provider is the same.
Only lists are asked for, which cost nothing; a provider that can't be asked says so in the status.
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from urllib.parse import quote

import anyio

from .credentials import provider_credential
from .errors import ExchangeError, UpstreamBroken
from .headers import printable, request_head
from .mapping import Offer
from .pool import Pool
from .settings import Endpoint, Hop, Provider
from .target import provider_path
from .upstreamwire import UpstreamWire

_log = logging.getLogger("ampmap.discovery")

EVERY_S = 300.0
RETRY_S = 15.0  # while some provider could not be asked: it may be a local server that is still to be started
_LIST_S = 20.0  # for one whole list, all its pages
_LIST_BYTES = 16 * 1024 * 1024  # OpenRouter's list has half a megabyte
_PAGES = 50
_DATED = re.compile(r"(.+)-(20[0-9]{2})-?([01][0-9])-?([0-3][0-9])\Z")


class Refused(Exception):
    """A provider did not answer with a list of models; the text says why."""


def offer_of(names: Iterable[str], learnt_at: float) -> Offer:
    """Make an offer of the names that a provider lists.

    A dated name, ``NAME-20251101`` or ``NAME-2025-11-01``, also serves ``NAME``: the newest one does, unless ``NAME``
    itself is listed.
    """
    listed = frozenset(names)
    newest: dict[str, tuple[str, str]] = {}
    for name in listed:
        if found := _DATED.match(name):
            base, date = found[1], found[2] + found[3] + found[4]
            if base not in listed:
                newest[base] = max(newest.get(base, ("", "")), (date, name))
    return Offer(listed, {base: name for base, (_, name) in newest.items()}, learnt_at)


class Discovery:
    """Keeps the offers of the providers that are to be asked for their models.

    ``changed`` is called with all offers, by the provider's name, whenever one of them changed.
    """

    def __init__(self, pool: Pool, changed: Callable[[dict[str, Offer]], None]) -> None:
        self._pool = pool
        self._changed = changed
        self._providers: tuple[Provider, ...] = ()
        self._offers: dict[str, Offer] = {}
        self._waiting: dict[str, anyio.Event] = {}  # providers whose first answer, good or bad, has not come yet
        self._wake = anyio.Event()
        self._settled = anyio.Event()  # set, and made anew, whenever a first answer comes
        self._asking: anyio.CancelScope | None = None

    @property
    def pending(self) -> bool:
        """True while the first answer of some provider has not come."""
        return bool(self._waiting)

    def configure(self, providers: tuple[Provider, ...]) -> None:
        """Ask these providers from now on; what is known of those that are still the same is kept."""
        before = {provider.name: provider for provider in self._providers}
        self._providers = tuple(provider for provider in providers if provider.discover)
        names = {provider.name for provider in self._providers}
        for name in [*self._offers.keys() - names, *self._waiting.keys() - names]:
            self._offers.pop(name, None)
            self._settle(name)
        for provider in self._providers:
            if not _same(before.get(provider.name), provider):
                self._offers.pop(provider.name, None)
                self._waiting.setdefault(provider.name, anyio.Event())
        self._changed(dict(self._offers))
        if self._asking is not None:
            self._asking.cancel()  # a provider that does not answer must not keep a new one from being asked
        self._wake.set()

    async def wait_first(self, seconds: float) -> None:
        """Wait until each provider has answered once, or failed to; ``seconds`` at most."""
        with anyio.move_on_after(seconds):
            while self._waiting:
                await next(iter(self._waiting.values())).wait()

    async def wait_one(self) -> None:
        """Wait until one more provider has answered for the first time, or failed to."""
        if self._waiting:
            await self._settled.wait()

    async def run(self) -> None:
        """Ask again and again, until cancelled: everybody now and then, those that failed more often."""
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
        """Ask every provider once, or each whose last answer was none, side by side."""
        async with anyio.create_task_group() as group:
            for provider in self._providers:
                offer = self._offers.get(provider.name)
                if not only_failed or offer is None or offer.error:
                    group.start_soon(self._ask, provider)

    async def _ask(self, provider: Provider) -> None:
        known = self._offers.get(provider.name)
        try:
            with anyio.fail_after(_LIST_S):
                offer = offer_of(await list_models(self._pool, provider), time.time())
        except (Refused, ExchangeError, TimeoutError) as exc:
            why = printable(str(exc)) or f"no answer within {_LIST_S:g} s"
            if known is None or known.error != why:
                _log.warning("cannot learn the models of %s: %s", provider.name, why)
            offer = replace(known, error=why) if known else Offer(frozenset(), {}, None, why)
        except Exception:  # whatever a provider sends, it ends neither the others' discovery nor the proxy
            _log.exception("cannot learn the models of %s: a bug in ampmap", provider.name)
            offer = replace(known or Offer(), error="a bug in ampmap; see its log")
        if provider in self._providers:  # a reload may have dropped or changed it meanwhile
            self._offers[provider.name] = offer
            self._changed(dict(self._offers))
            self._settle(provider.name)

    def _settle(self, name: str) -> None:
        if event := self._waiting.pop(name, None):
            event.set()
            self._settled.set()
            self._settled = anyio.Event()


def _same(before: Provider | None, now: Provider) -> bool:
    """Tell whether two providers would be asked the same thing in the same place."""
    return before is not None and (before.origin, before.endpoints, before.api_key, before.headers, before.ca_file) == (
        now.origin,
        now.endpoints,
        now.api_key,
        now.headers,
        now.ca_file,
    )


async def list_models(pool: Pool, provider: Provider) -> list[str]:
    """Ask a provider for its list, in the form of its first protocol that has an answer.

    Raises :class:`Refused`, or an :class:`ExchangeError` when it can't be reached.
    """
    reasons: list[str] = []
    for endpoint in _forms(provider):
        try:
            return await _all_pages(pool, provider, endpoint)
        except Refused as exc:
            reasons.append(str(exc))
    raise Refused("; ".join(reasons) + "; list them under 'models:'")


def _forms(provider: Provider) -> list[Endpoint]:
    """Return one endpoint for each way to ask: the OpenAI protocols share theirs."""
    kinds: dict[str, Endpoint] = {}
    for endpoint in provider.endpoints:
        kinds.setdefault(endpoint.protocol.partition("-")[0], endpoint)
    return list(kinds.values())


async def _all_pages(pool: Pool, provider: Provider, endpoint: Endpoint) -> list[str]:
    names: list[str] = []
    query = {"anthropic": "limit=1000", "gemini": "pageSize=1000"}.get(endpoint.protocol, "")
    page = query
    for _ in range(_PAGES):
        content = await _page(pool, provider, endpoint, page)
        found, after = _read_page(content, endpoint)
        names += found
        if not after:
            return names
        page = f"{query}&{after}" if query else after
    raise Refused(f"its list has more than {_PAGES} pages")


def _read_page(content: object, endpoint: Endpoint) -> tuple[list[str], str]:
    """Return the names on a page, and the query of the next one; raises :class:`Refused` for another form."""
    gemini = endpoint.protocol == "gemini"
    entries = content.get("models" if gemini else "data") if isinstance(content, dict) else None
    if not isinstance(content, dict) or not isinstance(entries, list):
        raise Refused(f"what it answers is no list of models in the form of {endpoint.protocol}")
    key = "name" if gemini else "id"
    found = [entry[key] for entry in entries if isinstance(entry, dict) and isinstance(entry.get(key), str)]
    if gemini:
        token = content.get("nextPageToken")
        after = f"pageToken={quote(token, errors='replace')}" if isinstance(token, str) and token else ""
        return [name.removeprefix("models/") for name in found], after
    last = content.get("last_id") or (found[-1] if found else None)
    if content.get("has_more") is True and isinstance(last, str):
        return found, f"{'after_id' if endpoint.protocol == 'anthropic' else 'after'}={quote(last, errors='replace')}"
    return found, ""


async def _page(pool: Pool, provider: Provider, endpoint: Endpoint, query: str) -> object:
    lines = [(b"Host", provider.origin.authority.encode("ascii")), (b"Accept", b"application/json"),
             (b"Accept-Encoding", b"identity")]  # fmt: skip
    lines += [(name.encode("ascii"), content.encode("latin-1")) for name, content in provider.headers]
    lines += provider_credential(endpoint.auth, provider.api_key)
    if endpoint.protocol == "anthropic":
        lines.append((b"anthropic-version", b"2023-06-01"))
    canonical = "/v1beta/models" if endpoint.protocol == "gemini" else "/v1/models"
    path = provider_path(endpoint.base_path, canonical, "") + (f"?{query}" if query else "")
    status, body = await get(pool, Hop(provider.origin, provider.ca_file), path.encode("ascii"), lines)
    if status != 200:
        raise Refused(f"it answers {status} at {path.partition('?')[0]}")
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise Refused(f"what it answers at {path.partition('?')[0]} is not JSON") from None


async def get(pool: Pool, hop: Hop, path: bytes, lines: list[tuple[bytes, bytes]]) -> tuple[int, bytes]:
    """Get a page of some size; return its status and body. Raises :class:`Refused`, or an :class:`ExchangeError`."""
    kept = pool.take(hop)
    if kept is not None:
        try:
            return await _get_on(kept, pool, hop, path, lines)
        except UpstreamBroken:
            pass  # it died while idle; asking for a list again is safe
    return await _get_on(await pool.dial(hop), pool, hop, path, lines)


async def _get_on(
    wire: UpstreamWire, pool: Pool, hop: Hop, path: bytes, lines: list[tuple[bytes, bytes]]
) -> tuple[int, bytes]:
    try:
        wire.begin(b"GET")
        await wire.send(wire.addressed(request_head(b"GET", path, lines)))
        wire.request_sent = True
        wire.await_head()
        while (head := await wire.next_head()).status < 200:
            pass
        body = bytearray()
        while (piece := await wire.read()) is not None:
            body += piece
            if len(body) > _LIST_BYTES:
                raise Refused(f"its list is larger than {_LIST_BYTES} bytes")
    except BaseException:
        wire.abort()
        raise
    pool.release(hop, wire)
    return head.status, bytes(body)
