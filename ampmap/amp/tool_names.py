"""Restore the casing of tool names in the ``tool_use`` blocks of an Anthropic reply while it streams.

Pure: no I/O, no clock; the caller decides whether a reply is changed. Clients compare tool names literally, and some
models write ``bash`` for ``Bash``. Names in the blocks of a JSON reply and of events are changed to those that the
format's ``Repairs`` found in the request. Names that the request does not list, or lists in two casings, stay.

A name is held back until it is complete; if ``name`` stands before ``type``, until the type is known. A name for which
more than HELD_BYTES would have to be held is not changed, however the reply was cut into pieces.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from ..bodies.json_scan import PathScanner, Shape, quoted
from ..bodies.rename import Follower
from ..formats.anthropic import REPLY_TOOLS, TOOL

HELD_BYTES: Final = 4096
"""The most bytes of a reply that are held back."""


class ToolNames:
    """Restores the casing of tool names in one reply; every other byte passes unchanged."""

    __slots__ = ("_follower", "_scanner")

    def __init__(self, casings: Mapping[str, str]) -> None:
        self._scanner = _BlockScanner(casings)
        self._follower = Follower(self._scanner, quoted(TOOL))

    def feed(self, data: bytes) -> bytes:
        """Take the reply's next bytes and return those that can leave now; never raises."""
        return self._follower.feed(data)

    def finish(self) -> bytes:
        """Return the bytes that are still held at the reply's end; only a reply that breaks off has any."""
        self._scanner.reset(0)
        return self._scanner.output(b"")


class _BlockScanner(PathScanner):
    """Changes the names of tools.

    It holds back a name from its opening quote on, and all bytes after it until the block's type is known.
    """

    __slots__ = ("_casings", "_held", "_holding", "_is_tool", "_token")

    def __init__(self, casings: Mapping[str, str]) -> None:
        super().__init__(REPLY_TOOLS)
        self._casings = casings
        self._holding = False  # if True, _held and all data from _copied on are held
        self._held = b""
        self._token = b""  # the held name with its quotes, once it is complete
        self._is_tool: bool | None = None  # None while the block's type is not known

    def output(self, data: bytes) -> bytes:
        """Return the bytes of ``data``, and of those held, that can leave."""
        if self._holding:
            if self._length_held(len(data)) > HELD_BYTES:
                self._release()
            else:
                self._held += data[self._copied :]
                self._copied = len(data)
        return super().output(data)

    def reset(self, at: int) -> None:
        """Expect new JSON from ``at`` on; held bytes leave unchanged."""
        self._release()
        self._is_tool = None
        super().reset(at)

    def _begin(self, data: bytes, quote: int) -> None:
        if self._key == b"name" and self._is_tool is not False:
            self._release()
            self._pieces.append(data[self._copied : quote])
            self._copied, self._holding, self._token = quote, True, b""

    def _end(self, data: bytes, stop: int) -> None:
        if self._key == b"type":
            self._is_tool = self._read == TOOL.encode()
        elif self._holding:
            self._token = self._held + data[self._copied : stop + 1]
        self._decide(stop + 1)

    def _close(self, shape: Shape) -> None:
        if b"name" in shape:
            self._release()
            self._is_tool = None

    def _length_held(self, at: int) -> int:
        return len(self._held) + at - self._copied

    def _decide(self, at: int) -> None:
        """Release the name, changed or not, if it is complete and the type is known; ``at`` is the end of both."""
        if not self._token or self._is_tool is None:
            return
        casing = self._casing() if self._is_tool and self._length_held(at) <= HELD_BYTES else None
        if casing is None:
            self._release()
            return
        self._pieces += (casing, self._held[len(self._token) :])
        self._copied += max(0, len(self._token) - len(self._held))
        self._holding, self._held, self._token = False, b"", b""

    def _casing(self) -> bytes | None:
        """Return the JSON string that replaces the name; None if the name stays."""
        try:
            name = json.loads(self._token)
        except ValueError:
            return None
        casing = self._casings.get(name.casefold())
        return None if casing in (None, name) else quoted(casing)

    def _release(self) -> None:
        """Let the held bytes leave unchanged."""
        if self._holding:
            self._pieces.append(self._held)
            self._holding, self._held, self._token = False, b"", b""
