"""Send requests to the Amp upstream: its management routes, and model requests that are paid with credits."""

from __future__ import annotations

from dataclasses import replace

from ..amp.gunzip import Gunzip, could_be_gzip
from ..errors import BadRequest
from ..formats.registry import FORMATS
from ..http.client_connection import End
from ..http.headers import Empty, Length, end_to_end, response_head, value
from ..http.parser import ResponseHead
from ..http.upstream_connection import UpstreamConnection
from ..routing.advice import refused_credits
from ..routing.decide import Ask, Decision, decide
from ..routing.target import ModelRoute, Target, route_of
from ..settings import Protocol
from .context import RequestContext
from .relay import Parts
from .upgrade import Tunnel, asks_for_websocket
from .upstream_request import to_amp

# A server that honours one of these treats a GET as a POST.
_OTHER_METHOD = (b"x-http-method-override", b"x-http-method", b"x-method-override")
_BUFFERED_BYTES = 65_536  # a body up to this size is read whole, and sent in one write


class AmpHandler:
    """One request for the Amp upstream."""

    def __init__(self, context: RequestContext, target: Target) -> None:
        self._context = context
        self._target = target

    async def serve(self, parts: Parts | None = None, protocol: Protocol | None = None) -> None:
        """Send the request to the Amp upstream, and its reply to the client.

        ``parts`` is the request's body; None: it is still to be read. ``protocol`` is the wire format of a model's
        reply, whose tokens are counted.
        """
        context = self._context
        settings, client, head = context.snapshot.settings, context.client, context.head
        amp = settings.amp
        if amp.origin is None:
            context.responses.plain = True
            await context.responses.error(503, "amp upstream proxy not available")
            return
        context.record.source = amp.origin.host
        context.responses.plain = True
        if parts is None and isinstance(client.framing, Length) and client.framing.count <= _BUFFERED_BYTES:
            parts = [bytes(await context.body())]
        framing = client.framing if parts is None or isinstance(client.framing, Empty) else Length(sum(map(len, parts)))
        fallback = context.service.amp_secret.key_for(amp.origin)
        upgrade = self._opens_socket()
        outbound = to_amp(
            head.method, self._target, head.headers, framing, settings, context.key, fallback,
            cookies=context.service.amp_cookies.known_in(head.headers), whole=parts is not None, upgrade=upgrade,
        )  # fmt: skip
        upstream, reply = await context.relay.ask(outbound, [] if isinstance(framing, Empty) else parts)
        context.service.amp_cookies.learn(reply.headers)
        if reply.status == 101:
            await self._switch(upstream, reply)
        else:
            may_be_gzip = could_be_gzip(reply.headers) and not isinstance(upstream.framing, Empty)
            decoder = Gunzip() if may_be_gzip else None
            context.relay.usage = FORMATS[protocol].usage if protocol else None
            await context.relay.deliver(upstream, outbound.hop, reply, context.responses.cors(), decoder=decoder)

    async def _switch(self, upstream: UpstreamConnection, reply: ResponseHead) -> None:
        """Pass on the 101 and become a tunnel."""
        context = self._context
        context.record.status = reply.status
        context.responses.began = True  # no HTTP error can be sent any more
        context.client.end_with(End.CUT)  # a tunnel that breaks must look broken
        lines = end_to_end(reply.headers, frozenset({b"content-length"}))
        lines += [(b"Connection", b"Upgrade"), (b"Upgrade", b"websocket")]
        tunnel = Tunnel(context.client, upstream, context.record, context.snapshot.settings.timeouts.stream_idle_s)
        await tunnel.run(response_head(reply.status, reply.reason, lines))

    async def serve_other(self, segment: str, protocol: Protocol | None = None) -> None:
        """Pass on a request under ``/api/provider/`` that names no model; if it may carry one, credits may be spent.

        ``protocol`` is the wire format of a WebSocket.
        """
        context = self._context
        if self._overrides_method() and isinstance(route_of(self._target, b"POST", has_amp_headers=False), ModelRoute):
            # What a provider may serve must not pass it by.
            raise BadRequest("this is a model's path: send a POST, without a field that overrides its method")
        if not self._may_carry_model():
            context.record.route_type = "MANAGEMENT"
            await self.serve()
            return
        decision = decide(Ask(protocol, "", segment), context.snapshot, context.look_again())
        context.note(decision)
        if decision.refused:
            await context.responses.error(403, refused_credits(decision, context.snapshot, context.availability))
        else:
            await self.spend(decision)

    def _may_carry_model(self) -> bool:
        """Tell whether the request could reach a model: by a body, an overridden method, or through a WebSocket."""
        head, framing = self._context.head, self._context.client.framing
        return (
            head.method not in (b"GET", b"HEAD", b"OPTIONS")
            or framing not in (Empty(), Length(0))
            or self._opens_socket()
            or self._overrides_method()
        )

    def _overrides_method(self) -> bool:
        return any(value(self._context.head.headers, name) for name in _OTHER_METHOD)

    def _opens_socket(self) -> bool:
        head = self._context.head
        return (
            head.version == b"1.1"  # RFC 9110 §7.8
            # With a body, the same bytes could be read as the body or as the tunnel's content.
            and self._context.client.framing in (Empty(), Length(0))
            and asks_for_websocket(head.method, head.headers)
        )

    async def spend(self, decision: Decision, parts: Parts | None = None) -> None:
        """Send a request that may spend credits, and count it if any byte of it leaves."""
        context, credits = self._context, self._context.service.credits
        again = credits.again(context.snapshot.settings.amp.credits_per_day)
        if again is not None:  # other requests have reached the limit since the decision
            context.record.route_type, context.record.cost, context.record.hint = "REJECTED", "none", ""
            refused = replace(decision, credits="refuse", credits_again=again)
            await context.responses.error(403, refused_credits(refused, context.snapshot, context.availability))
            return
        spent = credits.spend()
        try:
            await self.serve(parts, decision.ask.protocol)
        finally:
            if not context.relay.request_left:
                context.record.cost, context.record.hint = "none", ""
                credits.give_back(spent)
