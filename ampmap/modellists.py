"""A provider's list of models, asked for page by page in the form of each protocol that it speaks."""

from __future__ import annotations

import json
from urllib.parse import quote

from .credentials import provider_credential
from .errors import UpstreamBroken
from .headers import request_head
from .pool import Pool
from .settings import Endpoint, Hop, Provider
from .target import provider_path
from .upstreamwire import UpstreamWire

_LIST_BYTES = 16 * 1024 * 1024  # OpenRouter's list has half a megabyte
_PAGES = 50


class Refused(Exception):
    """A provider did not answer with a list of models; the text says why."""


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
    path = provider_path(endpoint.base_path, canonical, "", endpoint.version_path) + (f"?{query}" if query else "")
    status, body = await get(pool, Hop(provider.origin, provider.ca_file), path.encode("ascii"), lines)
    if status in (401, 403) and endpoint.auth != "client":
        raise _WantsKey(f"it answers {status} at {path.partition('?')[0]}")
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
