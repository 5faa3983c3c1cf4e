"""The tree that a YAML text becomes: scalars, lists and mappings, each with its place. Pure.

``yaml_tree`` builds it, within its limits, and the readers take it apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from ..errors import Place

Kind = Literal["str", "int", "float", "bool", "null"]


@dataclass(frozen=True, slots=True)
class Scalar:
    """One value: its text without quotes, and its kind. What is quoted is always ``str``."""

    place: Place
    text: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list."""

    place: Place
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Mapping:
    """A mapping, in the file's order; every key is a string and occurs once."""

    place: Place
    entries: tuple[tuple[Scalar, Node], ...]


Node: TypeAlias = Scalar | Sequence | Mapping
