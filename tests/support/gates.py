"""Asking the gate alone, without a proxy."""

from __future__ import annotations

from ampmap.access.credentials import presented
from ampmap.access.gate import Admitted, Peer, Refusal, admit
from ampmap.http.headers import Headers
from ampmap.routing.target import parse_target, route_of
from ampmap.settings import Settings

LOCAL = Peer("127.0.0.1", True)
REMOTE = Peer("192.0.2.9", False)
UNIX = Peer("", True)

MANAGED, ADMIN, MODEL, OTHER = "/api/internal", "/_ampmap/status", "/v1/messages", "/api/provider/x/y"
ROUTES = [MANAGED, ADMIN, MODEL, "/api/provider/x/v1/messages", OTHER, "/v1/models", "/", "/nothing"]
KEYED = Settings(api_keys=("k1", "k2"))
ALLOWING = Settings(allowed_origins=("https://app.example",))


def ask(
    path: str,
    headers: Headers = (),
    *,
    method: str = "POST",
    peer: Peer = LOCAL,
    settings: Settings = Settings(),  # noqa: B008  # frozen
) -> Admitted | Refusal:
    verb = method.encode()
    target = parse_target(path.encode(), verb)
    route = route_of(target, verb, False)
    return admit(verb, target, headers, route, peer, settings, presented(headers, target.query))


def status(answer: Admitted | Refusal) -> int:
    return answer.status if isinstance(answer, Refusal) else 200
