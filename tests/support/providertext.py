"""Providers as they are written in a configuration, read."""

from __future__ import annotations

import configtext

from ampmap.config.file import Loaded
from ampmap.settings import Provider

UNSENT = "cannot be sent: a key has visible ASCII characters only, no blanks, no line breaks"


def loaded(text: str, **env: str) -> Loaded:
    return configtext.parse(f"providers: [{text}]", **env)


def one(text: str, **env: str) -> Provider:
    [provider] = loaded(text, **env).settings.providers
    return provider


def complaints(text: str, **env: str) -> list[str]:
    return configtext.complaints(f"providers: [{text}]", **env)


def spoken(provider: Provider) -> dict[str, tuple[str, str]]:
    return {e.protocol: (e.base_path, e.auth) for e in provider.endpoints}
