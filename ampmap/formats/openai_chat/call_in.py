"""A call of a tool while a chat provider streams it: its id, its name, and whether its arguments are complete. Pure."""

from __future__ import annotations

import json
import re
from typing import Final

from ...bodies.texts import dump, head
from ..arguments import arguments_of
from ..bounds import bounded_loads
from ..identifiers import hashed

_FIRST: Final = re.compile(r"[^ \t\r\n]")
_OUTLINE: Final = re.compile(r'["{}\[\]]')
_IN_STRING: Final = re.compile(r'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)


class StreamedCall:
    """One call. ``held`` are the pieces of its arguments that no event has passed on yet.

    ``form`` is ``object`` once the arguments begin with a brace: their pieces are passed on as they come. ``other``
    arguments, and those of a ``custom`` tool, wait for their end. ``complete`` is True once the brackets of the object
    are closed; ``alone`` is the hash of that object if it came in one piece.
    """

    __slots__ = (
        "_depth", "_escaped", "_in_string", "alone", "closed", "complete", "custom", "form", "held", "id", "name",
        "thought",
    )  # fmt: skip

    def __init__(self) -> None:
        self.id = ""
        self.name = ""
        self.thought = ""  # Google's signature of the thought that led to the call
        self.custom = False
        self.form = ""
        self.held: list[str] = []
        self.alone: int | None = None
        self.complete = False
        self.closed = False
        self._depth = 0
        self._in_string = False
        self._escaped = False

    def take(self, piece: str) -> None:
        """Hold a piece of the arguments and follow their brackets."""
        self.held.append(piece)
        begins = not self.form
        if begins and not self.custom and (found := _FIRST.search(piece)):
            self.form = "object" if found[0] == "{" else "other"
        if self.form == "object" and not self.complete:
            self._follow(piece)
            if begins and self.complete:
                self.alone = hash(piece)

    def taken(self) -> str:
        """Return the held pieces and forget them."""
        text = "".join(self.held)
        self.held.clear()
        return text

    def rest(self, cut: bool) -> tuple[str, bool]:
        """Return the last piece of the arguments, and whether they are whole; ``cut`` says that the reply was cut."""
        text = self.taken()
        if self.custom:
            return json.dumps({"input": text}), not cut
        if self.form == "object":
            return text, self.complete or not cut
        if not self.form:
            return "", not cut
        try:
            bounded_loads(text)
        except (ValueError, RecursionError):
            if cut:
                return text, False
        return b"".join(dump(arguments_of(text))).decode(), True

    def derived_id(self, place: int) -> str:
        """Return an id for a call without one; a call always gets the same."""
        seed = f"{place}\0{self.name}\0{head(''.join(self.held), 4096)}"
        return f"call_{hashed(seed, 24)}"

    def _follow(self, text: str) -> None:
        at = 0
        while at < len(text):
            if self._in_string:
                at += self._escaped
                self._escaped = False
                at = _IN_STRING.match(text, at).end()  # type: ignore[union-attr]  # it may be of no length
                if at >= len(text):
                    return
                self._escaped = text[at] == "\\"  # the last character: the escaped one comes with the next piece
                self._in_string = self._escaped
                at += 1
                continue
            found = _OUTLINE.search(text, at)
            if found is None:
                return
            at = found.end()
            if found[0] == '"':
                self._in_string = True
            else:
                self._depth += 1 if found[0] in "{[" else -1
                if not self._depth:
                    self.complete = True
                    return
