"""Requests that go to the Amp upstream: its management routes, and model requests that only credits can serve."""

from __future__ import annotations

from dataclasses import replace

from ..amp.gunzip import Gunzip, could_be_gzip
from ..http.headers import Empty, Length, end_to_end, response_head, value
from ..http.parser import ResponseHead
from ..http.upstream_connection import UpstreamWire
from ..routing.advice import refused_credits
from ..routing.decide import Ask, Decision, decide
from ..routing.target import Target
from ..settings import Protocol
from .context import Turn
from .relay import Parts
from .upgrade import Tunnel, asks_for_websocket
from .upstream_request import to_amp

# A server that honours one of these takes a GET for a POST.
_OTHER_METHOD = (b"x-http-method-override", b"x-http-method", b"x-method-override")
_BUFFERED_BYTES = 65_536  # a body up to this size is read before it is sent on, all in one write


class AmpRoute:
    """One request for the Amp upstream."""

    def __init__(self, turn: Turn, target: Target) -> None:
        self._turn = turn
        self._target = target

    async def serve(self, parts: Parts | None = None) -> None:
        """Send the request to the Amp upstream as it came; ``parts`` None means that its body is still to be read."""
        turn = self._turn
        settings, client, head = turn.snapshot.settings, turn.client, turn.head
        amp = settings.amp
        if amp.origin is None:
            turn.answers.plain = True
            await turn.answers.error(503, "amp upstream proxy not available")
            return
        turn.record.source = amp.origin.host
        turn.answers.plain = True
        if parts is None and isinstance(client.framing, Length) and client.framing.count <= _BUFFERED_BYTES:
            parts = [bytes(await turn.body())]
        framing = client.framing if parts is None or isinstance(client.framing, Empty) else Length(sum(map(len, parts)))
        fallback = turn.service.amp_secret.key_for(amp.origin)
        upgrade = self._opens_socket()
        outbound = to_amp(
            head.method, self._target, head.headers, framing, settings, turn.key, fallback,
            cookies=turn.service.amp_cookies.known_in(head.headers), whole=parts is not None, upgrade=upgrade,
        )  # fmt: skip
        upstream, reply = await turn.relay.ask(outbound, [] if isinstance(framing, Empty) else parts)
        turn.service.amp_cookies.learn(reply.headers)
        if reply.status == 101:
            await self._switch(upstream, reply)
        else:
            may_be_gzip = could_be_gzip(reply.headers) and not isinstance(upstream.framing, Empty)
            decoder = Gunzip() if may_be_gzip else None
            await turn.relay.deliver(upstream, outbound.hop, reply, turn.answers.cors(), decoder=decoder)

    async def _switch(self, upstream: UpstreamWire, reply: ResponseHead) -> None:
        """Become a tunnel: from here on nobody looks at what passes."""
        turn = self._turn
        turn.record.status = reply.status
        turn.client.closing = turn.answers.began = True  # no error can be told in HTTP any more
        turn.client.ends_reply = True  # so a tunnel that breaks is reset
        lines = end_to_end(reply.headers, frozenset({b"content-length"}))
        lines += [(b"Connection", b"Upgrade"), (b"Upgrade", b"websocket")]
        tunnel = Tunnel(turn.client, upstream, turn.record, turn.snapshot.settings.timeouts.stream_idle_s)
        await tunnel.run(response_head(reply.status, reply.reason, lines))

    async def serve_other(self, segment: str, protocol: Protocol | None = None) -> None:
        """Pass on a request under ``/api/provider/`` that names no model; it is free only where it can carry none.

        ``protocol`` is the wire format of a WebSocket.
        """
        turn = self._turn
        if not self._may_carry_model():
            turn.record.route_type = "MANAGEMENT"
            await self.serve()
            return
        decision = decide(Ask(protocol, "", segment), turn.snapshot, turn.look_again())
        turn.note(decision)
        if decision.refused:
            await turn.answers.error(403, refused_credits(decision, turn.snapshot, turn.availability))
        else:
            await self.spend(decision)

    def _may_carry_model(self) -> bool:
        """Tell whether what leaves could ask a model: by a body, by another method, or later, through a WebSocket."""
        head, framing = self._turn.head, self._turn.client.framing
        return (
            head.method not in (b"GET", b"HEAD", b"OPTIONS")
            or framing not in (Empty(), Length(0))
            or self._opens_socket()
            or any(value(head.headers, name) for name in _OTHER_METHOD)
        )

    def _opens_socket(self) -> bool:
        head = self._turn.head
        return (
            head.version == b"1.1"  # RFC 9110 §7.8
            # A body and a tunnel are two readings of the same bytes.
            and self._turn.client.framing in (Empty(), Length(0))
            and asks_for_websocket(head.method, head.headers)
        )

    async def spend(self, decision: Decision, parts: Parts | None = None) -> None:
        """Send a request that ``decision`` lets spend credits, and count it unless nothing of it leaves."""
        turn, credits = self._turn, self._turn.service.credits
        again = credits.again(turn.snapshot.settings.amp.credits_per_day)
        if again is not None:  # others have spent the last of them since it was decided
            turn.record.route_type, turn.record.cost, turn.record.hint = "REJECTED", "none", ""
            refused = replace(decision, credits="refuse", credits_again=again)
            await turn.answers.error(403, refused_credits(refused, turn.snapshot, turn.availability))
            return
        spent = credits.spend()
        try:
            await self.serve(parts)
        finally:
            if not turn.relay.request_left:
                turn.record.cost, turn.record.hint = "none", ""
                credits.give_back(spent)
