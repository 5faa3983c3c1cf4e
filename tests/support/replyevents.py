"""The parts of a neutral reply, as events."""

from __future__ import annotations

from ampmap.formats.conversation import Seal
from ampmap.formats.events import Delta, Event, Start, Stop


def text(*pieces: str) -> list[Event]:
    return [Start("text"), *map(Delta, pieces), Stop()]


def call(name: str, *pieces: str, id_: str = "c1", whole: bool = True) -> list[Event]:
    return [Start("call", id_, name), *map(Delta, pieces), Stop(whole=whole)]


def thinking(*pieces: str, seal: Seal | None = None) -> list[Event]:
    return [Start("thinking"), *map(Delta, pieces), Stop(seal)]
