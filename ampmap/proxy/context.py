"""The state of one request, which the exchange hands to the route that serves it."""

from __future__ import annotations

from dataclasses import replace

from ..access.gate import Peer
from ..escaping import text
from ..http.client_connection import ClientConnection
from ..http.parser import RequestHead
from ..records.record import Record
from ..routing.advice import credits_hint
from ..routing.decide import Decision
from ..routing.reasons import rule_place
from ..routing.snapshot import Availability, Offer, Snapshot
from .relay import Relay
from .request_body import whole_body
from .responses import Responses
from .state import Service


class RequestContext:
    """The client, the head, the record and the helpers of one request.

    ``snapshot`` is taken once, so a reload does not affect requests that have begun.
    """

    availability: Availability
    """The availability of providers at the last call of :meth:`look_again`, which must precede each decision."""

    def __init__(self, service: Service, client: ClientConnection, peer: Peer, head: RequestHead) -> None:
        self.service = service
        self.client = client
        self.peer = peer
        self.head = head
        self.snapshot: Snapshot = service.snapshot
        self._offers = service.offers
        self.record = Record(generation=self.snapshot.generation, method=text(head.method))
        self.relay = Relay(client, service.pool, self.record)
        self.relay.on_reply = service.journal.begin
        self.responses = Responses(client, self.record, head.method)
        self.key: str | None = None  # the client key that the request presented

    async def body(self) -> bytearray:
        """Return the request's whole body; raises as :func:`~ampmap.proxy.request_body.whole_body` does."""
        return await whole_body(self.client, self.snapshot.settings.limits.model_body_bytes)

    def look_again(self) -> Availability:
        """Update ``availability`` and return it."""
        now = self.service.availability()
        self.availability = now if self.service.snapshot is self.snapshot else self._since_reload(now)
        return self.availability

    def _since_reload(self, now: Availability) -> Availability:
        """Return the availability, with the lists of this request's providers that a reload has changed meanwhile.

        Without their lists a model that both configurations cover would be covered by neither, and paid for.
        """
        current = {provider.name: provider for provider in self.service.snapshot.settings.providers}
        asked = {provider.name: provider for provider in self.snapshot.settings.providers if provider.discover}
        changed = {name for name, provider in asked.items() if current.get(name) != provider}
        offers = {**now.offers, **{name: self._offers.get(name, Offer()) for name in changed}}
        unlearnt = frozenset(name for name in changed if offers[name].learnt_at is None)
        same = asked.keys() - changed
        return replace(
            now, offers=offers, unlearnt=unlearnt | (now.unlearnt & same), new=unlearnt | (now.new & same)
        )  # fmt: skip

    async def first_lists(self) -> None:
        """Wait until providers that never gave their list have answered, ``connect-s`` at most."""
        await self.service.discovery.wait_first(self.snapshot.settings.timeouts.connect_s)
        self.look_again()

    def note_detail(self, text: str) -> None:
        """Append a text to the record's ``detail``."""
        self.record.detail = f"{self.record.detail}; {text}" if self.record.detail else text

    def note(self, decision: Decision) -> None:
        """Write the decision into the record."""
        record, amp = self.record, self.snapshot.settings.amp
        record.requested_model, record.covered = decision.ask.model, decision.covered
        if decision.route_type == "AMP_CREDITS" and not decision.refused:
            assert amp.origin is not None
            record.route_type, record.cost, record.source = "AMP_CREDITS", "amp_credits", amp.origin.host
            if decision.credits == "warn":
                record.hint, record.paste = credits_hint(decision, self.snapshot, self.availability)
        elif not decision.refused:
            record.route_type = decision.route_type
        if decision.rule is not None:
            record.rule = rule_place(decision.rule)
