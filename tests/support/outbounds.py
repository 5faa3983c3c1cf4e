"""Requests made for a provider and for Amp, and their fields."""

from __future__ import annotations

from policy import candidate, provider, split_head

from ampmap.http.headers import Empty, Framing, Headers
from ampmap.proxy.upstream_request import UpstreamRequest, to_amp, to_provider
from ampmap.routing.target import ModelRoute, parse_target, route_of
from ampmap.settings import Provider, Settings

ONE = provider("one", "m")


def for_provider(
    path: str = "/v1/messages",
    headers: Headers = (),
    *,
    who: Provider = ONE,
    model: str = "m",
    settings: Settings = Settings(),  # noqa: B008  # frozen
    changed: bool = False,
) -> UpstreamRequest:
    target = parse_target(path.encode(), b"POST")
    route = route_of(target, b"POST", False)
    assert isinstance(route, ModelRoute)
    way = candidate(who, model, route.protocol)
    return to_provider(way, route, target, headers, 42, settings, changed=changed)


def for_amp(
    path: str = "/api/internal",
    headers: Headers = (),
    *,
    method: bytes = b"POST",
    framing: Framing = Empty(),  # noqa: B008  # frozen
    settings: Settings = Settings(),  # noqa: B008  # frozen
    key: str | None = None,
    fallback: str = "",
) -> UpstreamRequest:
    return to_amp(method, parse_target(path.encode(), method), headers, framing, settings, key, fallback)


def fields(outbound: UpstreamRequest) -> list[tuple[str, str]]:
    return split_head(outbound.head)[1]


def field(outbound: UpstreamRequest, name: str) -> list[str]:
    return [value for key, value in fields(outbound) if key == name]
