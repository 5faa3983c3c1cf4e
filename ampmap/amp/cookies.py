"""Remember the cookies that the Amp upstream has set, so that only those are sent to it.

Pure. Cookies are not separated by port (RFC 6265 §8.5): a browser sends this proxy the cookies of every server on this
machine.
"""

from __future__ import annotations

from ..http.headers import Headers, values

_NAMES = 64
_NAME_BYTES = 256
_COOKIES = 500  # of one request; more than any browser sends, and further ones are dropped


class CookieNames:
    """The names of the last cookies that Amp has set, at most 64. They are not stored."""

    def __init__(self) -> None:
        self._names: dict[bytes, None] = {}

    def learn(self, reply: Headers) -> None:
        """Remember the names of the cookies that a reply of Amp sets."""
        for line in values(reply, b"set-cookie"):
            name = _name_of(line.partition(b";")[0])
            if name and len(name) <= _NAME_BYTES:
                self._names.pop(name, None)
                self._names[name] = None
        while len(self._names) > _NAMES:
            del self._names[next(iter(self._names))]

    def forget(self) -> None:
        """Forget all names, because another server has become the Amp upstream."""
        self._names.clear()

    def known_in(self, headers: Headers) -> list[tuple[bytes, bytes]]:
        """Return the ``Cookie`` lines of a request, without the cookies of other servers."""
        lines, left = [], _COOKIES
        for line in values(headers, b"cookie"):
            pairs = [pair.strip() for pair in line.split(b";", left)[:left]]
            left -= len(pairs)
            if kept := [pair for pair in pairs if _name_of(pair) in self._names]:
                lines.append((b"Cookie", b"; ".join(kept)))
        return lines


def _name_of(pair: bytes) -> bytes:
    """Return the name in ``name=value``; empty if there is no equals sign."""
    name, equals, _ = pair.partition(b"=")
    return name.strip() if equals else b""
