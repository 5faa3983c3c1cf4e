"""The block that ``serve`` prints when it listens: addresses, providers, rules, how to point an agent there. Pure."""

from __future__ import annotations

from .._version import __version__
from ..access.gate import OWN_HOST
from ..escaping import printable
from ..routing.reasons import shown_rule
from ..settings import Provider, Settings
from .env import exports

_SHOWN = 12  # names of models, or rules, in a list; the rest is counted


def banner(settings: Settings, addresses: list[str]) -> str:
    """Return the block; no line of it holds a secret."""
    amp = settings.amp
    lines = [f"ampmap {__version__} listens on {', '.join(addresses)}"]
    lines.append(f"  config     {settings.source or 'none: built-in defaults, providers from the environment'}")
    lines += _column("providers", [_provider(provider) for provider in settings.providers] or ["none"])
    lines += _column("rules", [shown_rule(rule) for rule in amp.rules] or ["none"])
    if amp.origin is None:
        lines.append("  otherwise  an error: there is no Amp upstream")
    else:
        words = {"allow": "costs credits", "warn": "costs credits, with a warning", "refuse": "refused"}
        lines.append(f"  otherwise  {amp.origin} ({words[amp.credits]})")
    if settings.admin and (pages := _pages(addresses)):
        lines.append(f"  pages      {pages}")
    url = next((address for address in addresses if address.startswith("http")), None)
    if url is not None:
        lines += ["", "point an agent here:", *(f"  {line}" for line in exports(url, bool(settings.api_keys)))]
    return "\n".join(map(printable, lines))


def _pages(addresses: list[str]) -> str:
    """Return the URL of the proxy's own pages; empty if their host name does not lead to an address of this proxy."""
    here = ("http://127.0.0.1", "http://[::1]", "http://0.0.0.0", "http://[::]", "http://localhost")
    for host, _, port in (address.rpartition(":") for address in addresses):
        if host in here:
            return f"http://{OWN_HOST}:{port}/_ampmap/"
    return ""


def _provider(provider: Provider) -> str:
    names = [entry.id for entry in provider.models]
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    spoken = ", ".join(endpoint.protocol for endpoint in provider.endpoints)
    listed = ", ".join(names[:_SHOWN]) + more
    if provider.discover:
        listed = f"{listed}, and its own list" if listed else "its own list"
    return f"{provider.name} ({provider.origin}; {spoken}): {listed or 'no models'}"


def _column(title: str, entries: list[str]) -> list[str]:
    shown = entries[:_SHOWN]
    if len(entries) > _SHOWN:
        shown.append(f"and {len(entries) - _SHOWN} more")
    return [f"  {title if number == 0 else '':<10} {entry}" for number, entry in enumerate(shown)]
