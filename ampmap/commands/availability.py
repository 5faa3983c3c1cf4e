"""Find out which models are available now, for ``explain``, ``replay`` and ``init``.

The proxy that runs with this configuration knows it; without one, each provider is asked for its list once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import anyio

from ..errors import ExchangeError
from ..formats.model_page import Refused
from ..http.dialer import Dialer
from ..http.pool import Pool
from ..proxy.discovery import Discovery
from ..proxy.provider_lists import get
from ..routing.snapshot import Availability, Cooldown, Offer, digest_of
from ..settings import Hop, Origin, Settings, TcpListen

_HEALTH, _STATUS = b"/_ampmap/health", b"/_ampmap/status"
_PROXY_S = 2.0  # a proxy on this machine answers in milliseconds


async def learn(settings: Settings, env: Mapping[str, str]) -> tuple[Availability, str]:
    """Return the availability, and a phrase that names its source. Providers are asked only for lists of models.

    Raises nothing for a provider that fails: its offer has the error.
    """
    pool = Pool(Dialer(env, settings.limits, settings.timeouts.connect_s), settings.limits, settings.timeouts)
    try:
        for listen in settings.listen:
            # Another program may listen there by now: it must not get one of the proxy's keys.
            if isinstance(listen, TcpListen) and not settings.api_keys:
                if (status := await _ask_proxy(pool, listen, settings)) is not None:
                    return _from_status(status), f"learnt from the proxy that runs at {listen}"
        if not any(provider.discover for provider in settings.providers):
            return Availability(), "as configured; there is no provider to ask for its models"
        offers: dict[str, Offer] = {}
        discovery = Discovery(pool, offers.update)
        discovery.configure(settings.providers)
        await discovery.round()
        return Availability(
            offers=offers, unlearnt=_unlearnt(offers)
        ), "asked of the providers just now; no proxy answers for this file"
    finally:
        pool.close()


async def _ask_proxy(pool: Pool, listen: TcpListen, settings: Settings) -> dict[str, Any] | None:
    """Return the status of the proxy at ``listen``, if it says that it runs with this configuration."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(listen.host, listen.host)
    hop = Hop(Origin("http", host, listen.port))
    lines = [(b"Host", hop.origin.authority.encode("ascii"))]
    try:
        with anyio.fail_after(_PROXY_S):
            status, body = await get(pool, hop, _HEALTH, lines)
            if status != 200 or digest_of(settings).encode() not in body.split():
                return None
            status, body = await get(pool, hop, _STATUS, lines)
        found: Any = json.loads(body) if status == 200 else None
    except (ExchangeError, Refused, TimeoutError, ValueError):
        return None
    try:
        asked = [provider["discovery"] for provider in found["providers"] if provider["discovery"]["asked"]]
        known = not found["last_reload"]["error"] and all(each["learnt"] or each["error"] for each in asked)
    except (KeyError, TypeError):
        return None  # not one of ours
    return found if known else None


def _from_status(status: dict[str, Any]) -> Availability:
    providers = status["providers"]
    offers = {
        provider["name"]: Offer(
            frozenset(provider["models"]) - provider["discovery"]["dated"].keys(),
            provider["discovery"]["dated"],
            provider["discovery"]["learnt"] and 0.0,
            provider["discovery"]["error"] or "",
        )
        for provider in providers
        if provider["discovery"]["asked"]
    }
    cooling = [provider for provider in providers if provider["state"] == "cooldown"]
    cooldowns = {provider["name"]: Cooldown(provider["why"], provider["until"]) for provider in cooling}
    again = status.get("amp_credits_per_day", {}).get("again")
    return Availability(cooldowns, offers, unlearnt=_unlearnt(offers), credits_again=again)


def _unlearnt(offers: Mapping[str, Offer]) -> frozenset[str]:
    return frozenset(name for name, offer in offers.items() if offer.learnt_at is None)
