"""A provider's list of models, asked for page by page in the form of each protocol that it speaks."""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import TypeVar

from anyio.lowlevel import checkpoint

from ..access.credentials import provider_credential
from ..amp.gunzip import begins_gzip
from ..errors import BadRequest, BodyTooLarge, UpstreamBroken
from ..formats.base import ListSource
from ..formats.model_page import MOST_NAMES, Refused, scan_page
from ..formats.registry import FORMATS
from ..http.decoding import scan_decoded
from ..http.headers import Headers, request_head, tokens
from ..http.pool import Pool
from ..http.upstream_connection import UpstreamWire
from ..routing.target import provider_path
from ..settings import Endpoint, Hop, Provider

_T = TypeVar("_T")

_TURN_S = 0.002
_LIST_BYTES = 8 * 1024 * 1024  # OpenRouter's list has half a megabyte
_PAGES = 50


class _WantsKey(Refused):
    """A provider did not answer with a list because it takes no key that it was sent, or was sent none."""


async def list_models(pool: Pool, provider: Provider) -> list[str]:
    """Ask a provider for its list, in the form of its first protocol that has an answer.

    Raises :class:`Refused`, or an :class:`ExchangeError` when it can't be reached.
    """
    reasons: list[str] = []
    remedy = "list them under 'models:'"
    for endpoint in _forms(provider):
        try:
            return await _all_pages(pool, provider, endpoint)
        except Refused as exc:
            reasons.append(str(exc))
            if isinstance(exc, _WantsKey):
                refused = f"the key of provider {provider.name} is refused: correct its api-key"
                remedy = refused if provider.api_key else "it asks for a key: add 'api-key:'"
    raise Refused("; ".join([*reasons, remedy]))


def _forms(provider: Provider) -> list[Endpoint]:
    """Return one endpoint for each way to ask: formats can share theirs."""
    sources: dict[ListSource, Endpoint] = {}
    for endpoint in provider.endpoints:
        sources.setdefault(FORMATS[endpoint.protocol].source, endpoint)
    return list(sources.values())


async def _all_pages(pool: Pool, provider: Provider, endpoint: Endpoint) -> list[str]:
    names: list[str] = []
    page = query = FORMATS[endpoint.protocol].source.query
    for _ in range(_PAGES):
        body = await _page(pool, provider, endpoint, page)
        found, after = await in_turns(scan_page(body, endpoint.protocol, MOST_NAMES - len(names)))
        names += found
        if not after:
            return names
        page = f"{query}&{after}" if query else after
    raise Refused(f"its list has more than {_PAGES} pages")


async def _page(pool: Pool, provider: Provider, endpoint: Endpoint, query: str) -> bytearray:
    lines = [(b"Host", provider.origin.authority.encode("ascii")), (b"Accept", b"application/json"),
             (b"Accept-Encoding", b"identity")]  # fmt: skip
    lines += [(name.encode("ascii"), content.encode("latin-1")) for name, content in provider.headers]
    lines += provider_credential(endpoint.auth, provider.api_key)
    source = FORMATS[endpoint.protocol].source
    lines += source.fields
    path = provider_path(endpoint.base_path, source.path, "", endpoint.version_path) + (f"?{query}" if query else "")
    status, body = await get(pool, Hop(provider.origin, provider.ca_file), path.encode("ascii"), lines)
    if status in (401, 403) and endpoint.auth != "client":
        raise _WantsKey(f"it answers {status} at {source.path}")
    if status != 200:
        raise Refused(f"it answers {status} at {source.path}")
    return body


async def get(pool: Pool, hop: Hop, path: bytes, lines: list[tuple[bytes, bytes]]) -> tuple[int, bytearray]:
    """Get a page of at most 8 MiB; return its status and its body, decoded where it is gzip or deflate.

    Raises :class:`Refused`, or an :class:`ExchangeError`.
    """
    kept = pool.take(hop)
    if kept is not None:
        try:
            return await _get_on(kept, pool, hop, path, lines)
        except UpstreamBroken:
            pass  # it died while idle; asking for a list again is safe
    return await _get_on(await pool.dial(hop), pool, hop, path, lines)


async def _get_on(
    wire: UpstreamWire, pool: Pool, hop: Hop, path: bytes, lines: list[tuple[bytes, bytes]]
) -> tuple[int, bytearray]:
    turn = _Turn()
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
                raise _too_large()
            await turn.over()
    except BaseException:
        wire.abort()
        raise
    pool.release(hop, wire)
    return head.status, await _decoded(body, head.headers)


async def _decoded(body: bytearray, headers: Headers) -> bytearray:
    """Decode a body that is gzip, whether it says so or not, or deflate: some servers do not look at what was asked."""
    if begins_gzip(bytes(body[:2])):
        coding = "gzip"
    elif b"deflate" in tokens(headers, b"content-encoding") and not body.startswith((b"{", b"[")):
        coding = "deflate"
    else:
        return body
    try:
        return await in_turns(scan_decoded(body, coding, _LIST_BYTES))
    except BodyTooLarge:
        raise _too_large() from None
    except BadRequest as exc:
        raise Refused(f"what it answers cannot be decoded: {exc}") from None


def _too_large() -> Refused:
    return Refused(f"its list has more than {_LIST_BYTES // 2**20} MiB a page")


class _Turn:
    """The time that one piece of work may take before others have their turn."""

    def __init__(self) -> None:
        self._began = time.thread_time()

    async def over(self) -> None:
        """Let others have their turn if this one has lasted 2 ms."""
        if time.thread_time() - self._began > _TURN_S:
            await checkpoint()
            self._began = time.thread_time()


async def in_turns(steps: Generator[None, None, _T]) -> _T:
    """Run ``steps``, each of which is short, to its end and return its result; others have a turn every 2 ms of CPU."""
    turn = _Turn()
    while True:
        try:
            next(steps)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]  # what a generator returns has no type in StopIteration
        await turn.over()
