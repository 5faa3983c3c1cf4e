"""Serve a request for a model: read the body, find the model's name, decide, and hand over to the chosen route."""

from __future__ import annotations

from dataclasses import replace

import anyio

from ..bodies.edits import edited
from ..bodies.find_model import scan_model
from ..errors import BadRequest, UnsupportedMediaType
from ..formats.foreign_seals import scan_foreign_seals
from ..formats.registry import FORMATS
from ..http.decoding import coding_of, refuse_wide, scan_decoded
from ..routing.advice import no_provider, refused_credits
from ..routing.conditions import NO_FACTS, scan_facts
from ..routing.cooldown import UNREACHABLE_S
from ..routing.decide import Ask, Decision, decide, needs_facts
from ..routing.target import ModelRoute, Target
from ..routing.translation import is_translated
from .amp_route import AmpHandler
from .context import RequestContext
from .provider_route import ProviderHandler, answer_unavailable
from .relay import Parts
from .turns import in_turns

_LIST_RETRY_S = 5  # Retry-After while a provider's list of models is unknown


class ModelHandler:
    """One request on a model route."""

    def __init__(self, context: RequestContext, route: ModelRoute, target: Target) -> None:
        self._context = context
        self._route = route
        self._target = target
        self._format = FORMATS[route.protocol]
        self._raw: bytearray | None = None  # the body as the client sent it
        self._coded = False  # the body has a content coding

    async def serve(self) -> None:
        """Serve the request. Raises an :class:`ExchangeError` that becomes the response, in the client's format."""
        context = self._context
        route = self._route
        raw: bytearray | None = None
        try:
            coding = coding_of(context.head.headers)
            raw = await context.body()
            received = context.record.since_start_ms()
            body = raw
            if coding and raw:
                body = await in_turns(scan_decoded(raw, coding, context.snapshot.settings.limits.model_body_bytes))
            refuse_wide(body)
        except UnsupportedMediaType:
            if not await self._passed_unread(raw):
                raise
            return
        self._raw, self._coded = raw, body is not raw
        span = await in_turns(scan_model(body)) if route.model is None else None
        model = route.model if route.model is not None else span.name if span else ""
        if not model and route.segment is None:
            raise BadRequest('the body names no model: send a JSON object with "model": "NAME"')
        decision = await self._decide(model, body)
        context.note(decision)
        if decision.refused:
            await context.responses.error(403, refused_credits(decision, context.snapshot, context.availability))
        elif decision.route_type == "NO_PROVIDER":
            await context.responses.error(
                self._format.no_model_status, no_provider(decision, context.snapshot, context.availability)
            )
        elif decision.route_type == "AMP_CREDITS":
            await self._to_amp(decision)
        elif decision.waiting:
            waited = context.service.discovery.unlearnt()
            lasting = all(waited.get(name, 0.0) >= UNREACHABLE_S for name in decision.waiting)
            await answer_unavailable(context, decision, _LIST_RETRY_S, lasting=lasting)
        else:
            providers = ProviderHandler(context, route, self._target, decision, body, span, was_coded=self._coded)
            if not await providers.serve(received):
                await self._amp_instead(decision)

    async def _to_amp(self, decision: Decision) -> None:
        """Send the client's own bytes to Amp, without the seals that other providers made."""
        parts: Parts = [self._raw] if self._raw else []
        if self._raw and not self._coded and (cut := await in_turns(scan_foreign_seals(self._raw))).edits:
            parts = edited(self._raw, cut.edits, None, "")
        await AmpHandler(self._context, self._target).spend(decision, parts)

    async def _passed_unread(self, raw: bytearray | None) -> bool:
        """Send a body that cannot be decoded to Amp, if credits may be spent on any model; False if they may not.

        ``raw`` None means that the body is still to be received.
        """
        context, route = self._context, self._route
        decision = decide(Ask(route.protocol, "", route.segment), context.snapshot, context.look_again())
        if decision.route_type != "AMP_CREDITS" or decision.credits != "allow":
            return False
        context.note(decision)
        context.record.requested_model = route.model or ""
        await AmpHandler(context, self._target).spend(decision, None if raw is None else [raw])
        return True

    async def _decide(self, model: str, body: bytearray) -> Decision:
        """Choose the provider; if none lists the model, wait for lists that are missing or may have changed."""
        context = self._context
        snapshot, route = context.snapshot, self._route
        facts = await in_turns(scan_facts(body)) if needs_facts(model, snapshot) else NO_FACTS
        translates = is_translated(route.protocol, route.canonical)
        ask = Ask(route.protocol, model, route.segment, context.head.headers, facts, len(body), translates)
        decision = context.service.decisions.decide(ask, snapshot, context.look_again())
        if model and context.service.discovery.pending:
            decision = await self._when_listed(ask, decision)
        if model and not decision.candidates and await context.service.discovery.missed():
            decision = decide(ask, snapshot, context.look_again())
        return decision

    async def _when_listed(self, ask: Ask, decision: Decision) -> Decision:
        """Decide again after each first list that arrives, until one has the model; ``connect-s`` at most."""
        context = self._context
        settings, discovery = context.snapshot.settings, context.service.discovery
        force = settings.amp.force_model_mappings  # a rule's first target may be on a list that is still missing
        with anyio.move_on_after(settings.timeouts.connect_s):
            while discovery.pending and (force or decision.route_type != "LOCAL_PROVIDER" or decision.waiting):
                await discovery.wait_one()
                decision = decide(ask, context.snapshot, context.look_again())
        return decision

    async def _amp_instead(self, decision: Decision) -> None:
        """Send a covered request to Amp, because no provider can be reached and the credit policy allows it."""
        context = self._context
        record = context.record
        record.provider = record.resolved_model = record.mapping = record.translated = record.lost = ""
        context.note(replace(decision, route_type="AMP_CREDITS"))
        await self._to_amp(decision)
