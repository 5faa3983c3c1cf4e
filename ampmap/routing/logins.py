"""The one origin that a client's own login may go to, of all providers with ``auth: client``.

Pure. A login is meant for one vendor, and a second one must never see it: not when the first fails, and not because a
rule leads there. So of the candidates of a request, those with ``auth: client`` count only at one origin:

1. that of the first provider with ``auth: client`` that lists the model under the name which the client asked for;
2. where none does, that of all providers with ``auth: client`` in the request's format, if it is one and the same;
3. else none.

Whether providers can be reached plays no part in it: a login goes nowhere else because a provider is down.
"""

from __future__ import annotations

from ..errors import Complaint
from ..settings import Endpoint, Origin, Protocol, Settings
from .snapshot import Availability, Candidate, Snapshot


def with_one_login(
    candidates: tuple[Candidate, ...], model: str, protocol: Protocol, snapshot: Snapshot, availability: Availability
) -> tuple[Candidate, ...]:
    """Return the candidates of a request for ``model`` without those that may not have the client's own login."""
    if not any(_wants_login(candidate.endpoint) for candidate in candidates):
        return candidates
    origin = login_origin(model, protocol, snapshot, availability)
    kept = [each for each in candidates if each.provider.origin == origin or not _wants_login(each.endpoint)]
    return tuple(kept)


def login_origin(model: str, protocol: Protocol, snapshot: Snapshot, availability: Availability) -> Origin | None:
    """Return the origin that the client's own login may go to in a request for ``model``."""
    for listing in snapshot.listing(model, availability):
        if _wants_login(listing.provider.endpoint(protocol)):
            return listing.provider.origin
    providers = snapshot.settings.providers
    origins = {provider.origin for provider in providers if _wants_login(provider.endpoint(protocol))}
    return origins.pop() if len(origins) == 1 else None


def login_warnings(settings: Settings) -> list[Complaint]:
    """Return a warning for each provider with ``auth: client`` whose origin is not that of the first of them."""
    wanting = [provider for provider in settings.providers if any(map(_wants_login, provider.endpoints))]
    found = []
    for provider in wanting:
        if provider.origin != wanting[0].origin:
            what = (
                f"providers {wanting[0].name} and {provider.name} both have 'auth: client'; the login of a client goes "
                f"to one origin only: to {wanting[0].origin} or to {provider.origin}, whichever lists the model that "
                "is asked for (the first, if both do), and never on to the other by failover or a rule"
            )
            found.append(Complaint(what, provider.place, "warning"))
    return found


def _wants_login(endpoint: Endpoint | None) -> bool:
    return endpoint is not None and endpoint.auth == "client"
