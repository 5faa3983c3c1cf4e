"""Requests that name a model: the body taken in, the name found, the decision made, the providers asked in turn."""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial

import anyio

from ..amp.gunzip import DECODED, Inflate
from ..amp.tool_names import ToolNames
from ..bodies.edits import edited
from ..bodies.find_model import ModelSpan
from ..bodies.rename import ByteFilter, Chain, Renamer
from ..errors import BadRequest, DialFailed, NoFiles, UnsupportedMediaType
from ..escaping import text
from ..formats.registry import FORMATS
from ..http.decoding import coding_of, refuse_wide
from ..http.headers import Empty, content_coding
from ..http.parser import ResponseHead
from ..http.upstream_connection import UpstreamWire
from ..routing.advice import no_provider, refused_credits, unavailable
from ..routing.conditions import NO_FACTS
from ..routing.cooldown import UNREACHABLE_S
from ..routing.decide import Ask, Decision, decide, may_fail_over, needs_facts, refuses_key
from ..routing.snapshot import Candidate
from ..routing.target import ModelRoute as Route
from ..routing.target import Target
from .amp_route import AmpRoute
from .context import Turn
from .peek import peek, retry_after_s
from .relay import Parts
from .request_body import decoded, find_edits, find_facts, find_model, find_tools, may_list_tools
from .upstream_request import Outbound, to_provider

_log = logging.getLogger("ampmap.upstream")

_TRIAL_RETRY_S = 1  # Retry-After while another request tries a provider in cooldown
_LIST_RETRY_S = 5  # Retry-After while the list of models of a provider is unknown


class ModelRoute:
    """One request on a model route."""

    def __init__(self, turn: Turn, route: Route, target: Target) -> None:
        self._turn = turn
        self._route = route
        self._target = target
        self._format = FORMATS[route.protocol]
        self._mends = route.segment is not None and self._format.amp_repairs  # Amp's clients ask there
        self._tools: dict[str, str] | None = None
        self._decoded = False  # the body had a content coding
        self._left: list[Candidate] = []  # candidates that were not asked yet
        self._unconnected: set[str] = set()  # providers that this request could not be sent to
        self._raw: bytearray | None = None  # the body as the client sent it

    async def serve(self) -> None:
        """Serve the request; raises what becomes an error in the asker's format."""
        turn = self._turn
        route = self._route
        raw: bytearray | None = None
        try:
            coding = coding_of(turn.head.headers)
            raw = await turn.body()
            received = turn.record.since_start_ms()
            body = await decoded(raw, coding, turn.snapshot.settings.limits.model_body_bytes) if coding else raw
            refuse_wide(body)
        except UnsupportedMediaType:
            if not await self._passed_unread(raw):
                raise
            return
        self._raw, self._decoded = raw, body is not raw
        span = await find_model(body) if route.model is None else None
        model = route.model if route.model is not None else span.name if span else ""
        if not model and route.segment is None:
            raise BadRequest('the body names no model: send a JSON object with "model": "NAME"')
        decision = await self._decide(model, body)
        turn.note(decision)
        if decision.refused:
            await turn.answers.error(403, refused_credits(decision, turn.snapshot, turn.availability))
        elif decision.route_type == "NO_PROVIDER":
            await turn.answers.error(
                self._format.no_model_status, no_provider(decision, turn.snapshot, turn.availability)
            )
        elif decision.route_type == "AMP_CREDITS":
            await self._to_amp(decision)
        elif decision.waiting:
            waited = turn.service.discovery.unlearnt()
            lasting = all(waited.get(name, 0.0) >= UNREACHABLE_S for name in decision.waiting)
            await self._unavailable(decision, _LIST_RETRY_S, lasting=lasting)
        else:
            await self._to_providers(decision, body, span, received)

    async def _to_amp(self, decision: Decision) -> None:
        """Let Amp serve the request, with the bytes that the client sent."""
        await AmpRoute(self._turn, self._target).spend(decision, [self._raw] if self._raw else [])

    async def _unavailable(self, decision: Decision, retry_after_s: int, *, lasting: bool) -> None:
        """Answer a covered request that nobody can serve now; ``lasting`` asks SDKs not to try again by themselves."""
        turn = self._turn
        turn.answers.retry_costs = lasting
        message = unavailable(decision, turn.availability)
        await turn.answers.error(503, message, outcome="upstream_error", retry_after_s=retry_after_s)

    async def _passed_unread(self, raw: bytearray | None) -> bool:
        """Send a body that cannot be read here to Amp, if credits may be spent on whatever model it names.

        ``raw`` None means that it is still to be received.
        """
        turn, route = self._turn, self._route
        decision = decide(Ask(route.protocol, "", route.segment), turn.snapshot, turn.look_again())
        if decision.route_type != "AMP_CREDITS" or decision.credits != "allow":
            return False
        turn.note(decision)
        turn.record.requested_model = route.model or ""
        await AmpRoute(turn, self._target).spend(decision, None if raw is None else [raw])
        return True

    async def _decide(self, model: str, body: bytearray) -> Decision:
        """Decide who serves the request; before a model is called unserved, providers' first lists are waited for."""
        turn = self._turn
        snapshot, route = turn.snapshot, self._route
        facts = await find_facts(body) if needs_facts(model, snapshot) else NO_FACTS
        ask = Ask(route.protocol, model, route.segment, turn.head.headers, facts, len(body))
        decision = turn.service.decisions.decide(ask, snapshot, turn.look_again())
        if model and turn.service.discovery.pending:
            decision = await self._when_listed(ask, decision)
        if model and not decision.candidates and await turn.service.discovery.missed():
            decision = decide(ask, snapshot, turn.look_again())
        return decision

    async def _when_listed(self, ask: Ask, decision: Decision) -> Decision:
        """Decide again with each first list that comes, until one serves the model itself; ``connect-s`` at most."""
        turn = self._turn
        settings, discovery = turn.snapshot.settings, turn.service.discovery
        force = settings.amp.force_model_mappings  # the first target may be on a list that is still to come
        with anyio.move_on_after(settings.timeouts.connect_s):
            while discovery.pending and (force or decision.route_type != "LOCAL_PROVIDER" or decision.waiting):
                await discovery.wait_one()
                decision = decide(ask, turn.snapshot, turn.look_again())
        return decision

    def _note_candidate(self, decision: Decision, candidate: Candidate) -> None:
        record = self._turn.record
        record.cost, record.provider, record.source = "own", candidate.provider.name, candidate.provider.name
        record.resolved_model = candidate.model
        if decision.route_type == "MODEL_MAPPING":
            record.mapping = f"{decision.ask.model} -> {candidate.model}"

    async def _to_providers(
        self, decision: Decision, body: bytearray, span: ModelSpan | None, received_ms: float
    ) -> None:
        """Try the candidates in order until one answers; nothing of a failed one reaches the client."""
        turn, rests = self._turn, self._turn.service.rests
        edits = await find_edits(body, decision.rule, repairs=self._mends)
        may_have_tools = self._mends and await may_list_tools(body)
        self._left = list(decision.candidates)
        first = decision.candidates[0].provider.name
        candidate = None if first in turn.availability.cooldowns and rests.on_trial(first) else self._next()
        if candidate is None:
            if decision.amp_instead:
                await self._amp_instead(decision)
            else:
                await self._unavailable(decision, _TRIAL_RETRY_S, lasting=rests.long_unreachable(first))
            return
        while True:
            self._note_candidate(decision, candidate)
            renamed = candidate.model != decision.ask.model
            parts = edited(body, edits, span if renamed else None, candidate.model)
            outbound = to_provider(
                candidate, self._route, self._target, turn.head.headers, sum(map(len, parts)), turn.snapshot.settings,
                plain_reply=renamed or bool(edits) or may_have_tools or self._decoded,
            )  # fmt: skip
            turn.record.overhead_ms += turn.record.since_start_ms() - received_ms
            try:
                upstream, head = await self._ask_provider(candidate, outbound, parts, body if may_have_tools else None)
            except DialFailed as exc:
                failed = f"provider {candidate.provider.name}: {exc}"
                if (following := self._next()) is None:
                    if decision.amp_instead and not turn.relay.request_left and not isinstance(exc, NoFiles):
                        turn.record.detail = failed
                        await self._amp_instead(decision)
                        return
                    turn.answers.retry_costs = rests.long_unreachable(candidate.provider.name)
                    raise
            else:
                self._note_limit(candidate, head)
                held, why = b"", ""
                if may_fail_over(head.status, candidate.endpoint.auth):
                    why = f"answered {head.status}"
                elif self._next(take=False) is not None:
                    held, why = await peek(upstream, head)
                if not why or (following := self._next()) is None:
                    await self._deliver(upstream, outbound, head, decision.ask.model if renamed else None, held)
                    return
                upstream.abort()
                failed = f"{candidate.provider.name} {why}"
            turn.note_detail(failed)
            candidate, received_ms = following, turn.record.since_start_ms()

    def _next(self, *, take: bool = True) -> Candidate | None:
        """Return the next candidate that may be asked, and take it off the list unless it is only looked for.

        A provider that could not be connected to is not dialled again for another target, nor is one that another
        request is trying after a failure.
        """
        rests = self._turn.service.rests
        for place, candidate in enumerate(self._left):
            name = candidate.provider.name
            if name not in self._unconnected and not rests.on_trial(name):
                if take:
                    del self._left[: place + 1]
                return candidate
        return None

    async def _amp_instead(self, decision: Decision) -> None:
        """Let Amp serve a covered request that nobody can serve now: the policy allows it, and nothing has left."""
        turn = self._turn
        turn.record.provider = turn.record.resolved_model = turn.record.mapping = ""
        turn.note(replace(decision, route_type="AMP_CREDITS"))
        await self._to_amp(decision)

    async def _ask_provider(
        self, candidate: Candidate, outbound: Outbound, parts: Parts, lists_tools: bytearray | None
    ) -> tuple[UpstreamWire, ResponseHead]:
        """Ask one provider: if it can't be reached, its cooldown begins; if it can, it ends."""
        turn = self._turn
        rests, name = turn.service.rests, candidate.provider.name

        async def learn_tools() -> None:
            if lists_tools is not None and self._tools is None:
                self._tools = await find_tools(lists_tools)

        began = rests.begin(name)
        turn.relay.on_connected = partial(self._reached, name)
        try:
            upstream, head = await turn.relay.ask(outbound, parts, learn_tools)
            if refuses_key(head.status, candidate.endpoint.auth):
                turn.note_detail(f"the key of provider {name} is refused")
                _log.warning("the key of provider %s is refused (%d): correct its api-key", name, head.status)
            return upstream, head
        except NoFiles:  # no fault of the provider's
            raise
        except DialFailed as exc:
            seconds = rests.failed(name, str(exc), began)
            self._unconnected.add(name)
            _log.warning("provider %s is in cooldown for %g s: %s", name, round(seconds, 1), exc)
            raise
        finally:
            rests.gave_up(name, began)
            turn.relay.on_connected = None

    def _note_limit(self, candidate: Candidate, head: ResponseHead) -> None:
        """After a 429 the provider comes behind others for this model; a client's own limit is nobody else's."""
        if head.status == 429 and candidate.endpoint.auth != "client":
            seconds = retry_after_s(head.headers)
            self._turn.service.rests.limit(candidate.provider.name, candidate.model, seconds)

    def _reached(self, name: str) -> None:
        if self._turn.service.rests.reached(name):
            _log.info("provider %s is back", name)

    async def _deliver(
        self, upstream: UpstreamWire, outbound: Outbound, head: ResponseHead, requested: str | None, held: bytes
    ) -> None:
        """Stream the reply, of whose body ``held`` has been read.

        ``requested`` is the model's name to be given back where another one was sent.
        """
        turn = self._turn
        byte_filter = decoder = None
        if (requested is not None or self._tools) and not isinstance(upstream.framing, Empty):
            coding = content_coding(head.headers)
            if not coding or coding in DECODED:
                byte_filter = self._filter(requested)
                decoder = Inflate(coding) if coding else None
            elif requested is not None:
                turn.note_detail(f"the reply is encoded ({text(coding)}), so its model name was not given back")
        await turn.relay.deliver(upstream, outbound.hop, head, turn.answers.cors(), byte_filter, decoder, held)
        if head.status >= 400:
            turn.record.outcome = "upstream_error"

    def _filter(self, requested: str | None) -> ByteFilter | None:
        """Return the filter that gives the model's name back, and tools their casing, whichever is called for."""
        named = None if requested is None else Renamer(requested)
        cased = ToolNames(self._tools) if self._tools else None
        return Chain(named, cased) if named and cased else named or cased
