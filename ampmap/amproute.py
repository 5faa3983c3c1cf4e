"""Requests that go to the Amp upstream: its management routes, and model requests that only credits can serve."""

from __future__ import annotations

from .advice import refused_credits
from .gunzip import could_be_gzip
from .headers import Empty, Length, end_to_end, response_head
from .outbound import to_amp
from .parser import ResponseHead
from .relay import Parts
from .router import Ask, decide
from .target import Target
from .tunnel import Tunnel, asks_for_websocket
from .turn import Turn
from .upstreamwire import UpstreamWire

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
        upgrade = (
            turn.record.route_type == "MANAGEMENT"
            and head.version == b"1.1"  # RFC 9110 §7.8
            and client.framing in (Empty(), Length(0))  # a body and a tunnel are two readings of the same bytes
            and asks_for_websocket(head.method, head.headers)
        )
        outbound = to_amp(
            head.method, self._target, head.headers, framing, settings, turn.key, fallback,
            whole=parts is not None, upgrade=upgrade,
        )  # fmt: skip
        upstream, reply = await turn.relay.ask(outbound, [] if isinstance(framing, Empty) else parts)
        if reply.status == 101:
            await self._switch(upstream, reply)
        else:
            gzip = could_be_gzip(reply.headers) and not isinstance(upstream.framing, Empty)
            await turn.relay.deliver(upstream, outbound.hop, reply, turn.answers.cors(), may_be_gzip=gzip)

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

    async def serve_other(self, segment: str) -> None:
        """Pass on what is under ``/api/provider/`` but no model route; only reading is free."""
        turn = self._turn
        if turn.head.method in (b"GET", b"HEAD", b"OPTIONS"):
            turn.record.route_type = "MANAGEMENT"
        else:
            decision = decide(Ask(None, "", segment), turn.snapshot, turn.look_again())
            turn.note(decision)
            if decision.refused:
                await turn.answers.error(403, refused_credits(decision, turn.snapshot, turn.availability))
                return
        await self.serve()
