"""A client's bytes, from the parser through gates and routing to the head that leaves for an upstream.

The data is what a client sends: a request with its body, and whatever comes behind it. Held to it:

* nothing is raised but a RequestError, which has a status, an outcome and a sentence that can be shown
* what is answered instead has a status of an error and a sentence that can be shown; a line of YAML that is advised
  does what it says
* what leaves is one request, as h11 reads it strictly: with the client's method and end-to-end fields in their order,
  with one Host, one framing and one credential, none of them the client's
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import get_args
from urllib.parse import unquote, unquote_plus, unquote_to_bytes

import h11

from ampmap.access.credentials import has_amp_headers, our_keys, presented
from ampmap.access.gate import Peer, Refusal, admit, is_probe
from ampmap.bodies.find_model import find_model
from ampmap.config.file import parse
from ampmap.errors import Outcome, RequestError
from ampmap.escaping import text
from ampmap.formats.registry import FORMATS
from ampmap.http.headers import Chunked, Empty, Fields, Framing, Headers, Length
from ampmap.http.parser import RequestHead, RequestParser
from ampmap.proxy.upgrade import asks_for_websocket
from ampmap.proxy.upstream_request import Outbound, to_amp, to_provider
from ampmap.routing.advice import no_provider, refused_credits, yaml_line
from ampmap.routing.decide import Ask, decide
from ampmap.routing.errorbody import error_body
from ampmap.routing.snapshot import Availability, Candidate, Snapshot, compile_snapshot
from ampmap.routing.target import Management, ModelRoute, ProviderOther, Route, Target, parse_target, path_of, route_of
from ampmap.settings import (
    Amp,
    AmpKey,
    Auth,
    Endpoint,
    Limits,
    ModelEntry,
    Origin,
    Provider,
    Rule,
    Settings,
    TcpListen,
)  # fmt: skip

LIMITS = Limits(head_bytes=4096, header_count=40)

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
_BODY_LENGTH = 3
_FIELD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+: [^\r\n\x00]*")


def _provider(name: str, auth: Auth, *models: str, base_path: str = "") -> Provider:
    return Provider(
        name=name,
        origin=Origin("https", f"{name}.example", 443),
        endpoints=tuple(Endpoint(protocol=protocol, auth=auth, base_path=base_path) for protocol in FORMATS),
        models=tuple(ModelEntry(id=model) for model in models),
        api_key=PROVIDER_KEY,
        headers=(("X-Team", "blue"), ("Accept-Encoding", "br")),
    )


_PROVIDERS = (
    _provider("keyed", "bearer", "m", "claude-*"),
    _provider("google", "x-goog-api-key", "gemini-*", base_path="/base/v1beta/openai"),
    _provider("login", "client", "own", "own-*"),
)
_RULES = (
    Rule(source="alias", targets=("missing", "m")),
    Rule(source="^gpt-", targets=("gemini-x", "own"), regex=True),
    Rule(source="dear", targets=("nowhere",), credits="refuse"),
)
_AMP = Amp(origin=Origin("https", "amp.example", 443), base_path="/there", rules=_RULES)
_KEYS = (AmpKey(upstream_api_key="sgamp_of-client-2", client_keys=(AMP_CLIENT_KEY,)),)
_STRANGER = Peer("192.0.2.1", False)
_LOCAL = Peer("127.0.0.1", True)


def _snapshot(settings: Settings) -> Snapshot:
    return compile_snapshot(settings)[0]


# An open proxy on loopback, which knows one client by its key, and a guarded one that has keys for everything.
WAYS: tuple[tuple[Snapshot, Peer], ...] = (
    (
        _snapshot(Settings(providers=_PROVIDERS, amp=replace(_AMP, api_keys=_KEYS), listen=(TcpListen(port=8267),))),
        _LOCAL,
    ),
    (
        _snapshot(
            Settings(
                providers=_PROVIDERS,
                amp=replace(_AMP, api_key=AMP_KEY, api_keys=_KEYS, restrict_management_to_localhost=False),
                api_keys=OUR_KEYS,
                allowed_origins=("https://page.example",),
            )
        ),
        _STRANGER,
    ),
)


@dataclass(frozen=True, slots=True)
class Arrived:
    """One request that was read."""

    head: RequestHead
    framing: Framing
    body: bytes


def check(data: bytes) -> None:
    """Put what a client sends through all modules, in each of WAYS."""
    try:
        arrived = read(data)
    except RequestError as exc:
        _refusal(exc)
        return
    if arrived is None:
        return
    shown = text(path_of(arrived.head.target))
    assert shown.isprintable() and "?" not in shown, shown
    for snapshot, peer in WAYS:
        try:
            _serve(arrived, snapshot, peer)
        except RequestError as exc:
            _refusal(exc)


def read(data: bytes) -> Arrived | None:
    """Return the request that the data begins with; None while it is incomplete. Raises RequestError."""
    data = data.lstrip(b"\r\n")
    if not data:
        return None
    parser = RequestParser(LIMITS)
    parser.feed(data)
    if (found := parser.head()) is None:
        assert len(data) <= LIMITS.head_bytes
        return None
    head, framing = found
    body = b""
    if isinstance(framing, Chunked):
        rest = parser.rest()
        body = parser.chunked().feed(rest)
    elif isinstance(framing, Length):
        body = parser.rest()[: framing.count]
    return Arrived(head, framing, body)


def _refusal(exc: RequestError) -> None:
    assert 400 <= exc.status <= 599
    assert exc.outcome in get_args(Outcome)
    _sentence(str(exc), exc.status)


def _sentence(message: str, status: int) -> None:
    """Hold what a client is told to what each format can carry."""
    assert message
    for protocol in (None, *FORMATS):
        error = json.loads(error_body(protocol, status, message))["error"]
        assert error["message"] == message


def _serve(arrived: Arrived, snapshot: Snapshot, peer: Peer) -> None:
    """Do what ``exchange`` does, as far as it is pure."""
    head, settings = arrived.head, snapshot.settings
    target = parse_target(head.target, head.method)
    route = route_of(target, head.method, has_amp_headers(head.headers))
    shown = [] if is_probe(route) else presented(head.headers, target.query)
    admitted = admit(head.method, target, head.headers, route, peer, settings, shown)
    if isinstance(admitted, Refusal):
        assert admitted.status in (401, 403, 421, 503)
        _sentence(admitted.message, admitted.status)
        return
    if settings.api_keys and not (is_probe(route) or admitted.preflight):
        assert admitted.key in settings.api_keys
    if isinstance(route, ModelRoute):
        _model(arrived, route, target, snapshot, admitted.key)
    elif isinstance(route, Management | ProviderOther):
        _amp(arrived, route, target, settings, admitted.key)


def _model(arrived: Arrived, route: ModelRoute, target: Target, snapshot: Snapshot, key: str | None) -> None:
    settings, everybody = snapshot.settings, Availability()
    span = find_model(arrived.body) if route.model is None else None
    model = route.model if route.model is not None else span.name if span else ""
    decision = decide(Ask(route.protocol, model, route.segment, arrived.head.headers), snapshot, everybody)
    if decision.refused:
        _sentence(refused_credits(decision, snapshot, everybody), 403)
    elif decision.route_type == "NO_PROVIDER":
        assert not decision.candidates
        _sentence(no_provider(decision, snapshot, everybody), 404)
        if model:
            _advised(model)
    elif decision.route_type == "AMP_CREDITS":
        assert route.segment is not None
        _amp(arrived, route, target, settings, key)
    for candidate in decision.candidates:
        for plain_reply in (False, True):
            made = to_provider(
                candidate, route, target, arrived.head.headers, _BODY_LENGTH, settings, plain_reply=plain_reply
            )
            _for_provider(made, candidate, arrived, route, plain_reply, our_keys(settings))


@lru_cache(maxsize=256)
def _advised(model: str) -> None:
    """Hold the advice for a model that nobody serves to its word: pasted, it is a rule for exactly that name."""
    loaded = parse(yaml_line(model, "m"), "advice.yaml", {})
    assert [(rule.source, rule.targets) for rule in loaded.settings.amp.rules] == [(model.strip(), ("m",))] or (
        not loaded.settings.amp.rules and loaded.warnings
    )


def _amp(arrived: Arrived, route: Route, target: Target, settings: Settings, key: str | None) -> None:
    head = arrived.head
    upgrade = isinstance(route, Management) and asks_for_websocket(head.method, head.headers)
    for fallback in ("", "sgamp_fallback"):
        for framing in (arrived.framing, Length(_BODY_LENGTH)):
            made = to_amp(
                head.method, target, head.headers, framing, settings, key, fallback,
                whole=framing is not arrived.framing, upgrade=upgrade,
            )  # fmt: skip
            _for_amp(made, arrived, target, framing, settings, key, fallback)


def _for_provider(
    made: Outbound, candidate: Candidate, arrived: Arrived, route: ModelRoute, plain_reply: bool, keys: tuple[str, ...]
) -> None:
    asked = one_request(made, Length(_BODY_LENGTH), candidate.provider.origin, keys)
    assert asked.method == b"POST"
    path = asked.target.partition(b"?")[0]
    assert path.startswith(candidate.endpoint.base_path.encode())
    own = {b"cookie", b"expect", b"origin", b"referer", b"x-team", b"accept-encoding"}
    if plain_reply:
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


def _for_amp(
    made: Outbound,
    arrived: Arrived,
    target: Target,
    framing: Framing,
    settings: Settings,
    key: str | None,
    fallback: str,
) -> None:
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


def one_request(made: Outbound, framing: Framing, origin: Origin, keys: tuple[str, ...]) -> RequestHead:
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
    """Return the client's lines that are to cross the proxy, but for credentials."""
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
    assert [pair for pair in lines if pair[0].lower() not in _CREDENTIALS] == [
        pair for pair in expected if pair[0].lower() not in _CREDENTIALS
    ]


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
