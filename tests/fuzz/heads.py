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
from dataclasses import replace
from functools import lru_cache
from typing import get_args

from ampmap.access.credentials import has_amp_headers, our_keys, presented
from ampmap.access.gate import Peer, Refusal, admit, is_probe
from ampmap.bodies.find_model import find_model
from ampmap.config.file import parse
from ampmap.errors import Outcome, RequestError
from ampmap.escaping import text
from ampmap.formats.registry import FORMATS
from ampmap.http.headers import Chunked, Length
from ampmap.http.parser import RequestParser
from ampmap.proxy.upgrade import asks_for_websocket
from ampmap.proxy.upstream_request import to_amp, to_provider
from ampmap.routing.advice import no_provider, refused_credits, yaml_line
from ampmap.routing.decide import Ask, decide
from ampmap.routing.errorbody import error_body
from ampmap.routing.snapshot import Availability, Snapshot, compile_snapshot
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

from .leaving import AMP_CLIENT_KEY, AMP_KEY, BODY_LENGTH, OUR_KEYS, PROVIDER_KEY, Arrived, for_amp, for_provider

LIMITS = Limits(head_bytes=4096, header_count=40)


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
        for changed in (False, True):
            made = to_provider(candidate, route, target, arrived.head.headers, BODY_LENGTH, settings, changed=changed)
            for_provider(made, candidate, arrived, route, changed, our_keys(settings))


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
        for framing in (arrived.framing, Length(BODY_LENGTH)):
            made = to_amp(
                head.method, target, head.headers, framing, settings, key, fallback,
                whole=framing is not arrived.framing, upgrade=upgrade,
            )  # fmt: skip
            for_amp(made, arrived, target, framing, settings, key, fallback)
