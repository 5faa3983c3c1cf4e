"""Ask the providers of one request, one after the other until one answers, each in a wire format that it speaks."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial

from ..amp.gunzip import DECODED, Inflate
from ..amp.tool_names import ToolNames
from ..bodies.edits import Edit, edited
from ..bodies.filters import ByteFilter, Chain
from ..bodies.find_model import ModelSpan, scan_model
from ..bodies.rename import Renamer
from ..bodies.search import holds
from ..errors import DialFailed, NoFiles, Untranslatable
from ..escaping import text
from ..formats.base import Asked
from ..formats.failures import asked_wait_s
from ..formats.foreign_seals import scan_foreign_seals
from ..formats.registry import FORMATS, REPLY_NAMES
from ..http.headers import Empty, content_coding
from ..http.parser import ResponseHead
from ..http.upstream_connection import UpstreamConnection
from ..routing.advice import unavailable
from ..routing.decide import Decision, may_fail_over, refuses_key
from ..routing.snapshot import Candidate
from ..routing.target import ModelRoute, Target
from .context import RequestContext
from .peek import NOTHING, Peeked, peek, retry_after_s, there_now
from .relay import Parts
from .reply_head import own_lines
from .request_body import find_edits
from .translated_reply import TranslatedReply
from .translation import Translated, Translation
from .turns import in_turns
from .upstream_request import UpstreamRequest, to_provider, to_translated

_log = logging.getLogger("ampmap.upstream")

_SMALL_BYTES = 16 * 1024  # of a body that is read and searched in a fraction of a turn
_TRIAL_RETRY_S = 1  # Retry-After while another request tries a provider in cooldown


@dataclass(frozen=True, slots=True)
class _Request:
    """The request for one candidate; ``translated`` None means that it is in the client's own format."""

    candidate: Candidate
    outbound: UpstreamRequest
    parts: Parts
    translated: Translated | None = None


class ProviderHandler:
    """One request that a decision sends to providers.

    ``body`` is decoded, ``span`` is the place of the model's name in it, ``was_coded``: it came with a content coding.
    """

    def __init__(
        self, context: RequestContext, route: ModelRoute, target: Target, decision: Decision, body: bytearray,
        span: ModelSpan | None, *, was_coded: bool,
    ) -> None:  # fmt: skip
        self._context = context
        self._route = route
        self._target = target
        self._decision = decision
        self._body = body
        self._span = span
        self._was_coded = was_coded
        # A segment means a path under /api/provider/, which Amp's clients use.
        self._repairs = FORMATS[route.protocol].repairs if route.segment is not None else None
        self._edits: list[Edit] = []
        self._plain_body: tuple[bytes | bytearray, list[Edit], ModelSpan | None] | None = None
        self._may_have_tools = False
        self._tools: dict[str, str] | None = None  # by folded name, once the request has been searched for them
        self._translation: Translation | None = None  # made once a candidate needs it
        self._refusal: Untranslatable | None = None  # for the first candidate that the request cannot be translated for
        self._lost_thinking = False  # without foreign seals the request can no longer ask for thinking
        self._left = list(decision.candidates)  # those that were not asked yet
        self._unconnected: set[str] = set()  # names of providers that could not be connected to

    async def serve(self, received_ms: float) -> bool:
        """Ask the candidates in order until one answers; replies of failed ones do not reach the client.

        ``received_ms`` is when the whole request had arrived, counted from its head. Returns False if the request
        should go to Amp instead.
        """
        context, cooldowns, decision = self._context, self._context.service.cooldowns, self._decision
        self._edits = await find_edits(self._body, decision.rule, self._repairs)
        # A search for the key's plain spelling costs less than to read the tools.
        self._may_have_tools = self._repairs is not None and await in_turns(holds(self._body, b'"tools"'))
        first = decision.candidates[0].provider.name
        on_trial = first in context.availability.cooldowns and cooldowns.on_trial(first)
        request = None if on_trial else await self._next_request()
        if request is None and self._refusal is not None:
            raise self._refusal
        if request is None:
            if decision.amp_instead:
                return False
            lasting = cooldowns.long_unreachable(first)
            await answer_unavailable(context, decision, _TRIAL_RETRY_S, lasting=lasting)
            return True
        while True:
            candidate = request.candidate
            self._note(request)
            context.record.overhead_ms += context.record.since_start_ms() - received_ms
            if request.translated and request.translated.estimates:
                await self._reply(request.translated).count(None)
                return True
            try:
                upstream, head = await self._ask(request)
            except DialFailed as exc:
                failed = f"provider {candidate.provider.name}: {exc}"
                received_ms = context.record.since_start_ms()
                if (following := await self._next_request()) is None:
                    if decision.amp_instead and not context.relay.request_left and not isinstance(exc, NoFiles):
                        context.record.detail = failed
                        return False
                    context.responses.retry_costs = cooldowns.long_unreachable(candidate.provider.name)
                    raise
            else:
                peeked = await self._peek(request, upstream, head)
                received_ms = context.record.since_start_ms()
                if not peeked.why or (following := await self._next_request()) is None:
                    await self._deliver(request, upstream, head, peeked)
                    return True
                upstream.abort()
                failed = f"{candidate.provider.name} {peeked.why}"
            context.note_detail(failed)
            request = following

    async def _peek(self, request: _Request, upstream: UpstreamConnection, head: ResponseHead) -> Peeked:
        """Return the beginning of a reply if it has to be read; its ``why`` says why another provider is tried."""
        if may_fail_over(head.status, request.candidate.endpoint.auth):
            peeked = await self._note_limit(request.candidate, upstream, head)
            return peeked._replace(why=f"answered {head.status}")
        if self._next() is not None or (request.translated and request.translated.streams):
            return await peek(upstream, head)
        return NOTHING

    async def _next_request(self) -> _Request | None:
        """Return the request for the next candidate; candidates for which it cannot be translated are skipped."""
        while (candidate := self._next()) is not None:
            del self._left[: self._left.index(candidate) + 1]
            try:
                if candidate.endpoint.protocol == self._route.protocol:
                    return await self._plain(candidate)
                return await self._translated(candidate)
            except Untranslatable as exc:
                self._refusal = self._refusal or exc
                self._context.note_detail(f"provider {candidate.provider.name} was not asked: {exc}")
        return None

    def _next(self) -> Candidate | None:
        """Return the next candidate that may be asked.

        A provider is not dialled again for another model if this request could not connect to it, or while another
        request tries it after a failure.
        """
        cooldowns = self._context.service.cooldowns
        for candidate in self._left:
            name = candidate.provider.name
            if name not in self._unconnected and not cooldowns.on_trial(name):
                return candidate
        return None

    async def _plain(self, candidate: Candidate) -> _Request:
        """Return the request in the client's own format."""
        context = self._context
        renamed = self._is_renamed(candidate)
        if self._plain_body is None:
            self._plain_body = await self._without_foreign_seals()
        body, edits, span = self._plain_body
        parts = edited(body, edits, span if renamed else None, candidate.model)
        is_changed = bool(edits) or body is not self._body
        changed = renamed or is_changed or self._may_have_tools or self._was_coded
        outbound = to_provider(
            candidate, self._route, self._target, context.head.headers, sum(map(len, parts)),
            context.snapshot.settings, changed=changed,
        )  # fmt: skip
        return _Request(candidate, outbound, parts)

    async def _without_foreign_seals(self) -> tuple[bytes | bytearray, list[Edit], ModelSpan | None]:
        """Return the body without seals that other providers made, its edits and the model's place in it."""
        cut = await in_turns(scan_foreign_seals(self._body))
        if not cut.edits:
            return self._body, self._edits, self._span
        body = b"".join(edited(self._body, cut.edits, None, ""))
        self._lost_thinking = cut.lost_thinking
        edits = await find_edits(body, self._decision.rule, self._repairs)
        return body, edits, await in_turns(scan_model(body)) if self._span else None

    async def _translated(self, candidate: Candidate) -> _Request:
        """Return the request in the candidate's format."""
        context, route = self._context, self._route
        if self._translation is None:
            body: bytes | bytearray = self._body
            if self._edits:
                body = b"".join(edited(self._body, self._edits, None, ""))
            model, query = self._decision.ask.model, self._target.query or ""
            self._translation = Translation(
                route.protocol, Asked(body=body, model=model, path=route.canonical, query=query)
            )
        translation = self._translation
        steps, is_small = translation.write(candidate, context.availability), len(self._body) <= _SMALL_BYTES
        translated = await in_turns(steps, makes_many=translation.is_large, is_small=is_small)
        outbound = to_translated(candidate, translated.written, context.head.headers, context.snapshot.settings)
        return _Request(candidate, outbound, translated.written.pieces, translated)

    def _is_renamed(self, candidate: Candidate) -> bool:
        return candidate.model != self._decision.ask.model

    def _note(self, request: _Request) -> None:
        record, candidate, translated = self._context.record, request.candidate, request.translated
        record.cost, record.provider, record.source = "own", candidate.provider.name, candidate.provider.name
        record.resolved_model = candidate.model
        record.translated = f"{self._route.protocol} -> {candidate.endpoint.protocol}" if translated else ""
        record.lost = ", ".join(translated.lost) if translated else "thinking" if self._lost_thinking else ""
        if self._decision.route_type == "MODEL_MAPPING":
            record.mapping = f"{self._decision.ask.model} -> {candidate.model}"

    def _reply(self, translated: Translated) -> TranslatedReply:
        assert self._translation is not None
        return TranslatedReply(self._context, self._translation, translated, self._tools)

    async def _ask(self, request: _Request) -> tuple[UpstreamConnection, ResponseHead]:
        """Send the request and return the reply's head; begins the provider's cooldown, or ends it."""
        context, candidate = self._context, request.candidate
        cooldowns, name = context.service.cooldowns, candidate.provider.name

        async def learn() -> None:
            if self._repairs and self._may_have_tools and self._tools is None:
                self._tools = await in_turns(self._repairs.scan_tools(self._body))
            if self._translation and request.translated and request.translated.streams:
                await in_turns(self._translation.count())

        began = cooldowns.begin(name)
        context.relay.on_connected = partial(self._reached, name)
        try:
            upstream, head = await context.relay.ask(request.outbound, request.parts, learn)
            if refuses_key(head.status, candidate.endpoint.auth):
                context.note_detail(f"the key of provider {name} is refused")
                _log.warning("the key of provider %s is refused (%d): correct its api-key", name, head.status)
            return upstream, head
        except NoFiles:  # no fault of the provider's
            raise
        except DialFailed as exc:
            seconds = cooldowns.failed(name, str(exc), began)
            self._unconnected.add(name)
            _log.warning("provider %s is in cooldown for %g s: %s", name, round(seconds, 1), exc)
            raise
        finally:
            cooldowns.gave_up(name, began)
            context.relay.on_connected = None

    async def _note_limit(self, candidate: Candidate, upstream: UpstreamConnection, head: ResponseHead) -> Peeked:
        """After a 429, prefer other providers for this model, unless the limit is that of the client's own login.

        Google states the wait in the body: return the bytes that were read of it.
        """
        peeked = NOTHING
        if head.status == 429 and candidate.endpoint.auth != "client":
            seconds = retry_after_s(head.headers)
            if seconds is None:
                peeked = await there_now(upstream)
                seconds = asked_wait_s(peeked.held)
            self._context.service.cooldowns.limit(candidate.provider.name, candidate.model, seconds)
        return peeked

    def _reached(self, name: str) -> None:
        if self._context.service.cooldowns.reached(name):
            _log.info("provider %s is back", name)

    async def _deliver(
        self, request: _Request, upstream: UpstreamConnection, head: ResponseHead, peeked: Peeked
    ) -> None:
        """Send the reply to the client; ``peeked`` is the beginning of its body."""
        if request.translated is not None:
            await self._reply(request.translated).deliver(upstream, request.outbound, head, peeked)
            return
        context, record = self._context, self._context.record
        context.relay.own_lines = own_lines(record.provider, record.resolved_model, lost=record.lost)
        byte_filter = decoder = None
        requested = self._decision.ask.model if self._is_renamed(request.candidate) else None
        if (requested is not None or self._tools) and not isinstance(upstream.framing, Empty):
            coding = content_coding(head.headers)
            if not coding or coding in DECODED:
                byte_filter = self._filter(requested)
                decoder = Inflate(coding) if coding else None
            elif requested is not None:
                context.note_detail(f"the reply is encoded ({text(coding)}), so its model name was not restored")
        context.relay.usage = FORMATS[request.candidate.endpoint.protocol].usage
        cors = context.responses.cors()
        await context.relay.deliver(upstream, request.outbound.hop, head, cors, byte_filter, decoder, peeked.held)
        if head.status >= 400:
            record.outcome = "upstream_error"

    def _filter(self, requested: str | None) -> ByteFilter | None:
        """Return a filter that restores the requested model's name, the casing of tools, or both."""
        named = None if requested is None else Renamer(requested, REPLY_NAMES)
        cased = ToolNames(self._tools) if self._tools else None
        return Chain(named, cased) if named and cased else named or cased


async def answer_unavailable(context: RequestContext, decision: Decision, retry_after_s: int, *, lasting: bool) -> None:
    """Answer a covered request that no provider can serve now; ``lasting`` asks SDKs not to retry by themselves."""
    context.responses.retry_costs = lasting
    message = unavailable(decision, context.availability)
    await context.responses.error(503, message, outcome="upstream_error", retry_after_s=retry_after_s)
