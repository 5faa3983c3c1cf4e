"""Who breaks, when, how and in what kind of exchange: every cell of that.

Pure: the cells are generated, and a cell without a meaning is taken out by a rule that says why. What the two sides say
in a cell is in ``faultwords``, what must come of it in ``faultfacts``; ``faultupstream`` and ``faultpeers`` act it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from itertools import product


class Side(StrEnum):
    """Who breaks. A client's message is its request, an upstream's its reply; in a tunnel, what it says there too."""

    CLIENT = "client"
    UPSTREAM = "upstream"


class Point(StrEnum):
    """How far the one that breaks has come with its own message."""

    BEFORE_CONNECT = "before connect"
    CONNECT = "connect"  # the connection is made, nothing has been said
    HANDSHAKE = "TLS handshake"
    HEAD = "head"  # the head is due, on connections that have served a request already
    MID_HEAD = "mid-head"
    BODY = "body"  # between two chunks, or half of a body whose length is known
    MID_CHUNK = "mid-chunk"
    BEFORE_END = "before the end"  # all but the last chunk, or but the last byte
    AFTER_END = "after the end"  # a client's: while the upstream thinks; an upstream's: when its connection is idle
    OTHERS_BODY = "other's body"  # it is the other side's message that is under way


class Fault(StrEnum):
    """What it does."""

    FIN = "FIN"
    RST = "RST"
    SILENCE = "silence"
    DRIP = "one byte a second"  # it goes on with what it has to say
    GARBAGE = "garbage"


class Kind(StrEnum):
    """In what exchange."""

    PLAIN = "plain"  # a management route: the request's body is passed on while it arrives
    MAPPED = "mapped"  # the request is read whole, its model renamed, and renamed back in a JSON reply
    SSE = "SSE"  # the same with an event stream in chunks
    TRANSLATED = "translated"  # an event stream of a provider that speaks another format than the client
    UPGRADE = "upgrade"  # a WebSocket's tunnel


class Leg(StrEnum):
    """How the upstream is reached."""

    TCP = "tcp"
    TLS = "tls"


@dataclass(frozen=True, slots=True)
class Cell:
    side: Side
    point: Point
    fault: Fault
    kind: Kind
    leg: Leg

    def __str__(self) -> str:
        return f"{self.side}, {self.point}, {self.fault}, {self.kind}, {self.leg}"

    @property
    def asks_a_model(self) -> bool:
        return self.kind in (Kind.MAPPED, Kind.SSE, Kind.TRANSLATED)

    @property
    def chunked_request(self) -> bool:
        return self.kind is Kind.PLAIN or (self.side is Side.CLIENT and self.point is Point.MID_CHUNK)

    @property
    def chunked_reply(self) -> bool:
        return self.kind in (Kind.SSE, Kind.TRANSLATED) or (
            self.side is Side.UPSTREAM and self.point is Point.MID_CHUNK
        )

    @property
    def large(self) -> bool:
        """True where the other's message must be more than the kernel takes, so that it is still under way."""
        if self.point is not Point.OTHERS_BODY or self.kind is Kind.UPGRADE:
            return False
        whole_first = self.side is Side.UPSTREAM and self.kind is not Kind.PLAIN
        return whole_first or self.fault is Fault.SILENCE


ALL = tuple(Cell(*axes) for axes in product(Side, Point, Fault, Kind, Leg))

_SAYS = (Fault.FIN, Fault.DRIP, Fault.GARBAGE)

RULES: dict[str, Callable[[Cell], bool]] = {
    "before it connects there is no client": lambda cell: (
        cell.side is Side.CLIENT and cell.point is Point.BEFORE_CONNECT
    ),
    "no client speaks TLS to this proxy": lambda cell: cell.side is Side.CLIENT and cell.point is Point.HANDSHAKE,
    "an upstream that nobody is connected to can say nothing": lambda cell: (
        cell.point is Point.BEFORE_CONNECT and cell.fault in _SAYS
    ),
    "without TLS there is no handshake": lambda cell: cell.point is Point.HANDSHAKE and cell.leg is Leg.TCP,
    "before the connection there is no TLS either": lambda cell: (
        cell.point is Point.BEFORE_CONNECT and cell.leg is Leg.TLS
    ),
    "a client that has not asked has no upstream, with or without TLS": lambda cell: (
        cell.side is Side.CLIENT and cell.point in (Point.CONNECT, Point.MID_HEAD) and cell.leg is Leg.TLS
    ),
    "a tunnel has no chunks": lambda cell: cell.kind is Kind.UPGRADE and cell.point is Point.MID_CHUNK,
    "a tunnel has no end that could be one byte away": lambda cell: (
        cell.kind is Kind.UPGRADE and cell.point is Point.BEFORE_END
    ),
    "a tunnel ends with its FIN, and what follows that is the other's": lambda cell: (
        cell.kind is Kind.UPGRADE and cell.side is Side.UPSTREAM and cell.point is Point.AFTER_END
    ),
    "who has ended its half of a tunnel says nothing more": lambda cell: (
        cell.kind is Kind.UPGRADE and cell.point is Point.OTHERS_BODY and cell.fault in _SAYS
    ),
    "TLS cannot be half closed": lambda cell: (
        cell.kind is Kind.UPGRADE and cell.point is Point.OTHERS_BODY and cell.leg is Leg.TLS
    ),
}


def why_impossible(cell: Cell) -> str | None:
    """Return the first rule by which ``cell`` has no meaning; None when it has one."""
    return next((reason for reason, holds in RULES.items() if holds(cell)), None)


POSSIBLE = tuple(cell for cell in ALL if why_impossible(cell) is None)
