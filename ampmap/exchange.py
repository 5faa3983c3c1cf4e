"""One request, one response: what is asked, whether it may be, who serves it, and one record of how it went.

The policy of the data path is put together here from pure parts; bytes are moved by ``relay``. Every request that
produced a head ends in exactly one record, whatever happened to it.
"""

from __future__ import annotations

import logging

from . import admin
from .answer import Answers
from .body import ModelSpan, spliced
from .catalogue import format_of, model_list
from .credentials import has_amp_headers, presented
from .errorbody import (
    all_rest,
    amp_unreachable,
    no_provider,
    refused_credits,
    served_example,
    yaml_line,
)
from .errors import (
    BadRequest,
    ClientGone,
    DialFailed,
    ExchangeError,
    RequestTimeout,
    UpstreamError,
)
from .facts import NO_FACTS
from .gate import Peer, Refusal, admit, is_probe
from .headers import Empty, Length, printable, text, value
from .intake import find_facts, find_model, whole_body
from .journal import Record
from .mapping import Availability, Candidate, Snapshot
from .outbound import Outbound, to_amp, to_provider
from .parser import RequestHead, ResponseHead
from .relay import Parts, Relay
from .reply import ByteFilter, renamer_for
from .router import Ask, Decision, decide, may_fail_over, needs_facts, shown_rule
from .service import Service
from .settings import Protocol
from .target import (
    Admin,
    Home,
    Management,
    ModelList,
    ModelRoute,
    ProviderOther,
    Route,
    Target,
    Unknown,
    parse_target,
    path_of,
)
from .target import route_of as find_route
from .wire import ClientWire, UpstreamWire

_log = logging.getLogger("ampmap.upstream")

_HOME = b"This is ampmap, a proxy for coding agents. What it does now: /_ampmap/status\n"
_LIST_PROTOCOLS: dict[str, Protocol] = {"anthropic": "anthropic", "gemini": "gemini"}
_BUFFERED_BYTES = 65_536  # a management body up to this size is read before it is sent on, all in one write


class Exchange:
    """The life of one request."""

    def __init__(self, service: Service, client: ClientWire, peer: Peer, head: RequestHead) -> None:
        self._service = service
        self._client = client
        self._peer = peer
        self._head = head
        self._snapshot: Snapshot = service.snapshot  # the only read: a reload changes nothing for this request
        self._availability: Availability = service.availability()
        self._record = Record(
            generation=self._snapshot.generation, method=text(head.method), path=text(path_of(head.target))
        )
        self._relay = Relay(client, service.pool, self._record)
        self._answers = Answers(client, self._record, head.method)
        self._key: str | None = None  # the client key that was shown

    async def run(self) -> None:
        """Serve the request; never raises anything of ``errors``. Cancelling cuts what is under way."""
        record = self._record
        try:
            await self._serve()
        except ClientGone:
            record.outcome = "client_gone"
            record.status = record.status or ClientGone.status
            self._client.abort()
        except ExchangeError as exc:
            await self._fail(exc)
        except BaseException:
            record.outcome, record.status = "shutdown", record.status or 503
            self._client.abort()
            raise
        finally:
            self._client.raw.on_gone = None
            record.bytes_in = record.bytes_in or self._client.body_bytes
            self._service.journal.write(record)

    async def _fail(self, exc: ExchangeError) -> None:
        """Tell the client what went wrong; where its response has begun, all that is left is to cut it."""
        record = self._record
        record.detail = record.detail or str(exc)
        record.outcome = exc.outcome
        if self._relay.reply_began or self._answers.began:
            self._client.abort()
            return
        record.source = "error"
        if not self._relay.request_left:
            record.cost, record.hint = "none", ""  # nothing has been asked of anyone, so nothing was spent
        if isinstance(exc, RequestTimeout):
            self._client.closing = True  # what is left of its body may still come, and would be taken for a request
        self._answers.retry_costs = self._relay.request_left
        try:
            if self._answers.plain and isinstance(exc, UpstreamError):
                await self._answers.whole(exc.status, amp_unreachable(), outcome=exc.outcome)
            else:
                await self._answers.error(exc.status, str(exc), outcome=exc.outcome)
        except ExchangeError:
            self._client.abort()

    async def _serve(self) -> None:
        head = self._head
        target = parse_target(head.target, head.method)
        route = find_route(target, head.method, has_amp_headers(head.headers))
        self._record.path = text(target.path.encode("ascii"))
        if isinstance(route, ModelRoute):
            self._answers.protocol = self._record.protocol = route.protocol
        elif isinstance(route, ModelList):
            self._answers.protocol = _LIST_PROTOCOLS.get(self._list_format(route))
        shown = [] if is_probe(route) else presented(head.headers, target.query)
        admitted = admit(head.method, target, head.headers, route, self._peer, self._snapshot.settings, shown)
        self._answers.origin = admitted.origin
        if isinstance(admitted, Refusal):
            self._answers.plain = admitted.plain
            await self._answers.error(admitted.status, admitted.message)
            return
        self._key = admitted.key
        if admitted.preflight:
            await self._answers.preflight(head.headers)
            return
        await self._dispatch(route, target)

    async def _dispatch(self, route: Route, target: Target) -> None:
        match route:
            case ModelRoute():
                await self._model(route, target)
            case Management():
                self._record.route_type = "MANAGEMENT"
                await self._to_amp(target)
            case ProviderOther():
                await self._provider_other(route, target)
            case ModelList():
                await self._model_list(route)
            case Admin():
                await self._admin(route)
            case Home():
                self._record.route_type, self._record.source = "ADMIN", "ampmap"
                await self._answers.whole(200, _HOME, b"text/plain; charset=utf-8", outcome="ok")
            case Unknown():
                where = f"{text(self._head.method)} {printable(self._record.path)}"
                await self._answers.error(404, f"ampmap serves nothing at {where}")

    # -- model routes

    async def _model(self, route: ModelRoute, target: Target) -> None:
        body = await self._body()
        received = self._record.since_start_ms()
        span = await find_model(body, self._head.headers) if route.model is None else None
        model = route.model if route.model is not None else span.name if span else ""
        if not model and route.segment is None:
            raise BadRequest('the body names no model: send a JSON object with "model": "NAME", without content coding')
        decision = await self._decide(route, model, body)
        self._note(decision)
        if decision.refused:
            await self._answers.error(403, refused_credits(decision, self._snapshot))
        elif decision.route_type == "NO_PROVIDER":
            status = 503 if all_rest(decision, self._snapshot, self._availability) else 404
            await self._answers.error(status, no_provider(decision, self._snapshot, self._availability))
        elif decision.route_type == "AMP_CREDITS":
            await self._to_amp(target, [body] if body else [])
        else:
            await self._to_providers(decision, route, target, body, span, received)

    async def _body(self) -> bytearray:
        return await whole_body(self._client, self._snapshot.settings.limits.model_body_bytes)

    async def _decide(self, route: ModelRoute, model: str, body: bytearray) -> Decision:
        """Decide who serves the request; before a model is called unserved, providers' first lists are waited for."""
        snapshot = self._snapshot
        facts = await find_facts(body) if needs_facts(model, snapshot) else NO_FACTS
        ask = Ask(route.protocol, model, route.segment, self._head.headers, facts)
        decision = decide(ask, snapshot, self._availability)
        first_choice = "MODEL_MAPPING" if snapshot.settings.amp.force_model_mappings else "LOCAL_PROVIDER"
        discovery = self._service.discovery
        if model and decision.route_type != first_choice and discovery.pending:
            await discovery.wait_first(snapshot.settings.timeouts.connect_s)
            self._availability = self._service.availability()
            decision = decide(ask, snapshot, self._availability)
        return decision

    def _note(self, decision: Decision) -> None:
        """Write the decision into the record."""
        record, amp = self._record, self._snapshot.settings.amp
        record.requested_model = decision.ask.model
        if decision.route_type == "AMP_CREDITS" and not decision.refused:
            assert amp.origin is not None
            record.route_type, record.cost, record.source = "AMP_CREDITS", "amp_credits", amp.origin.host
            if decision.credits == "warn":
                line = yaml_line(decision.ask.model, served_example(decision, self._snapshot))
                add = f"; to serve it yourself add {line}" if decision.ask.model else ""
                record.hint = f"this request spends Amp credits{add}"
        elif not decision.refused:
            record.route_type = decision.route_type
        if (rule := decision.rule) is not None:
            record.rule = f"{rule.place.file}:{rule.place.line}" if rule.place else shown_rule(rule)

    def _note_candidate(self, decision: Decision, candidate: Candidate) -> None:
        record = self._record
        record.cost, record.provider, record.source = "free", candidate.provider.name, candidate.provider.name
        record.resolved_model = candidate.model
        if decision.route_type == "MODEL_MAPPING":
            record.mapping = f"{decision.ask.model} -> {candidate.model}"

    async def _to_providers(
        self,
        decision: Decision,
        route: ModelRoute,
        target: Target,
        body: bytearray,
        span: ModelSpan | None,
        received_ms: float,
    ) -> None:
        """Try the candidates in order until one answers; nothing of a failed one reaches the client."""
        for candidate in decision.candidates:
            last = candidate is decision.candidates[-1]
            self._note_candidate(decision, candidate)
            renamed = candidate.model != decision.ask.model
            parts: Parts = spliced(body, span, candidate.model) if span and renamed else [body]
            outbound = to_provider(
                candidate, route, target, self._head.headers, sum(map(len, parts)), self._snapshot.settings,
                plain_reply=renamed,
            )  # fmt: skip
            self._record.overhead_ms += self._record.since_start_ms() - received_ms
            try:
                upstream, head = await self._ask_provider(candidate, outbound, parts)
            except DialFailed as exc:
                if last:
                    raise
                failed = str(exc)
            else:
                if last or not may_fail_over(head.status, candidate.endpoint.auth):
                    await self._deliver(upstream, outbound, head, decision.ask.model if renamed else None)
                    return
                upstream.abort()
                failed = f"{candidate.provider.name} answered {head.status}"
            self._record.detail = f"{self._record.detail}; {failed}" if self._record.detail else failed
            received_ms = self._record.since_start_ms()

    async def _ask_provider(
        self, candidate: Candidate, outbound: Outbound, parts: Parts
    ) -> tuple[UpstreamWire, ResponseHead]:
        """Ask one provider; one that can't be reached rests, and one that can is up."""
        rests, name = self._service.rests, candidate.provider.name
        rests.asked(name)
        connected = False
        try:
            upstream, head = await self._relay.ask(outbound, parts)
            connected = True
            return upstream, head
        except DialFailed as exc:
            seconds = rests.failed(name, str(exc))
            _log.warning("provider %s rests for %g s: %s", name, seconds, exc)
            raise
        finally:
            if connected or self._relay.connected:
                if rests.reached(name):
                    _log.info("provider %s is back", name)
            else:
                rests.gave_up(name)

    async def _deliver(
        self, upstream: UpstreamWire, outbound: Outbound, head: ResponseHead, requested: str | None
    ) -> None:
        byte_filter: ByteFilter | None = None
        if requested is not None and not isinstance(upstream.framing, Empty):
            coding = (value(head.headers, b"content-encoding") or b"identity").strip().lower()
            if coding == b"identity":
                byte_filter = renamer_for(value(head.headers, b"content-type") or b"", requested)
            else:
                self._record.detail = f"the reply is encoded ({text(coding)}), so its model name was not given back"
        await self._relay.deliver(upstream, outbound.hop, head, self._answers.cors(), byte_filter)

    # -- the Amp upstream

    async def _provider_other(self, route: ProviderOther, target: Target) -> None:
        """Pass on what is under ``/api/provider/`` but no model route; only reading is free."""
        if self._head.method in (b"GET", b"HEAD", b"OPTIONS"):
            self._record.route_type = "MANAGEMENT"
        else:
            decision = decide(Ask(None, "", route.segment), self._snapshot, self._availability)
            self._note(decision)
            if decision.refused:
                await self._answers.error(403, refused_credits(decision, self._snapshot))
                return
        await self._to_amp(target)

    async def _to_amp(self, target: Target, parts: Parts | None = None) -> None:
        """Send the request to the Amp upstream as it came; ``parts`` None means that its body is still to be read."""
        settings, client, head = self._snapshot.settings, self._client, self._head
        amp = settings.amp
        if amp.origin is None:
            self._answers.plain = True
            await self._answers.error(503, "amp upstream proxy not available")
            return
        self._record.source = amp.origin.host
        self._answers.plain = True
        if parts is None and isinstance(client.framing, Length) and client.framing.count <= _BUFFERED_BYTES:
            parts = [bytes(await self._body())]
        framing = client.framing if parts is None or isinstance(client.framing, Empty) else Length(sum(map(len, parts)))
        fallback = self._service.amp_secret.key_for(amp.origin)
        outbound = to_amp(head.method, target, head.headers, framing, settings, self._key, fallback)
        if parts is None and not isinstance(framing, Empty):
            upstream, reply = await self._relay.ask_streaming(outbound)
        else:
            upstream, reply = await self._relay.ask(outbound, parts or [])
        await self._deliver(upstream, outbound, reply, None)

    # -- ampmap's own answers

    async def _model_list(self, asked: ModelList) -> None:
        self._record.route_type, self._record.source = "ADMIN", "ampmap"
        form = self._list_format(asked)
        body = model_list(asked, form, self._snapshot, self._availability)
        if body is None:
            name = printable(asked.id or "")
            await self._answers.error(404, f"no provider serves {name!r}; the list without a name tells what is served")
        else:
            await self._answers.whole(200, body, outcome="ok")

    def _list_format(self, asked: ModelList) -> str:
        return format_of(asked, value(self._head.headers, b"anthropic-version") is not None)

    async def _admin(self, route: Admin) -> None:
        self._record.route_type, self._record.source = "ADMIN", "ampmap"
        found = None
        if self._snapshot.settings.admin and self._head.method in (b"GET", b"HEAD"):
            found = admin.page(route.page, self._service)
        if found is None:
            pages = "health, ready, status, requests and metrics"
            await self._answers.error(404, f"no such page under /_ampmap/; there are {pages}")
        else:
            status, kind, body = found
            await self._answers.whole(status, body, kind.encode("ascii"), outcome="ok")
