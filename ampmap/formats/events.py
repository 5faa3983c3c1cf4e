"""A reply in no vendor's form: events, which the provider's reader makes and the client's writer takes. Pure values.

Writers rely on this order, which readers keep whatever a provider does:

* ``Begin`` first, once.
* Then blocks, one after another: ``Start``, any number of ``Delta`` and, in a text block, ``Citation``, then
  ``Stop``. A block is never opened twice, and never while another is open: where a provider mixes blocks, its reader
  holds one of them back.
* ``End`` last, once. Or instead ``Failure``, once, at any place: an error that the provider stated. It leaves an open
  block open.
* ``Ping`` anywhere: the provider shows that it is alive.

A reply that breaks off has neither ``End`` nor ``Failure``: its reader raises
:class:`~ampmap.errors.UpstreamBroken`, and the proxy cuts the client's connection.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .conversation import Seal


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as a provider states them; None for a number that it does not state.

    ``cached`` and ``written`` (to the prompt cache) are among ``input``, ``reasoning`` is among ``output``.
    """

    input: int | None = None
    output: int | None = None
    cached: int | None = None
    written: int | None = None
    reasoning: int | None = None


@dataclass(frozen=True, slots=True)
class Begin:
    """The reply begins. ``id`` is the provider's name of it, empty if it has none."""

    id: str = ""
    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class Start:
    """A block opens. A ``call`` has the ``id`` and the ``name`` that the provider gave."""

    kind: Literal["thinking", "text", "call"]
    id: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Delta:
    """More of the open block: text, never empty, or for a call a piece of the JSON text of its arguments."""

    text: str


@dataclass(frozen=True, slots=True)
class Citation:
    """A source of the open text block; ``start`` and ``end`` are places in its characters, None if not stated."""

    url: str
    title: str = ""
    start: int | None = None
    end: int | None = None


@dataclass(frozen=True, slots=True)
class Stop:
    """The open block is complete.

    A thinking block may have a ``seal``. ``whole`` is False for a call whose arguments the provider did not finish, so
    that they are no JSON.
    """

    seal: Seal | None = None
    whole: bool = True


@dataclass(frozen=True, slots=True)
class End:
    """The reply is complete.

    ``sequence`` is the stop sequence of that reason. Readers of all formats give ``calls`` if the reply has whole calls
    alone, and ``length`` if it has a call that is not whole. ``explanation`` may go with a refusal.
    """

    reason: Literal["stop", "sequence", "calls", "length", "refusal", "pause"]
    usage: Usage | None = None
    sequence: str = ""
    explanation: str = ""


@dataclass(frozen=True, slots=True)
class Failure:
    """An error that the provider stated.

    ``status`` is the HTTP status of the error, or the one that fits an error within a reply of status 200. ``code`` is
    one of the codes of :mod:`~ampmap.formats.failures`, or empty. ``retry_after_s`` is how long the client has to wait
    before it asks again, None if the error does not say.
    """

    status: int
    message: str
    code: str = ""
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Ping:
    """A sign of life."""


Event = Begin | Start | Delta | Citation | Stop | End | Failure | Ping
