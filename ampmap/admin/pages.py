"""The pages under ``/_ampmap/``: health, readiness, status, the last requests, numbers for Prometheus.

Reads a :class:`~ampmap.proxy.state.Service` and changes nothing. No page shows a secret.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable

from .._version import __version__
from ..escaping import printable
from ..proxy.state import Page, Service
from ..records.record import Journal, shown_time
from ..routing.advice import how_to_serve
from ..routing.decide import Ask
from ..routing.names import is_glob
from ..routing.reasons import shown_rule
from ..routing.snapshot import Offer
from ..settings import Provider, Rule

_JSON = "application/json"
_TEXT = "text/plain; charset=utf-8"


def page(name: str, service: Service) -> Page | None:
    """Return the page called ``name``; None when there is none of that name."""
    make = _PAGES.get(name)
    return make(service) if make else None


def _health(service: Service) -> Page:
    return 200, _TEXT, b"ok\nconfiguration %b\n" % service.snapshot.digest.encode()


def _ready(service: Service) -> Page:
    return (503, _TEXT, b"draining\n") if service.draining else (200, _TEXT, b"ready\n")


def _status(service: Service) -> Page:
    snapshot, journal, reload = service.snapshot, service.journal, service.reload
    settings = snapshot.settings
    body = {
        "version": __version__,
        "uptime_s": round(time.monotonic() - service.started, 1),
        "config": settings.source or None,
        "generation": snapshot.generation,
        "last_reload": {
            "time": shown_time(reload.at),
            "error": printable(reload.error) or None,
            "failed_at": None if reload.failed_at is None else shown_time(reload.failed_at),
        },
        "draining": service.draining,
        "connections": service.count_connections(),
        "idle_upstream_connections": service.pool.idle_count,
        "tasks": service.count_tasks(),
        "amp_upstream": str(settings.amp.origin) if settings.amp.origin else None,
        "amp_credits": settings.amp.credits,
        "amp_credits_per_day": {
            "limit": settings.amp.credits_per_day or None,
            "spent": service.credits.count(),
            "again": service.credits.again(settings.amp.credits_per_day),  # seconds since 1970
        },
        "providers": [_provider(provider, service) for provider in settings.providers],
        "rules": [_rule(rule, journal) for rule in settings.amp.rules],
        "uncovered_models": [
            {"model": name, "requests": count, "add": _add(name, service)}
            for name, count in journal.uncovered.most_common()
        ],
        "requests": {"paid": journal.paid, "avoided": journal.avoided},
    }
    return 200, _JSON, json.dumps(body, indent=2).encode() + b"\n"


def _add(name: str, service: Service) -> str:
    """Say how to serve a model that nobody covered; empty where somebody does by now."""
    protocol = service.journal.uncovered_in[name]
    asked = Ask(protocol or None, name)
    return how_to_serve(asked, service.snapshot, service.availability())


def _rule(rule: Rule, journal: Journal) -> dict[str, object]:
    place = f"{rule.place.file}:{rule.place.line}" if rule.place else shown_rule(rule)  # as records name it
    used = journal.rule_used.get(place)
    return {
        "rule": shown_rule(rule),
        "hits": journal.rule_hits[place],
        "last_used": None if used is None else shown_time(used),
    }


def _provider(provider: Provider, service: Service) -> dict[str, object]:
    availability = service.availability()
    offer = availability.offers.get(provider.name, Offer())
    cooldown = availability.cooldowns.get(provider.name)
    listed = [entry.id for entry in provider.models if not is_glob(entry.id)]
    return {
        "name": provider.name,
        "origin": str(provider.origin),
        "protocols": [endpoint.protocol for endpoint in provider.endpoints],
        "state": "cooldown" if cooldown else "up",
        "why": cooldown.why if cooldown else None,
        "until": cooldown.until if cooldown else None,
        "models": [*listed, *sorted(offer.models - set(listed)), *sorted(offer.dated)],
        "patterns": [entry.id for entry in provider.models if is_glob(entry.id)],
        "discovery": {
            "asked": provider.discover,
            "learnt": None if offer.learnt_at is None else shown_time(offer.learnt_at),
            "error": offer.error or None,
            "dated": dict(offer.dated),
        },
    }


def _requests(service: Service) -> Page:
    records = [record.fields() for record in service.journal.recent]
    return 200, _JSON, json.dumps({"requests": records}, indent=1).encode() + b"\n"


def _metrics(service: Service) -> Page:
    journal = service.journal
    what = "Requests by how they were routed and ended."
    lines = [f"# HELP ampmap_requests_total {what}", "# TYPE ampmap_requests_total counter"]
    lines += [
        f'ampmap_requests_total{{route_type="{route}",status="{status}",outcome="{outcome}"}} {count}'
        for (route, status, outcome), count in sorted(journal.requests.items())
    ]
    for name, kind, what, value in (
        ("ampmap_request_body_bytes_total", "counter", "Bytes of request bodies.", journal.bytes_in),
        ("ampmap_response_body_bytes_total", "counter", "Bytes of response bodies.", journal.bytes_out),
        ("ampmap_paid_requests_total", "counter", "Requests that spent Amp credits.", journal.paid),
        ("ampmap_avoided_requests_total", "counter", "Requests served without Amp credits.", journal.avoided),
        ("ampmap_connections", "gauge", "Open client connections.", service.count_connections()),
        ("ampmap_idle_upstream_connections", "gauge", "Upstream connections kept.", service.pool.idle_count),
        ("ampmap_tasks", "gauge", "Tasks of the event loop.", service.count_tasks()),
        ("ampmap_generation", "gauge", "Generation of the rules in force.", service.snapshot.generation),
    ):  # fmt: skip
        lines += [f"# HELP {name} {what}", f"# TYPE {name} {kind}", f"{name} {value}"]
    return 200, "text/plain; version=0.0.4; charset=utf-8", "\n".join(lines).encode() + b"\n"


_PAGES: dict[str, Callable[[Service], Page]] = {
    "health": _health,
    "ready": _ready,
    "status": _status,
    "requests": _requests,
    "metrics": _metrics,
}
