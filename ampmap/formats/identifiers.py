"""Ids of calls and names of tools in forms that a provider takes. Pure.

An id or a name becomes the same one in every request, so that results find their calls and prompt caches are hit.
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from typing import Final

from ..errors import Untranslatable
from .conversation import Conversation
from .events import Start

ID_CHARS: Final = 128
"""How much of a reply's own id a client gets: some formats repeat it in each event."""

_FOREIGN: Final = re.compile(r"[^A-Za-z0-9_-]")
_KEY_CHARS: Final = 64
_HEAD_CHARS: Final = 55  # with an underscore and eight digits: 64


def fit_id(id_: str, limit: int = 64, *, letters_only: bool = False) -> str:
    """Return an id unchanged if it has letters, digits, ``_`` and ``-`` alone and ``limit`` of them at most, or a hash.

    ``letters_only`` is for providers that want exactly ``limit`` letters and digits.
    """
    if letters_only:
        if len(id_) == limit and id_.isascii() and id_.isalnum():
            return id_
        return digest(id_)[:limit]
    if id_ and len(id_) <= limit and not _FOREIGN.search(id_):
        return id_
    return f"t_{digest(id_)}"[:limit]


def hashed(text: str, digits: int) -> str:
    """Return the first hexadecimal digits of a text's SHA-256, 64 at most."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:digits]


def digest(text: str) -> str:
    """Return SHA-256 of a text as 52 lower-case letters and digits."""
    found = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
    return base64.b32encode(found).decode().rstrip("=").lower()


def cache_key(conversation: Conversation) -> str:
    """Return the key of the provider's prompt cache: the client's, or one for its user; empty without either."""
    key = conversation.cache_key
    if key and len(key) <= _KEY_CHARS:
        return key
    text = key or conversation.user
    return hashed(text, 32) if text else ""


class CallIds:
    """Gives each call of one reply an id that no other has, as results find their calls by it."""

    def __init__(self) -> None:
        self._uses: dict[str, int] = {}

    def own(self, start: Start) -> Start:
        """Return the beginning of a block; that of a call with an id of its own, the provider's if possible."""
        if start.kind != "call":
            return start
        given = start.id or f"call_{hashed(f'{len(self._uses)} {start.name}', 24)}"
        own = given
        while own in self._uses:
            self._uses[given] += 1
            own = f"{given}-{self._uses[given]}"
        self._uses[own] = 1
        return start if own == start.id else replace(start, id=own)


class Names:
    """The names of one request's tools as they are sent. ``back`` has the changed ones: the sent name -> the client's.

    ``letter_first`` is for providers whose names begin with a letter or ``_``.
    """

    def __init__(self, limit: int = 64, *, letter_first: bool = False) -> None:
        self._letter_first = letter_first
        self.back: dict[str, str] = {}
        self._limit = limit
        self._sent: dict[str, str] = {}
        self._taken: set[str] = set()

    def sent(self, name: str) -> str:
        """Return the name to be sent for a tool. Raises :class:`Untranslatable` if two names would become one."""
        if (known := self._sent.get(name)) is not None:
            return known
        fitting = _FOREIGN.sub("_", name) or "_"
        if self._letter_first and not (fitting[0].isalpha() or fitting[0] == "_"):
            fitting = f"_{fitting}"
        if fitting != name or len(fitting) > self._limit:
            fitting = f"{fitting[: min(self._limit - 9, _HEAD_CHARS)]}_{hashed(name, 8)}"
            self.back[fitting] = name
        if fitting in self._taken:
            raise Untranslatable(f"tools: two names become {fitting!r} for this provider; rename {name!r}", "tools")
        self._taken.add(fitting)
        self._sent[name] = fitting
        return fitting
