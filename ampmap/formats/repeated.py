"""Events of a stream that say nothing new but one text, known without being parsed. Pure.

A server writes the same bytes, often some hundreds, around each piece of its text. If two events have the same bytes
around one quoted text, and the meaning of each is its own text, and these differ, then this text is what counts: all
else is the same. So another event with the same bytes around a text means that text.
"""

from __future__ import annotations

import json
from typing import Final

from ..bodies.texts import loads

_LONGEST: Final = 4096  # bytes of an event that is compared
_TRIES: Final = 16  # events in a row that may differ elsewhere; then no more are compared
_quoted = json.encoder.encode_basestring


class Repeated:
    """Compares the events of one stream, each with the one before it.

    ``tries`` is how many more events are compared; none of a stream whose events differ elsewhere.
    """

    __slots__ = ("_after", "_before", "_known", "_text", "tries")

    def __init__(self) -> None:
        self.tries = _TRIES
        self.forget()

    def forget(self) -> None:
        """Note an event that meant anything but a text: what comes may mean something else than what came before."""
        self._known = False
        self._before = self._after = b""
        self._text = ""

    def learn(self, data: bytes, text: str) -> None:
        """Note an event that meant ``text`` alone and left nothing behind."""
        if not self.tries or len(data) > _LONGEST:
            self.forget()
            return
        before, found, after = data.rpartition(_quoted(text).encode("utf-8", "surrogatepass"))
        same = bool(found) and before == self._before and after == self._after
        self._known = same and text != self._text
        self.tries = _TRIES if self._known else self.tries - 1
        self._before, self._after, self._text = before, after, text

    def text(self, data: bytes) -> str:
        """Return what an event means that is as those before it were around their texts; empty for any other."""
        if not (self._known and data.startswith(self._before) and data.endswith(self._after)):
            return ""
        try:
            text = loads(data[len(self._before) : len(data) - len(self._after)])
        except (ValueError, RecursionError):
            return ""
        return text if isinstance(text, str) else ""
