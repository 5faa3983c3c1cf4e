"""Make the pages under ``/_ampmap/``, except the stream of events.

They are made from a :class:`~ampmap.proxy.state.Service`, which they do not change. No page shows a secret.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from .._version import __version__
from ..bodies.steps import Steps, finished
from ..escaping import printable_lines
from ..proxy.state import AdminPage, Service
from ..records.journal import Journal
from ..records.record import shown_time
from ..routing.advice import remedy
from ..routing.decide import Ask
from ..routing.names import is_glob
from ..routing.reasons import rule_place, shown_rule
from ..routing.snapshot import Offer
from ..settings import Provider, Rule
from .live import live_page
from .metrics import metrics_page

_JSON = "application/json"
_TEXT = "text/plain; charset=utf-8"
_STEP_PIECES = 500  # of JSON, some of them a comma
_BRIEF_RULES, _BRIEF_NAMES = 200, 20  # the most in a brief status


def page(name: str, service: Service) -> AdminPage | None:
    """Do as :func:`scan_page`, all at once."""
    return finished(scan_page(name, service))


def scan_page(name: str, service: Service) -> Steps[AdminPage | None]:
    """Return the page ``/_ampmap/NAME``; None if there is none. Clients and providers choose how long some are."""
    if name == "status":
        return AdminPage(200, _JSON, (yield from _dumped((yield from status_of(service)), 2)))
    if name == "requests":
        records = []
        for record in [*service.journal.recent]:
            records.append(record.fields())
            yield
        return AdminPage(200, _JSON, (yield from _dumped({"requests": records}, 1)))
    make = _PAGES.get(name)
    return make(service) if make else None


def _dumped(value: dict[str, Any], indent: int) -> Steps[bytes]:
    pieces = []
    for at, piece in enumerate(json.JSONEncoder(indent=indent).iterencode(value)):
        pieces.append(piece)
        if at % _STEP_PIECES == 0:
            yield
    return "".join(pieces).encode() + b"\n"


def _health(service: Service) -> AdminPage:
    return AdminPage(200, _TEXT, b"ok\nconfiguration %b\n" % service.snapshot.digest.encode())


def _ready(service: Service) -> AdminPage:
    return AdminPage(503, _TEXT, b"draining\n") if service.draining else AdminPage(200, _TEXT, b"ready\n")


def status_of(service: Service, *, brief: bool = False) -> Steps[dict[str, Any]]:
    """Return the members of the status; ``brief`` leaves out models' names and shortens long lists.

    ``requests`` counts since the start; ``own`` is ``ampmap_own_requests_total`` in the metrics, and so on. ``tokens``
    lists the tokens since the start, the most used model first: ``{"model": "m", "requests": 2, "input": 30, "output":
    4, "cached": 20, "reasoning": 1}``, with the meaning of :class:`~ampmap.records.tokens.Tokens`; ``model`` is the
    provider's name for it, or ``other``.
    """
    uncovered = []
    for name, count in service.journal.uncovered.most_common(_BRIEF_NAMES if brief else None):
        uncovered.append(_uncovered(name, count, service))
        yield
    snapshot, journal, reload = service.snapshot, service.journal, service.reload
    settings = snapshot.settings
    providers = []
    for provider in settings.providers:
        providers.append(_provider(provider, service, brief=brief))
        yield
    rules = settings.amp.rules
    if brief and len(rules) > _BRIEF_RULES:
        rules = tuple(sorted(rules, key=lambda rule: -journal.rule_hits[rule_place(rule)])[:_BRIEF_RULES])
    return {
        "version": __version__,
        "uptime_s": round(time.monotonic() - service.started, 1),
        "config": settings.source or None,
        "generation": snapshot.generation,
        "last_reload": {
            "time": shown_time(reload.at),
            "error": printable_lines(reload.error) or None,
            "failed_at": None if reload.failed_at is None else shown_time(reload.failed_at),
        },
        "draining": service.draining,
        "connections": service.count_connections(),
        "idle_upstream_connections": service.pool.idle_count,
        "streams": len(journal.streams),
        "tasks": service.count_tasks(),
        "amp_upstream": str(settings.amp.origin) if settings.amp.origin else None,
        "amp_credits": settings.amp.credits,
        "amp_credits_per_day": {
            "limit": settings.amp.credits_per_day or None,
            "spent": service.credits.count(),
            "again": service.credits.again(settings.amp.credits_per_day),  # seconds since 1970
        },
        "providers": providers,
        "rules": [_rule(rule, journal) for rule in rules],
        "rule_count": len(settings.amp.rules),
        "uncovered_models": uncovered,
        "requests": {"own": journal.own, "paid": journal.paid, "avoided": journal.avoided},
        "tokens": _tokens(journal),
    }


def _tokens(journal: Journal) -> list[dict[str, object]]:
    counts = sorted(journal.tokens.by_model.items(), key=lambda item: -item[1].input - item[1].output)
    return [{"model": name, **asdict(tokens)} for name, tokens in counts]


def _uncovered(name: str, count: int, service: Service) -> dict[str, object]:
    """Return how to serve a model that no provider listed; ``add`` and ``paste`` are empty if one does by now."""
    asked = Ask(service.journal.uncovered_in[name] or None, name)
    add, paste = remedy(asked, service.snapshot, service.availability())
    return {"model": name, "requests": count, "add": add, "paste": paste}


def _rule(rule: Rule, journal: Journal) -> dict[str, object]:
    place = rule_place(rule)
    used = journal.rule_used.get(place)
    return {
        "rule": shown_rule(rule),
        "hits": journal.rule_hits[place],
        "last_used": None if used is None else shown_time(used),
    }


def _provider(provider: Provider, service: Service, *, brief: bool) -> dict[str, object]:
    availability = service.availability()
    offer = availability.offers.get(provider.name, Offer())
    cooldown = availability.cooldowns.get(provider.name)
    listed = dict.fromkeys(entry.id for entry in provider.models if not is_glob(entry.id))
    names: dict[str, object] = {}
    if not brief:
        names = {"models": [*dict.fromkeys((*listed, *offer.names))]}
    return {
        "name": provider.name,
        "origin": str(provider.origin),
        "protocols": [endpoint.protocol for endpoint in provider.endpoints],
        "state": "cooldown" if cooldown else "up",
        "why": cooldown.why if cooldown else None,
        "until": cooldown.until if cooldown else None,
        "model_count": sum(name not in offer.models for name in listed) + len(offer.models) + len(offer.dated),
        **names,
        "patterns": [entry.id for entry in provider.models if is_glob(entry.id)],
        "discovery": {
            "asked": provider.discover,
            "learnt": None if offer.learnt_at is None else shown_time(offer.learnt_at),
            "error": offer.error or None,
            **({} if brief else {"dated": dict(offer.dated)}),
        },
    }


_PAGES: dict[str, Callable[[Service], AdminPage]] = {
    "": lambda service: live_page(),
    "health": _health,
    "ready": _ready,
    "metrics": metrics_page,
}
