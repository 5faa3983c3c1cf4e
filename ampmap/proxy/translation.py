"""Translate a request for providers of other formats: it is read once, and written for each of them. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from ..bodies.steps import freed
from ..errors import Untranslatable
from ..escaping import printable
from ..formats.base import Asked, Dialect, Steps, Written
from ..formats.carrier import maker_tag
from ..formats.conversation import Conversation
from ..formats.counting import estimate
from ..formats.profile import Target
from ..formats.registry import FORMATS
from ..formats.translate import read_request, write_request
from ..routing.snapshot import Availability, Candidate
from ..settings import Protocol

LOST_NAMES: Final = 64
"""How many lost members are named at most, because clients choose their names."""
KEPT_BYTES: Final = 256 * 1024
"""The largest body whose neutral form is kept; a larger one is read again for each candidate."""

_LOST_CHARS: Final = 100  # of each name


@dataclass(frozen=True, slots=True)
class Translated:
    """A request in one candidate's format.

    ``lost`` names the members that the translation could not carry; ``...`` stands for those beyond LOST_NAMES.
    """

    candidate: Candidate
    target: Target
    written: Written
    lost: tuple[str, ...]
    streams: bool  # the client asked for a stream
    estimates: bool  # the client asked for a token count, and the provider's format has no request for it

    @property
    def dialect(self) -> Dialect:
        """How the provider's format is translated."""
        return dialect_of(self.candidate.endpoint.protocol)


class Translation:
    """The translation of one request. Its body must not change any more."""

    def __init__(self, protocol: Protocol, asked: Asked) -> None:
        self.protocol = protocol
        self.dialect = dialect_of(protocol)
        self.counts = asked.path == self.dialect.count_path
        self._asked = asked
        self._conversation: Conversation | None = None
        self.estimate = 0  # the result of :meth:`count`; 0 before
        self.reply_options: Any = None  # Conversation.reply_options, after the first :meth:`write`

    @property
    def is_large(self) -> bool:
        """Whether :meth:`write` makes so many objects that to look through them would hold up the loop."""
        return len(self._asked.body) > KEPT_BYTES

    def write(self, candidate: Candidate, availability: Availability) -> Steps[Translated]:
        """Write the request for a candidate.

        Raises :class:`Untranslatable` if this candidate's format cannot express it, :class:`BadRequest` if it is
        malformed.
        """
        if self._conversation is None:
            self._conversation = yield from read_request(self.dialect, self._asked)
            self.reply_options = self._conversation.reply_options
        provider, protocol = candidate.provider, candidate.endpoint.protocol
        offer = availability.offers.get(provider.name)
        target = Target(
            model=candidate.model,
            profile=candidate.endpoint.profile or FORMATS[protocol].profile,
            maker=maker_tag(provider.name, provider.api_key),
            listed=offer.entries.get(candidate.model) if offer else None,
        )
        dialect = dialect_of(protocol)
        written = yield from write_request(dialect, self._conversation, target)
        lost = _shown(dict.fromkeys((*self._conversation.lost, *written.lost)))
        if self.counts and dialect.write_count is not None:
            written = dialect.write_count(written, target)
        estimates = self.counts and dialect.write_count is None
        streams = self._conversation.stream and not self.counts
        if self.is_large:
            if streams or self.counts:
                yield from self.count()
            yield from self._forget()
        return Translated(candidate, target, written, lost, streams, estimates)

    def count(self) -> Steps[int]:
        """Estimate the number of the request's tokens."""
        if not self.estimate and self._conversation is not None:
            self.estimate = yield from estimate(self._conversation)
        return self.estimate

    def _forget(self) -> Steps[None]:
        """Free the neutral form in steps, because to free it at once would block the event loop."""
        found, self._conversation = self._conversation, None
        assert found is not None
        held = [found.tools, found.system, *(turn.parts for turn in found.turns)]
        del found
        while held:
            yield from freed([*held.pop()])


def dialect_of(protocol: Protocol) -> Dialect:
    """Return how a format is translated. Raises :class:`Untranslatable` for a format that is not."""
    dialect = FORMATS[protocol].dialect
    if dialect is None:
        raise Untranslatable(f"requests in {protocol} are not translated")
    return dialect


def _shown(lost: Collection[str]) -> tuple[str, ...]:
    """Return names of members for people: bounded, because clients choose them, and escaped."""
    names = [printable(name[:_LOST_CHARS]) for name in islice(lost, LOST_NAMES)]
    return (*names, "...") if len(lost) > LOST_NAMES else tuple(names)
