"""What must come of each cell of the fault matrix, worked out from what the proxy promises.

Pure: see ``faultmatrix``.
"""

from __future__ import annotations

from dataclasses import dataclass

from faultmatrix import Cell, Fault, Kind, Leg, Point, Side
from faultwords import DRIP_S, TIMES, parted, reply, request


@dataclass(frozen=True, slots=True)
class Report:
    """What a record says."""

    route_type: str
    status: int
    outcome: str
    attempts: int


@dataclass(frozen=True, slots=True)
class Facts:
    """What came of a cell.

    ``seen`` are the client's replies: status and whether it was whole; ``connections`` and ``requests`` count what the
    upstream got, ``whole`` tells whether the request was complete, ``answered`` whether the upstream came to the end of
    its reply; ``pooled`` counts upstream connections that are kept. None stands for what the fault itself hides.
    """

    seen: tuple[tuple[int, bool], ...] = ()
    connections: int = 0
    requests: int | None = 0
    whole: bool | None = None
    answered: bool | None = None
    records: tuple[Report, ...] = ()
    pooled: int = 0


def expected(cell: Cell) -> Facts:
    """Work out what must come of a cell."""
    return _of_client(cell) if cell.side is Side.CLIENT else _of_upstream(cell)


_BAD = Report("REJECTED", 400, "rejected", 0)
_LATE = Report("REJECTED", 408, "timeout", 0)


def _route(cell: Cell) -> str:
    return "MODEL_MAPPING" if cell.asks_a_model else "MANAGEMENT"


def _of_client(cell: Cell) -> Facts:
    if cell.point in (Point.CONNECT, Point.HEAD, Point.MID_HEAD):
        return _within_the_head(cell)
    if cell.point in (Point.BODY, Point.MID_CHUNK, Point.BEFORE_END) and cell.kind is not Kind.UPGRADE:
        return _within_the_request(cell)
    return _while_served(cell)


def _within_the_head(cell: Cell) -> Facts:
    """A head that has begun is answered, by 400 or 408, if there is anybody; for one that has not, there is nothing."""
    kept = 1 if cell.point is Point.HEAD else 0  # of the exchange before
    began = cell.point is Point.MID_HEAD or cell.fault in (Fault.DRIP, Fault.GARBAGE)
    if not began or cell.fault is Fault.RST:
        return Facts(connections=kept, pooled=kept)
    _, left = parted(request(cell), cell.point)
    if cell.fault is Fault.DRIP:
        assert len(left) * DRIP_S > TIMES.head_s  # the deadline is the whole head's
    record = _LATE if cell.fault in (Fault.SILENCE, Fault.DRIP) else _BAD
    return Facts(((record.status, True),), connections=kept, records=(record,), pooled=kept)


def _within_the_request(cell: Cell) -> Facts:
    """A body that breaks off is an error of the client's; the upstream has seen of it what had been passed on."""
    if cell.fault is Fault.DRIP:  # the deadline is for the silence between two bytes
        return _served(cell)
    status, outcome = {
        Fault.FIN: (400, "rejected"),
        Fault.RST: (499, "client_gone"),
        Fault.SILENCE: (408, "timeout"),
        Fault.GARBAGE: (400, "rejected"),
    }[cell.fault]
    seen = () if cell.fault is Fault.RST else ((status, True),)
    if cell.kind is Kind.PLAIN:
        passed_on = (Report("MANAGEMENT", status, outcome, 1),)
        return Facts(seen, connections=1, requests=1, whole=False, answered=False, records=passed_on)
    record = Report("REJECTED", status, outcome, 0)
    if cell.fault is Fault.GARBAGE and not cell.chunked_request:  # it fills the body and goes on behind it
        return Facts((*seen, (_BAD.status, True)), records=(record, _BAD))
    return Facts(seen, records=(record,))


def _while_served(cell: Cell) -> Facts:
    """Who leaves while it is served takes its upstream request along; what else it says is its next request."""
    fault, tunnel = cell.fault, cell.kind is Kind.UPGRADE
    begun = 101 if tunnel else 200
    replying = cell.point in (Point.BODY, Point.OTHERS_BODY)
    politely = tunnel and replying and fault is Fault.FIN  # the end of one half of a tunnel
    stuck = cell.point is Point.OTHERS_BODY and fault is Fault.SILENCE and not tunnel
    if (fault in (Fault.FIN, Fault.RST) and not politely) or stuck:
        seen = ((begun, False),) if replying else ()
        status = begun if replying else 499
        records = (Report(_route(cell), status, "client_gone", 1),)
        return Facts(seen, 1, 1, True, answered=False, records=records)
    if tunnel and fault is Fault.SILENCE and cell.point is not Point.OTHERS_BODY:
        records = (Report("MANAGEMENT", 101, "timeout", 1),)
        return Facts(((101, False),), 1, 1, True, answered=False, records=records)
    if politely and cell.leg is Leg.TLS:  # it has no half-close: its connection ends with the client's half
        return Facts(((101, False),), 1, 1, True, answered=False, records=(Report("MANAGEMENT", 101, "ok", 1),))
    more = {Fault.DRIP: _LATE, Fault.GARBAGE: _BAD}.get(fault) if not tunnel else None
    return _served(cell, more)


def _served(cell: Cell, more: Report | None = None) -> Facts:
    """All went well; ``more`` is what was made of bytes that came after the request."""
    status = 101 if cell.kind is Kind.UPGRADE else 200
    seen: tuple[tuple[int, bool], ...] = ((status, True),)
    records: tuple[Report, ...] = (Report(_route(cell), status, "ok", 1),)
    if more is not None:
        seen, records = (*seen, (more.status, True)), (*records, more)
    kept = 0 if cell.kind is Kind.UPGRADE else 1
    answered = None if cell.side is Side.UPSTREAM else True
    return Facts(seen, 1, 1, True, answered, records, kept)


def _of_upstream(cell: Cell) -> Facts:
    if cell.point in (Point.BEFORE_CONNECT, Point.HANDSHAKE):
        # Nothing was asked of anyone: not even an attempt.
        connections = 0 if cell.point is Point.BEFORE_CONNECT else 1
        return Facts(((502, True),), connections, records=(Report(_route(cell), 502, "upstream_error", 0),))
    if cell.point in (Point.CONNECT, Point.HEAD, Point.MID_HEAD):
        return _without_reply(cell, whole=None if cell.point is Point.CONNECT else True)
    if cell.point is Point.OTHERS_BODY and cell.kind is not Kind.UPGRADE:
        # A drip lets the body pass: the clock for the reply's head runs from there.
        return _without_reply(cell, whole=cell.fault is Fault.DRIP)
    if cell.point is Point.AFTER_END:
        served = _served(cell)
        kept = 1 if cell.fault is Fault.SILENCE else 0  # who speaks unasked is not asked again
        return Facts(served.seen, 1, 1, True, None, served.records, kept)
    return _tunnel_breaks(cell) if cell.kind is Kind.UPGRADE else _reply_breaks(cell)


def _without_reply(cell: Cell, whole: bool | None) -> Facts:
    """No head comes, or none in time: 502 or 504, once, even where a kept connection broke."""
    status, outcome = {
        Fault.FIN: (502, "upstream_truncated"),
        Fault.RST: (502, "upstream_truncated"),
        Fault.SILENCE: (504, "timeout"),
        Fault.DRIP: (504, "timeout"),
        Fault.GARBAGE: (502, "upstream_error"),
    }[cell.fault]
    if cell.fault is Fault.DRIP:
        left = reply(cell).head if cell.point is not Point.MID_HEAD else parted(reply(cell), cell.point)[1]
        assert left.index(b"\r\n\r\n") * DRIP_S > TIMES.response_head_s
    unread = cell.point is Point.CONNECT and cell.fault is Fault.RST
    requests = None if unread else 1
    return Facts(((status, True),), 1, requests, whole, None, (Report(_route(cell), status, outcome, 1),))


def _reply_breaks(cell: Cell) -> Facts:
    """A reply that breaks off stays visibly cut, and its connection is not used again."""
    bytes_are_bytes = cell.fault is Fault.GARBAGE and not cell.chunked_reply  # within a known length
    if cell.fault is Fault.DRIP or bytes_are_bytes:
        served = _served(cell)
        return Facts(served.seen, 1, 1, True, None, served.records, pooled=0 if bytes_are_bytes else 1)
    outcome = {Fault.SILENCE: "timeout", Fault.GARBAGE: "upstream_error"}.get(cell.fault, "upstream_truncated")
    return Facts(((200, False),), 1, 1, True, None, (Report(_route(cell), 200, outcome, 1),))


def _tunnel_breaks(cell: Cell) -> Facts:
    """What passes through a tunnel is nobody's business; only how its ends leave is told."""
    half_closed = cell.point is Point.OTHERS_BODY
    unproven = cell.leg is Leg.TLS and cell.fault is Fault.FIN  # an end that TLS does not vouch for
    broke = cell.fault is Fault.RST or unproven
    outcome = "upstream_truncated" if broke else "ok"
    if cell.fault is Fault.SILENCE and not half_closed:
        outcome = "timeout"
    said_all = half_closed or cell.fault is Fault.DRIP
    return Facts(((101, said_all),), 1, 1, True, None, (Report("MANAGEMENT", 101, outcome, 1),))
