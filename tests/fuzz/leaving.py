"""What leaves for a provider or for Amp, held to what arrived: as a strict server reads it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote, unquote_plus, unquote_to_bytes

import h11

from ampmap.access.credentials import our_keys
from ampmap.http.headers import Chunked, Empty, Fields, Framing, Headers, Length
from ampmap.http.parser import RequestHead
from ampmap.proxy.upstream_request import UpstreamRequest
from ampmap.routing.snapshot import Candidate
from ampmap.routing.target import ModelRoute, Target
from ampmap.settings import Origin, Settings

CLIENT_KEY, AMP_CLIENT_KEY = "client-key-1", "client-key-2"  # keys by which a client is known here
OUR_KEYS = (CLIENT_KEY, AMP_CLIENT_KEY)
AMP_KEY, PROVIDER_KEY = "sgamp_of-the-proxy", "key-of-the-provider"

_HOP_BY_HOP = {
    b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authentication-info", b"proxy-authorization",
    b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade",
}  # fmt: skip
_REMADE = {b"host", b"content-length", b"forwarded", b"via", b"x-real-ip"}
_CREDENTIALS = {
    b"authorization", b"x-api-key", b"x-goog-api-key", b"api-key", b"x-auth-token", b"x-amz-security-token",
}  # fmt: skip
_SECRET_WORDS = {"auth", "authorization", "jwt", "password", "secret", "token"}
_KEYS = {"api", "access", "secret", "subscription"}
BODY_LENGTH = 3
_FIELD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+: [^\r\n\x00]*")


@dataclass(frozen=True, slots=True)
class Arrived:
    """One request that was read."""

    head: RequestHead
    framing: Framing
    body: bytes


def for_provider(
    made: UpstreamRequest,
    candidate: Candidate,
    arrived: Arrived,
    route: ModelRoute,
    changed: bool,
    keys: tuple[str, ...],
) -> None:
    """Hold a request for a provider to the client's: its path, its lines and whose credential."""
    asked = one_request(made, Length(BODY_LENGTH), candidate.provider.origin, keys)
    assert asked.method == b"POST"
    path = asked.target.partition(b"?")[0]
    assert path.startswith(candidate.endpoint.base_path.encode())
    own = {b"cookie", b"expect", b"origin", b"referer", b"x-team", b"accept-encoding"}
    if changed:
        own |= {b"content-digest", b"content-md5", b"digest", b"repr-digest"}
    expected = [pair for pair in _end_to_end(arrived.head.headers, own, keys) if b"sgamp_" not in pair[1]]
    lines = [pair for pair in asked.headers if pair[0].lower() not in own | {b"host", b"content-length"}]
    if route.segment is not None:
        expected = [pair for pair in expected if pair[0].lower() != b"anthropic-beta"]
        lines = [pair for pair in lines if pair[0].lower() != b"anthropic-beta"]
    _same(lines, expected)
    credential = _credentials(asked.headers)
    if candidate.endpoint.auth == "client":
        _from_the_client(credential, arrived.head.headers, keys)
        assert not any(b"sgamp_" in content for _, content in credential)
    elif candidate.endpoint.auth == "bearer":
        assert credential == [(b"authorization", b"Bearer " + PROVIDER_KEY.encode())]
    else:
        assert credential == [(b"x-goog-api-key", PROVIDER_KEY.encode())]
    if candidate.endpoint.auth != "client":
        _no_secret_parameter(asked.target)
        assert not any(_names_secret(name) for name, _ in lines if name.lower() not in _CREDENTIALS)


def for_amp(
    made: UpstreamRequest,
    arrived: Arrived,
    target: Target,
    framing: Framing,
    settings: Settings,
    key: str | None,
    fallback: str,
) -> None:
    """Hold a request for Amp to the client's: its path, its lines and whose credential."""
    assert settings.amp.origin is not None
    keys = our_keys(settings)
    asked = one_request(made, framing, settings.amp.origin, keys)
    assert asked.method == arrived.head.method
    assert asked.target.partition(b"?")[0] == b"/there" + target.path.encode()
    own = {b"cookie"}  # Amp has set none here
    own |= {b"expect"} if framing is not arrived.framing or isinstance(framing, Empty) else set()
    added = {b"host", b"content-length", b"transfer-encoding", b"connection", b"upgrade"}
    lines = [pair for pair in asked.headers if pair[0].lower() not in added | own]
    _same(lines, _end_to_end(arrived.head.headers, own, keys))
    assert not any(_names_secret(name) and b"AIza" in content for name, content in lines)
    if made.upgrade:
        assert [b"websocket"] == [content for name, content in asked.headers if name == b"Upgrade"]
    credential = _credentials(asked.headers)
    if settings.amp.api_key:
        assert {content.removeprefix(b"Bearer ") for _, content in credential} <= {
            AMP_KEY.encode(), b"sgamp_of-client-2"
        }  # fmt: skip
        assert len(credential) == 2
    elif (b"x-api-key", b"sgamp_of-client-2") in credential and settings.amp.api_keys:
        assert key == AMP_CLIENT_KEY
    elif not fallback or [content for _, content in credential] != [fallback.encode(), b"Bearer " + fallback.encode()]:
        _from_the_client(credential, arrived.head.headers, keys)


def one_request(made: UpstreamRequest, framing: Framing, origin: Origin, keys: tuple[str, ...]) -> RequestHead:
    """Read what leaves as a strict server would: exactly one request, and nothing behind it."""
    start, *fields = made.head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    assert re.fullmatch(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+ /[\x21-\x7e]* HTTP/1\.1", start), start
    for field in fields:
        assert _FIELD.fullmatch(field), field
    names = [field.partition(b":")[0].lower() for field in fields]
    assert names.count(b"host") == 1
    wanted = [b"content-length"] if isinstance(framing, Length) else []
    wanted = [b"transfer-encoding"] if isinstance(framing, Chunked) else wanted
    assert [name for name in names if name in (b"content-length", b"transfer-encoding")] == wanted
    body = b"x" * framing.count if isinstance(framing, Length) and framing.count < 10_000 else b""
    if isinstance(framing, Chunked):
        body = b"3\r\nabc\r\n0\r\n\r\n"
    server = h11.Connection(h11.SERVER)
    server.receive_data(made.head + body)
    request = server.next_event()
    assert type(request) is h11.Request
    if not isinstance(framing, Length) or framing.count < 10_000:
        while type(event := server.next_event()) is h11.Data:
            pass
        assert type(event) is h11.EndOfMessage, event
        assert server.trailing_data == (b"", False)
    lines = request.headers.raw_items()
    assert [content for name, content in lines if name.lower() == b"host"] == [origin.authority.encode()]
    for line in lines:
        assert not _line_shows_ours(keys, line), line[0]
    _no_key_of_ours(request.target, keys)
    return RequestHead(request.method, request.target, Fields(lines), request.http_version)


def _no_key_of_ours(target: bytes, keys: tuple[str, ...]) -> None:
    """Hold the query to showing none of our keys, in any reading of it."""
    for parameter in target.partition(b"?")[2].split(b"&"):
        for reading in (unquote, unquote_plus):
            assert not _shows_ours(keys, reading(parameter.decode(), errors="replace")), parameter


def _no_secret_parameter(target: bytes) -> None:
    for parameter in target.partition(b"?")[2].split(b"&"):
        name = unquote_to_bytes(parameter.partition(b"=")[0]).lower()
        assert name not in (b"key", b"auth_token", b"access_token", b"api_key", b"api-key", b"apikey"), parameter


def _end_to_end(headers: Headers, also: set[bytes], keys: tuple[str, ...]) -> list[tuple[bytes, bytes]]:
    """Return the client's lines that must reach the upstream, without credentials."""
    nominated = {
        token.strip().lower()
        for name, content in headers
        if name.lower() == b"connection"
        for token in content.split(b",")
    }
    gone = _HOP_BY_HOP | _REMADE | nominated | also
    return [
        (name, content)
        for name, content in headers
        if name.lower() not in gone
        and not name.lower().startswith(b"x-forwarded-")
        and not _line_shows_ours(keys, (name, content))
    ]


def _shows_ours(keys: tuple[str, ...], *texts: str) -> bool:
    """Whether one of our keys stands in a text as a word of its own."""
    pattern = rf"(?<![\w-])(?:{'|'.join(keys)})(?![\w-])"
    return any(re.search(pattern, shown) for shown in texts)


def _line_shows_ours(keys: tuple[str, ...], line: tuple[bytes, bytes]) -> bool:
    return _shows_ours(keys, line[0].decode("latin-1"), line[1].decode("latin-1"))


def _same(lines: Headers, expected: Headers) -> None:
    """Hold the lines that left to those that came, in order; credentials are looked at elsewhere."""
    assert [pair for pair in lines if not _names_secret(pair[0])] == [
        pair for pair in expected if not _names_secret(pair[0])
    ]


def _names_secret(name: bytes) -> bool:
    """Whether a field's last word says that a secret is in it; such fields stay here, or are credentials."""
    *before, last = name.decode().lower().replace("_", "-").split("-")
    kind = last.removesuffix("key") or (before[-1] if before else "")
    return name.lower() in _CREDENTIALS or last in _SECRET_WORDS or (last.endswith("key") and kind in _KEYS)


def _credentials(headers: Headers) -> list[tuple[bytes, bytes]]:
    return [(name.lower(), content) for name, content in headers if name.lower() in _CREDENTIALS]


def _from_the_client(credential: Headers, headers: Headers, keys: tuple[str, ...]) -> None:
    """Hold a login that passes to the client's own lines, none of them one that it nominated or that shows our key."""
    assert all(name in (b"authorization", b"x-api-key", b"x-goog-api-key") for name, _ in credential)
    assert list(credential) == [
        (name.lower(), content)
        for name, content in _end_to_end(headers, set(), keys)
        if (name.lower(), content) in credential
    ]
