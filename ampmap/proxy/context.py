"""What belongs to one request and goes from room to room: who asks, what was in force when it began, its record.

Below the routes, which put it to use, and above everything that it holds.
"""

from __future__ import annotations

from ..access.gate import Peer
from ..escaping import text
from ..http.client_connection import ClientWire
from ..http.parser import RequestHead
from ..records.record import Record
from ..routing.advice import credits_hint
from ..routing.decide import Decision
from ..routing.reasons import shown_rule
from ..routing.snapshot import Availability, Snapshot
from .relay import Relay
from .request_body import whole_body
from .responses import Answers
from .state import Service


class Turn:
    """One request's own things. ``snapshot`` is read once: a reload changes nothing for it."""

    availability: Availability
    """Who was available when :meth:`look_again` was called last, which whoever decides has to do first."""

    def __init__(self, service: Service, client: ClientWire, peer: Peer, head: RequestHead) -> None:
        self.service = service
        self.client = client
        self.peer = peer
        self.head = head
        self.snapshot: Snapshot = service.snapshot
        self.record = Record(generation=self.snapshot.generation, method=text(head.method))
        self.relay = Relay(client, service.pool, self.record)
        self.answers = Answers(client, self.record, head.method)
        self.key: str | None = None  # the client key that was shown

    async def body(self) -> bytearray:
        """Return the request's whole body; raises as :func:`~ampmap.proxy.request_body.whole_body` does."""
        return await whole_body(self.client, self.snapshot.settings.limits.model_body_bytes)

    def look_again(self) -> Availability:
        """Read anew who is available: what is decided now is decided on what is known now."""
        self.availability = self.service.availability()
        return self.availability

    async def first_lists(self) -> None:
        """Wait for the lists of providers that have never answered yet, ``connect-s`` at most."""
        await self.service.discovery.wait_first(self.snapshot.settings.timeouts.connect_s)
        self.look_again()

    def note_detail(self, text: str) -> None:
        """Add what happened to the record's ``detail``."""
        self.record.detail = f"{self.record.detail}; {text}" if self.record.detail else text

    def note(self, decision: Decision) -> None:
        """Write the decision into the record."""
        record, amp = self.record, self.snapshot.settings.amp
        record.requested_model, record.covered = decision.ask.model, decision.covered
        if decision.route_type == "AMP_CREDITS" and not decision.refused:
            assert amp.origin is not None
            record.route_type, record.cost, record.source = "AMP_CREDITS", "amp_credits", amp.origin.host
            if decision.credits == "warn":
                record.hint = credits_hint(decision, self.snapshot, self.availability)
        elif not decision.refused:
            record.route_type = decision.route_type
        if (rule := decision.rule) is not None:
            record.rule = f"{rule.place.file}:{rule.place.line}" if rule.place else shown_rule(rule)
