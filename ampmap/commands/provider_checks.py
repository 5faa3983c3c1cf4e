"""Check whether providers can be reached, take their keys, and list the models of rules.

Providers are asked for nothing but their lists of models.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass, replace

import anyio

from ..access.credentials import provider_credential
from ..errors import ExchangeError
from ..escaping import counted
from ..formats.model_page import Refused
from ..formats.registry import FORMATS
from ..http.pool import Pool
from ..net.address import is_loopback
from ..proxy.discovery import offer_of
from ..proxy.provider_lists import get, list_models
from ..routing.names import is_glob
from ..routing.reasons import shown_rule
from ..routing.snapshot import Availability, Offer, Snapshot
from ..routing.target import provider_path
from ..settings import Endpoint, Hop, Provider
from .findings import Finding

_AREA = "providers"
_LIST_S = 15.0  # for one list, all its pages
_PROBE_S = 5.0


@dataclass(slots=True)
class Checked:
    """The findings about one provider; ``offer`` is its list, None if it could not be read."""

    findings: list[Finding]
    offer: Offer | None = None


async def check_provider(pool: Pool, provider: Provider) -> Checked:
    """Ask a provider for its list, and whether the paths of its formats are there. Takes half a minute at most."""
    at = f"{provider.name} ({provider.origin})"
    try:
        with anyio.fail_after(_LIST_S):
            names = await list_models(pool, provider)
    except Refused as exc:
        return Checked([_refused(provider, at, exc)])
    except (ExchangeError, TimeoutError) as exc:
        what = str(exc) or f"no answer within {_LIST_S:g} s"
        return Checked([Finding(_AREA, "bad", f"{at}: {what}", _way_out(provider, what))])
    said = [f"{counted(len(names), 'model')} listed"]
    said += ["TLS verified"] * (provider.origin.scheme == "https")
    if provider.api_key:
        said.append("key accepted" if await _wants_key(pool, provider) else "its list asks for no key: not proven")
    known = [each.protocol for each in provider.endpoints if await _is_there(pool, provider, each)]
    said.append(f"answers in {', '.join(known)}" if known else "its formats cannot be told without a paid request")
    findings = [Finding(_AREA, "well", f"{at}: {'; '.join(said)}")]
    offer = offer_of(names, 0.0, names.entries)
    return Checked([*findings, *_unlisted(provider, offer)], offer)


def _refused(provider: Provider, at: str, exc: Refused) -> Finding:
    what, _, remedy = str(exc).rpartition("; ")
    if "key" in remedy:
        return Finding(_AREA, "bad", f"{at}: {what}", remedy)
    if any(endpoint.auth == "client" for endpoint in provider.endpoints):
        return Finding(_AREA, "well", f"{at}: reached; it wants the agent's own login, which is not here to be tried")
    if provider.discover:
        return Finding(_AREA, "bad", f"{at}: {what}", f"check 'base-url', or {remedy}")
    return Finding(_AREA, "note", f"{at}: reached, but without a list to ask for its key is not proven: {what}")


def _way_out(provider: Provider, what: str) -> str:
    if "certificate is not trusted" in what:
        return "name a PEM file of its authority under 'ca-file:'"
    if is_loopback(provider.origin.host):
        return "start that server, or correct 'base-url'"
    return "check 'base-url' and this machine's network"


async def _wants_key(pool: Pool, provider: Provider) -> bool:
    """Tell whether the list is refused without the key: only then an answer proves the key."""
    endpoints = tuple(replace(endpoint, auth="none") for endpoint in provider.endpoints)
    try:
        with anyio.fail_after(_PROBE_S):
            await list_models(pool, replace(provider, api_key="", headers=(), endpoints=endpoints))
    except (Refused, ExchangeError, TimeoutError):
        return True
    return False


async def _is_there(pool: Pool, provider: Provider, endpoint: Endpoint) -> bool:
    """Tell whether the provider knows a format's path: it does not answer 404 to a GET, which costs nothing."""
    dialect = FORMATS[endpoint.protocol].dialect
    path = min(dialect.paths, key=len) if dialect else ""
    if not path or "{model}" in path:
        path = FORMATS[endpoint.protocol].source.path
    target = provider_path(endpoint.base_path, path, "", endpoint.version_path)
    lines = [(b"Host", provider.origin.authority.encode("ascii")), (b"Accept-Encoding", b"identity")]
    lines += [(name.encode("ascii"), content.encode("latin-1")) for name, content in provider.headers]
    lines += provider_credential(endpoint.auth, provider.api_key)
    try:
        with anyio.fail_after(_PROBE_S):
            status, _ = await get(pool, Hop(provider.origin, provider.ca_file), target.encode("ascii"), lines)
    except (Refused, ExchangeError, TimeoutError):
        return False
    return status != 404 and status < 500


def _unlisted(provider: Provider, offer: Offer) -> Iterator[Finding]:
    """Yield a finding if the provider does not list a name under ``models``."""
    written = [entry.upstream or entry.id for entry in provider.models]
    missing = [name for name in written if not (is_glob(name) or name in offer.models or name in offer.dated)]
    if missing and not provider.variants:
        what = f"{provider.name} does not list {', '.join(missing)}, which 'models:' says it has"
        yield Finding(_AREA, "note", what, _near(missing[0], offer.models) or "correct the name, or take it out")


def check_rules(snapshot: Snapshot, checked: dict[str, Checked]) -> Iterator[Finding]:
    """Yield the rules that never apply, because no provider lists a target. While a list is unknown, none is judged."""
    settings = snapshot.settings
    if not any(provider.discover for provider in settings.providers):
        return  # the warnings about the file say it already
    offers = {name: each.offer for name, each in checked.items() if each.offer is not None}
    unknown = [provider.name for provider in settings.providers if provider.discover and provider.name not in offers]
    if unknown and settings.amp.rules:
        yield Finding("rules", "note", f"not looked at: the models of {', '.join(unknown)} are not known")
    if unknown:
        return
    availability = Availability(offers={p.name: offers[p.name] for p in settings.providers if p.discover})
    known = set(snapshot.names(availability))
    useless = [
        rule for rule in settings.amp.rules
        if not any(snapshot.listing(target.strip(), availability) for target in rule.targets)
    ]  # fmt: skip
    for rule in useless:
        what = f"{shown_rule(rule)} never applies: no provider lists {' or '.join(rule.targets)}"
        yield Finding("rules", "bad", what, _near(rule.targets[0], known) or "map it to a model that a provider lists")
    if settings.amp.rules and not useless:
        yield Finding("rules", "well", f"{counted(len(settings.amp.rules), 'rule')}, each with a model that is listed")


def _near(name: str, known: set[str] | frozenset[str]) -> str:
    near = difflib.get_close_matches(name, known, 1)
    return f"did you mean {near[0]}?" if near else ""
