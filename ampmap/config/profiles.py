"""The ``profile`` of a provider: what a translator has to know of it, as far as a user can set it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final, TypeAlias

from ..formats.conversation import EFFORTS
from ..formats.registry import FORMATS
from ..settings import Endpoint
from .keys import NO_FIELD, PROFILE, WORDS
from .nodes import Node
from .reader import Reading

Changes: TypeAlias = Mapping[str, Any]
"""Fields of a :class:`~ampmap.formats.profile.Profile` and their values."""


def with_profile(endpoint: Endpoint, *changes: Changes) -> Endpoint:
    """Return the endpoint with the profile of its format and these changes, the later ones over the earlier."""
    profile = FORMATS[endpoint.protocol].profile
    for each in changes:
        profile = replace(profile, **each)
    return replace(endpoint, profile=profile)


def read_profile(reading: Reading, node: Node) -> Changes:
    """Return the fields that are written and can be used."""
    read = {key: _READERS[key](reading, value) for key, value in reading.fields(node, PROFILE).items()}
    return {key.replace("-", "_"): value for key, value in read.items() if value is not None}


def _word(key: str) -> Callable[[Reading, Node], str | None]:
    return lambda reading, node: reading.word(node, WORDS[key], "value")


def _efforts(reading: Reading, node: Node) -> tuple[str, ...]:
    words = (reading.word(item, EFFORTS, "effort") for item in reading.items(node))
    return tuple(dict.fromkeys(word for word in words if word))


def _reasoning_field(reading: Reading, node: Node) -> str | None:
    word = reading.word(node, WORDS["reasoning-field"], "field")
    return "" if word == NO_FIELD else word


_READERS: Final[Mapping[str, Callable[[Reading, Node], Any]]] = {
    "max-output": Reading.count,
    "max-tokens-key": _word("max-tokens-key"),
    "effort": _efforts,
    "reasoning-field": _reasoning_field,
    "files": Reading.boolean,
    "strict-schemas": Reading.boolean,
    "mid-system": _word("mid-system"),
    "stream-usage": Reading.boolean,
}
