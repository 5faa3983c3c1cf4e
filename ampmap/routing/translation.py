"""In which wire format a provider is asked: the request's own if it speaks that, otherwise one to translate it into.

Pure. A client's own login is made for one vendor's requests, so ``auth: client`` is never translated to.
"""

from __future__ import annotations

from ..formats.registry import FORMATS
from ..settings import Endpoint, Protocol, Provider, Settings


def is_translated(protocol: Protocol, path: str) -> bool:
    """Tell whether requests for a canonical path can be translated; embeddings and their like cannot."""
    dialect = FORMATS[protocol].dialect
    return dialect is not None and (path in dialect.paths or path == dialect.count_path)


def asked_in(provider: Provider, protocol: Protocol, settings: Settings, *, translates: bool = True) -> Endpoint | None:
    """Return how a provider is asked for what a client asks for in ``protocol``; None if it cannot be.

    ``translates`` False leaves it the request's own format alone.
    """
    endpoint = provider.endpoint(protocol)
    if endpoint or not translates or not translates_for(provider, settings) or FORMATS[protocol].dialect is None:
        return endpoint
    for target in provider.preferred or [each.protocol for each in provider.endpoints]:
        endpoint = provider.endpoint(target)
        if endpoint and endpoint.auth != "client" and FORMATS[target].dialect is not None:
            return endpoint
    return None


def translates_for(provider: Provider, settings: Settings) -> bool:
    """Tell whether the configuration allows to translate requests for a provider."""
    return settings.translate if provider.translate is None else provider.translate
