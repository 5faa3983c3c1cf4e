"""Read the token counts that a provider's reply states, in the provider's format, and note them in the record."""

from __future__ import annotations

from ..bodies.stated import StatedObjects
from ..formats.base import StatedUsage
from ..formats.events import Usage
from ..formats.usage import usage_of
from ..http.headers import content_coding
from ..http.parser import ResponseHead
from ..records.record import Record


class ReplyUsage(StatedObjects):
    """The token counts of one reply; ``feed`` takes its decoded bytes, in pieces of any size, and never raises."""

    __slots__ = ("_stated",)

    def __init__(self, stated: StatedUsage) -> None:
        super().__init__(stated.paths)
        self._stated = stated

    def note(self, record: Record) -> None:
        """Write the counts that were stated so far into the record; if none were, leave the record unchanged."""
        usage = usage_of(self._stated, self.found())
        if usage is not None:
            note_usage(record, usage)


def note_usage(record: Record, usage: Usage) -> None:
    """Write the counts of a reply into its record."""
    record.input_tokens, record.output_tokens = usage.input, usage.output
    record.cached_tokens, record.reasoning_tokens = usage.cached, usage.reasoning


def reader_of(stated: StatedUsage | None, head: ResponseHead, *, decoded: bool) -> ReplyUsage | None:
    """Return a reader for a reply's counts; None for a reply that failed, or that is encoded and not ``decoded``."""
    if stated is None or not 200 <= head.status < 300 or (not decoded and content_coding(head.headers)):
        return None
    return ReplyUsage(stated)
