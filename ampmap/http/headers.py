"""Field lines as pairs of bytes: which cross a proxy, what frames a message, how a head is written.

Used by both connections, ``routing``, ``access`` and ``proxy``. A header section is a sequence of ``(name, value)``
pairs in the order, case and number in which the peer sent them (RFC 9110 §5.3); nothing is folded or lost. The section
of a peer is a :class:`Fields`, which is indexed. Values must hold no line break: the parser and the configuration, from
which they come, have refused them. Pure, except for what it remembers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache, wraps
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import BadRequest
from .line_cache import Line, Remade

if TYPE_CHECKING:
    from functools import _lru_cache_wrapper

Headers = Sequence[tuple[bytes, bytes]]

# RFC 9110 §7.6.1, the fields that older agents treat alike, and the name of an option (RFC 9112 §9.6).
HOP_BY_HOP = frozenset(
    {
        b"close",
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authentication-info",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)

# What tells an upstream who stands in front of it (RFC 7239, RFC 9110 §7.6.3). The client is this machine and the
# upstream a stranger.
IDENTITY = frozenset(
    {
        b"forwarded",
        b"via",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-port",
        b"x-forwarded-proto",
        b"x-forwarded-server",
        b"x-real-ip",
    }
)

# What says something of a body's bytes (RFC 9530, RFC 3230, RFC 2616 §14.15, RFC 9110 §8.8.3), and is untrue once they
# are changed.
OF_THE_BODY = frozenset({b"content-digest", b"content-md5", b"digest", b"etag", b"repr-digest"})

# What servers write where a body has no content coding: RFC 9110 §12.5.3 reserves ``identity``; others name a charset.
_NO_CODINGS = frozenset(b"identity none null utf-8 utf8 us-ascii ascii iso-8859-1 7bit 8bit binary".split())

# RFC 9110 §6.5.1: fields that frame, route, authenticate or describe the content have no business in trailers.
NOT_IN_TRAILERS = HOP_BY_HOP | {
    b"authorization",
    b"cache-control",
    b"content-encoding",
    b"content-length",
    b"content-range",
    b"content-type",
    b"cookie",
    b"expect",
    b"host",
    b"max-forwards",
    b"set-cookie",
    b"www-authenticate",
}


@dataclass(frozen=True, slots=True)
class Empty:
    """There is no body, and no field says so."""


@dataclass(frozen=True, slots=True)
class Length:
    """The body has exactly ``count`` bytes."""

    count: int


@dataclass(frozen=True, slots=True)
class Chunked:
    """The body comes in chunks and ends with a chunk of size zero (RFC 9112 §7.1)."""


@dataclass(frozen=True, slots=True)
class UntilClose:
    """The body ends where the connection does (RFC 9112 §6.3, item 8): only in responses."""


Framing = Empty | Length | Chunked | UntilClose

_EMPTY, _CHUNKED, _UNTIL_CLOSE = Empty(), Chunked(), UntilClose()
_NO_NAMES = frozenset({b"close", b"keep-alive"})  # they are dropped in any case
_KEPT = 16  # things made of one header section that are kept
_LENGTH_AT = "where Content-Length stands"  # one of them

LENGTH_MAX = 2**63 - 1  # a server that counts in 64 bits takes a larger one for a small one (RFC 9110 §8.6)


class Fields(tuple[tuple[bytes, bytes], ...]):
    """A header section as the peer sent it, with an index: most of the dozen fields looked up are not in it."""

    first: dict[bytes, bytes]
    """By the names in lower case, the value of the first line of each."""

    kept: dict[object, Any]
    """What was made of the section, by what made it; shared by all that differ in nothing but ``Content-Length``."""

    def __init__(self, pairs: Sequence[tuple[bytes, bytes]]) -> None:
        self.first = {key.lower(): content for key, content in reversed(pairs)}
        self.kept = {}

    @classmethod
    def of(cls, lines: Sequence[Line]) -> Fields:
        """Make them of lines whose names are known in lower case already."""
        fields = tuple.__new__(cls, [pair for _, pair in lines])
        fields.first = {name: pair[1] for name, pair in reversed(lines)}
        fields.kept = {}
        return fields

    def with_length(self, digits: bytes) -> Fields:
        """Return the same section with another value of its only ``Content-Length``."""
        if self.first[b"content-length"] == digits:
            return self
        at = self.kept.get(_LENGTH_AT)
        if at is None:
            at = self.kept[_LENGTH_AT] = [pair[0].lower() for pair in self].index(b"content-length")
        pairs = list(self)
        pairs[at] = pairs[at][0], digits
        fields = tuple.__new__(Fields, pairs)
        fields.first = {**self.first, b"content-length": digits}
        fields.kept = self.kept
        return fields


_Made = TypeVar("_Made")


def once_a_section(make: Callable[[Headers], _Made]) -> Callable[[Headers], _Made]:
    """Call ``make`` once for all sections that differ in ``Content-Length`` alone, which it must not read."""

    @wraps(make)
    def kept(headers: Headers) -> _Made:
        if not isinstance(headers, Fields):
            return make(headers)
        try:
            return headers.kept[make]  # type: ignore[no-any-return]  # what ``make`` made
        except KeyError:
            made = headers.kept[make] = make(headers)
            return made

    return kept


def values(headers: Headers, name: bytes) -> list[bytes]:
    """Return the value of every line called ``name`` (given in lower case), in order."""
    if isinstance(headers, Fields):
        if name not in headers.first:
            return []
        if len(headers.first) == len(headers):
            return [headers.first[name]]
    return [value for key, value in headers if key.lower() == name]


def value(headers: Headers, name: bytes) -> bytes | None:
    """Return the value of the first line called ``name`` (given in lower case)."""
    if isinstance(headers, Fields):
        return headers.first.get(name)
    for key, content in headers:
        if key.lower() == name:
            return content
    return None


def tokens(headers: Headers, name: bytes) -> list[bytes]:
    """Return the members of a comma-separated list field, over all its lines, lower-cased and without blanks."""
    if isinstance(headers, Fields) and name not in headers.first:
        return []
    lines = values(headers, name)
    return [part for line in lines for item in line.split(b",") if (part := item.strip().lower())]


def content_coding(headers: Headers) -> bytes:
    """Return the content codings of a body, in lower case and joined by ``, ``; empty where it has none."""
    codings = tokens(headers, b"content-encoding")
    return b", ".join([coding for coding in codings if coding not in _NO_CODINGS]) if codings else b""


def end_to_end(headers: Headers, drop: frozenset[bytes] = frozenset()) -> list[tuple[bytes, bytes]]:
    """Return the lines that may cross a proxy, less those named in ``drop`` (lower case).

    What the ``Connection`` lines nominate goes first, over *all* such lines, and before anything is added: else a
    client could nominate a credential of ours. Source: RFC 9110 §7.6.1.
    """
    unwanted = _with_hop_by_hop(drop)
    if named := nominated(headers):
        unwanted |= named
    return [
        pair
        for pair in headers
        if (name := pair[0].lower()) not in unwanted and (b"_" not in name or not _is_among(name, unwanted))
    ]


@once_a_section
def connection_options(headers: Headers) -> frozenset[bytes]:
    """Return the members of the ``Connection`` lines, in lower case (RFC 9110 §7.6.1)."""
    return frozenset(tokens(headers, b"connection"))


def nominated(headers: Headers) -> frozenset[bytes]:
    """Return the names that the ``Connection`` lines nominate; none where they say what most say."""
    return connection_options(headers) - _NO_NAMES


def crossing(headers: Headers, drop: frozenset[bytes]) -> bytes:
    """Return what :func:`end_to_end` does, as bytes of a head, and less the length, which is written anew."""
    return remade(headers, _crossing, drop)


def remade(headers: Headers, memory: _lru_cache_wrapper[Remade], drop: frozenset[bytes], *more: Hashable) -> bytes:
    """Return what becomes of all lines: ``memory`` gives what each does, less those in ``drop``, and any length.

    What the section's own ``Connection`` nominates is dropped too.
    """
    lines = memory(drop, *more)
    if named := nominated(headers):
        return b"".join([lines[pair] for pair in headers if not _is_among(pair[0], named)])
    kept = headers.kept if isinstance(headers, Fields) else {}
    joined_lines: bytes | None = kept.get(lines.make)
    if joined_lines is None:
        if len(kept) >= _KEPT:
            kept.clear()
        joined_lines = kept[lines.make] = b"".join([lines[pair] for pair in headers])
    return joined_lines


@lru_cache(maxsize=16)
def _crossing(drop: frozenset[bytes]) -> Remade:
    unwanted = drop | {b"content-length"}
    return Remade(lambda pair: joined(end_to_end((pair,), unwanted)))


def _is_among(name: bytes, names: frozenset[bytes]) -> bool:
    """Tell whether a field is one of ``names``, or becomes one where a hyphen is an underscore (RFC 3875 §4.1.18)."""
    name = name.lower()
    return name in names or (b"_" in name and name.replace(b"_", b"-") in names)


@lru_cache(maxsize=64)  # the sets are a few constants, and those with the fields of a provider's configuration
def _with_hop_by_hop(drop: frozenset[bytes]) -> frozenset[bytes]:
    return HOP_BY_HOP | drop


def trailers(headers: Headers) -> list[tuple[bytes, bytes]]:
    """Return the trailer lines that may be relayed. Source: RFC 9110 §6.5.1."""
    return [pair for pair in headers if not _is_among(pair[0], NOT_IN_TRAILERS)]


def request_framing(headers: Headers, version: bytes) -> Framing:
    """Tell how a request's body is framed; the parser has already checked each field by itself.

    Raises :class:`BadRequest` for a message that two readers could cut differently: both fields at once, or a
    transfer coding under HTTP/1.0. Source: RFC 9112 §6.1 and §6.3.
    """
    field = value(headers, b"content-length")
    length = None if field is None else int(field)
    if length is not None and length > LENGTH_MAX:
        raise BadRequest(f"Content-Length is more than {LENGTH_MAX}, larger than any body")
    if value(headers, b"transfer-encoding") is not None:
        if length is not None:
            raise BadRequest("a request may not have both Content-Length and Transfer-Encoding; send one of them")
        if version != b"1.1":
            raise BadRequest("a request in HTTP/1.0 may not have Transfer-Encoding; send Content-Length")
        return _CHUNKED
    return _EMPTY if length is None else Length(length)


def response_framing(headers: Headers, status: int, method: bytes) -> Framing:
    """Tell how a response's body is framed. Source: RFC 9112 §6.3, items 1 to 8; RFC 9110 §8.6."""
    if method == b"HEAD" or status in (204, 304) or status < 200:
        return _EMPTY
    if value(headers, b"transfer-encoding") is not None:
        return _CHUNKED
    length = value(headers, b"content-length")
    return _UNTIL_CLOSE if length is None else Length(int(length))


def joined(lines: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return field lines as bytes of a head. Every part has been validated by the parser or the configuration."""
    return b"".join([b"%b: %b\r\n" % pair for pair in lines])


def request_head(method: bytes, target: bytes, lines: Iterable[tuple[bytes, bytes]], before: bytes = b"") -> bytes:
    """Join a request's head; ``before`` are lines that have been joined already."""
    return b"%b %b HTTP/1.1\r\n%b%b\r\n" % (method, target, before, joined(lines))


def response_head(status: int, reason: bytes, lines: Iterable[tuple[bytes, bytes]], before: bytes = b"") -> bytes:
    """Join a response's head; ``before`` are lines that have been joined already."""
    return b"HTTP/1.1 %d %b\r\n%b%b\r\n" % (status, reason, before, joined(lines))


def is_header_safe(secret: str) -> bool:
    """Tell whether a secret can stand in a field: visible ASCII without blanks (RFC 6750 §2.1 allows less)."""
    return re.fullmatch(r"[\x21-\x7e]+", secret) is not None
