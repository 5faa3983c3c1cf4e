"""Ask a provider for its list of models, page by page, in the form of one of the protocols that it speaks."""

from __future__ import annotations

from ..access.credentials import provider_credential
from ..amp.gunzip import begins_gzip
from ..errors import BadRequest, BodyTooLarge, UpstreamBroken
from ..formats.base import ListSource
from ..formats.model_page import MOST_NAMES, Names, Refused, scan_page
from ..formats.registry import FORMATS
from ..http.decoding import scan_decoded
from ..http.headers import Headers, request_head, tokens
from ..http.pool import Pool
from ..http.upstream_connection import UpstreamConnection
from ..routing.target import provider_path
from ..settings import Endpoint, Hop, Provider
from .turns import in_turns

_LIST_BYTES = 8 * 1024 * 1024  # OpenRouter's list has half a megabyte
_PAGES = 50


class _WantsKey(Refused):
    """A provider gave no list because its key is missing or refused."""


async def list_models(pool: Pool, provider: Provider) -> Names:
    """Ask a provider for its list in the form of each of its protocols, until it answers one.

    Raises :class:`Refused`, or an :class:`ExchangeError` when it can't be reached.
    """
    reasons: list[str] = []
    remedy = "list them under 'models:'"
    for endpoint in _forms(provider):
        try:
            return await _all_pages(pool, provider, endpoint)
        except _WantsKey as exc:
            reasons.append(str(exc))
            remedy = "it asks for a key: add 'api-key:'"
            if provider.api_key:
                remedy = f"the key of provider {provider.name} is refused: correct its api-key"
        except Refused as exc:
            reasons.append(str(exc))
    raise Refused("; ".join([*reasons, remedy]))


def _forms(provider: Provider) -> list[Endpoint]:
    """Return one endpoint for each way to ask, because several formats can share one."""
    sources: dict[ListSource, Endpoint] = {}
    for endpoint in provider.endpoints:
        sources.setdefault(FORMATS[endpoint.protocol].source, endpoint)
    return list(sources.values())


async def _all_pages(pool: Pool, provider: Provider, endpoint: Endpoint) -> Names:
    names = Names()
    page = query = FORMATS[endpoint.protocol].source.query
    for _ in range(_PAGES):
        body = await _page(pool, provider, endpoint, page)
        found, after = await in_turns(scan_page(body, endpoint.protocol, MOST_NAMES - len(names)))
        names.add(found)
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


async def get(
    pool: Pool, hop: Hop, path: bytes, lines: list[tuple[bytes, bytes]], posted: bytes = b""
) -> tuple[int, bytearray]:
    """Get a page of at most 8 MiB; return its status and its body, decoded if it is gzip or deflate.

    ``posted`` is the body of a POST instead; the request may be sent twice.

    Raises :class:`Refused` for a body that is too large or damaged, or an :class:`ExchangeError`.
    """
    kept = pool.take(hop)
    if kept is not None:
        try:
            return await _get_on(kept, pool, hop, path, lines, posted)
        except UpstreamBroken:
            pass  # the connection ended while it was idle
    return await _get_on(await pool.dial(hop), pool, hop, path, lines, posted)


async def _get_on(
    upstream: UpstreamConnection, pool: Pool, hop: Hop, path: bytes, lines: list[tuple[bytes, bytes]], posted: bytes
) -> tuple[int, bytearray]:
    try:
        method = b"POST" if posted else b"GET"
        if posted:
            lines = [*lines, (b"Content-Length", b"%d" % len(posted))]
        upstream.begin(method)
        await upstream.send(upstream.addressed(request_head(method, path, lines)) + posted)
        upstream.asked()
        upstream.await_head()
        while (head := await upstream.next_head()).status < 200:
            pass
        body = bytearray()
        while (piece := await upstream.read()) is not None:
            body += piece
            if len(body) > _LIST_BYTES:
                raise _too_large()
    except BaseException:
        upstream.abort()
        raise
    pool.release(hop, upstream)
    return head.status, await _decoded(body, head.headers)


async def _decoded(body: bytearray, headers: Headers) -> bytearray:
    """Decode a body that is gzip, declared or not, or deflate: some servers ignore ``Accept-Encoding``."""
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
