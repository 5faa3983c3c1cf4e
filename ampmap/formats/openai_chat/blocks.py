"""Put the pieces of a chat provider's reply into blocks that come one after another. Pure.

A chat provider may mix text, reasoning and several calls; events may not. One block is open at a time. While the open
block is a call whose arguments are not complete, everything else waits for it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ..base import Json
from ..conversation import Seal
from ..events import Citation, Delta, Event, Start, Stop
from ..kept import PART_BYTES, Kept
from ..profile import Target
from .call_in import StreamedCall
from .details import Details

Said = Literal["thinking", "text"]


@dataclass(slots=True)
class _Words:
    """Text or reasoning that waits."""

    kind: Said
    pieces: list[str]


class Blocks:
    """The blocks of one reply. The methods append events to :attr:`out`, which the caller takes and replaces.

    ``calls`` is how many calls are whole, ``cut`` whether one is not; both are final after :meth:`finish`.
    """

    def __init__(self, target: Target, names: Mapping[str, str]) -> None:
        self.out: list[Event] = []
        self.calls = 0
        self.cut = False
        self._target = target
        self._names = names
        self._open: Said | StreamedCall | None = None
        self._waiting: deque[StreamedCall | _Words | list[Json] | Citation] = deque()
        self._unnamed: dict[StreamedCall, None] = {}  # calls without a name or an id
        self._details: Details | None = None
        self.kept = Kept()
        self._ids: set[str] = set()
        # Qwen's parser sends line ends between two calls, so blanks count only before other words.
        self._blanks: dict[Said, list[str]] = {"thinking": [], "text": []}

    def say(self, kind: Said, text: str) -> None:
        """Take text or reasoning, not empty."""
        if self._open != kind:
            if text.isspace():
                self._blanks[kind].append(self._counted(text))
                return
            if self._busy():
                self._wait(kind, self._counted(text))
                return
            self._close()
            text = "".join((*self._blanks[kind], text))
            self._begin(kind)
        self.out.append(Delta(text))

    def cite(self, citation: Citation) -> None:
        """Take a source of the text."""
        if self._busy():
            self.kept.add(PART_BYTES)
            self._waiting.append(citation)
        elif self._open == "text":
            self.out.append(citation)

    def add_details(self, entries: list[Json]) -> None:
        """Take entries of ``reasoning_details``, at least one."""
        if self._busy():
            self.kept.add(len(str(entries)))
            self._waiting.append(entries)
            return
        if self._open != "thinking":
            self._close()
            self._begin("thinking")
        self._details = self._details or Details()
        self._details.add(entries)

    def add_call(self, call: StreamedCall) -> None:
        """Take a new call; it may have no name and no id yet."""
        self.kept.add(PART_BYTES)
        self._unnamed[call] = None

    def name_call(self, call: StreamedCall) -> None:
        """Queue a call that has a name and an id now, so that it begins in its turn."""
        if call.name and call.id and call in self._unnamed:
            del self._unnamed[call]
            self._waiting.append(call)

    def arguments(self, call: StreamedCall, piece: str) -> None:
        """Take a piece of the arguments of a call."""
        if call.closed:
            return  # its object was complete: only blanks can follow
        call.take(piece)
        if call is not self._open or call.form != "object":
            self._counted(piece)
        elif text := call.taken():
            self.out.append(Delta(text))

    def advance(self) -> None:
        """Open the blocks that wait and may begin now. The caller does so after it has read calls."""
        while self._waiting and not self._busy():
            each = self._waiting.popleft()
            if isinstance(each, StreamedCall):
                self._begin_call(each)
            elif isinstance(each, Citation):
                self.cite(each)
            elif isinstance(each, list):
                self.add_details(each)
            else:
                self.say(each.kind, "".join(each.pieces))

    def settle(self) -> None:
        """Close a call that is complete, because the provider has stated that the reply ends."""
        if isinstance(self._open, StreamedCall) and self._open.complete:
            self._close()

    def finish(self, cut: bool) -> None:
        """Close all blocks. ``cut`` says that the reply has reached its greatest length."""
        self._close(cut)
        for place, call in enumerate(self._unnamed):
            if not call.name:
                self.cut = self.cut or cut
                continue
            call.id = call.id or call.derived_id(place)
            self._waiting.append(call)
        while self._waiting:
            self.advance()
            self._close(cut)

    def _busy(self) -> bool:
        return isinstance(self._open, StreamedCall) and not self._open.complete

    def _wait(self, kind: Said, text: str) -> None:
        last = self._waiting[-1] if self._waiting else None
        if isinstance(last, _Words) and last.kind == kind:
            last.pieces.append(text)
        else:
            self._waiting.append(_Words(kind, [text]))

    def _counted(self, text: str) -> str:
        self.kept.add(len(text))
        return text

    def _begin(self, kind: Said) -> None:
        self._blanks[kind].clear()
        self._open = kind
        self.out.append(Start(kind))

    def _begin_call(self, call: StreamedCall) -> None:
        if call.thought:
            self._begin_thought()
            self._close(seal=self._seal("thought", call.thought))
        self._close()
        self._blanks = {"thinking": [], "text": []}
        if call.id in self._ids:  # some servers give one id to all calls of one tool
            call.id = call.derived_id(len(self._ids))
        self._ids.add(call.id)
        self._open = call
        self.out.append(Start("call", call.id, self._names.get(call.name, call.name)))
        if call.form == "object":
            self.out.append(Delta(call.taken()))

    def _begin_thought(self) -> None:
        if self._open != "thinking" or self._details:
            self._close()
            self._begin("thinking")

    def _close(self, cut: bool = False, seal: Seal | None = None) -> None:
        block, self._open = self._open, None
        if block is None:
            return
        whole = True
        if isinstance(block, StreamedCall):
            block.closed = True
            text, whole = block.rest(cut)
            if text:
                self.out.append(Delta(text))
            self.calls += whole
            self.cut = self.cut or not whole
        elif self._details:
            data = self._details.data()
            self._details = None
            seal = self._seal("details", data) if data else None
        self.out.append(Stop(seal, whole))

    def _seal(self, kind: str, data: object) -> Seal:
        return Seal(kind, data, self._target.maker, self._target.model)
