"""Every error that ampmap raises on purpose, and complaints about places in the configuration.

This module imports nothing of ampmap, so every other module may import it.

::

    AmpmapError
    ├─ ConfigError            the configuration cannot be used; never becomes a response
    └─ ExchangeError          one request cannot be served as asked
       ├─ RequestError        the client's message is at fault; the outcome is "rejected"
       │  ├─ BadRequest 400 (Untranslatable 400) · RequestTimeout 408 · BodyTooLarge 413
       │  ├─ UnsupportedMediaType 415 · UpgradeRequired 426 · HeadTooLarge 431
       │  └─ MethodNotAllowed 405 · CodingUnsupported 501 · VersionUnsupported 505
       ├─ UpstreamError       the upstream is at fault
       │  ├─ DialFailed 502 (NoFiles 503) · UpstreamProtocolError 502 · UpstreamBroken 502
       │  └─ UpstreamTimeout 504
       ├─ ClientGone          the client closed its connection
       └─ ShuttingDown        the drain time is over

``status`` is the status of the response, if none has begun; otherwise the connection is cut instead. ``outcome`` is
what the request's record says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

Outcome = Literal["ok", "client_gone", "upstream_truncated", "timeout", "rejected", "upstream_error", "shutdown"]

MESSAGE_CHARS = 2000
"""The longest message of an :class:`ExchangeError`; a longer one loses its middle."""


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A position in a file of the configuration; ``line`` and ``column`` count from 1."""

    file: str
    line: int
    column: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Complaint:
    """One fault in the configuration: its place, and one sentence about the fault and its remedy."""

    what: str
    place: Place | None = None
    severity: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        return f"{self.place}: {self.what}" if self.place else self.what


class AmpmapError(Exception):
    """The root of everything that ampmap raises on purpose; any other exception out of it is a bug."""


class ConfigError(AmpmapError):
    """The configuration cannot be used. ``complaints`` holds each reason, in the file's order."""

    def __init__(self, *complaints: Complaint) -> None:
        super().__init__("\n".join(map(str, complaints)))
        self.complaints = complaints


class ExchangeError(AmpmapError):
    """One request cannot be served as asked. The message may quote a peer, so its length is bounded."""

    status: ClassVar[int] = 500
    outcome: ClassVar[Outcome] = "rejected"

    def __init__(self, message: str = "") -> None:
        if len(message) > MESSAGE_CHARS:
            message = f"{message[: MESSAGE_CHARS // 2]} ... {message[-MESSAGE_CHARS // 2 :]}"
        super().__init__(message)


class RequestError(ExchangeError):
    """The client's message is at fault."""

    status = 400


class BadRequest(RequestError):
    """The message breaks RFC 9112, or lacks something that ampmap needs."""


class Untranslatable(BadRequest):
    """The provider's wire format cannot express a part of the request that must not be dropped: ``param``."""

    def __init__(self, message: str, param: str = "", code: str = "unsupported_parameter") -> None:
        super().__init__(message)
        self.param = param
        self.code = code


class MethodNotAllowed(RequestError):
    """The route exists, but not for this method."""

    status = 405


class RequestTimeout(RequestError):
    """A request began but did not arrive completely in time (RFC 9110 §15.5.9)."""

    status = 408
    outcome = "timeout"


class BodyTooLarge(RequestError):
    """The body is larger than ``limits.model-body-bytes`` (RFC 9110 §15.5.14)."""

    status = 413


class UnsupportedMediaType(RequestError):
    """The body's content coding or charset cannot be read (RFC 9110 §15.5.16)."""

    status = 415


class UpgradeRequired(RequestError):
    """A WebSocket on a path that is served over HTTP alone (RFC 9110 §15.5.22)."""

    status = 426


class HeadTooLarge(RequestError):
    """The head has more bytes or more field lines than ``limits`` allow (RFC 6585 §5)."""

    status = 431


class CodingUnsupported(RequestError):
    """A transfer coding that this proxy does not implement (RFC 9112 §6.1)."""

    status = 501


class VersionUnsupported(RequestError):
    """The message claims an HTTP version other than 1.0 or 1.1."""

    status = 505


class UpstreamError(ExchangeError):
    """The upstream is at fault."""

    status = 502
    outcome: ClassVar[Outcome] = "upstream_error"


class DialFailed(UpstreamError):
    """The connection to the upstream, or its TLS handshake, failed: not one byte of the request has left."""


class NoFiles(DialFailed):
    """This machine has no file, thread or memory left for a connection; the upstream is not at fault."""

    status = 503


class UpstreamProtocolError(UpstreamError):
    """The upstream sent something that is not valid HTTP/1.1, or damaged gzip."""


class UpstreamBroken(UpstreamError):
    """The connection to the upstream ended before its reply did."""

    outcome = "upstream_truncated"


class UpstreamTimeout(UpstreamError):
    """The upstream sent nothing, or read nothing, for longer than ``timeouts`` allow."""

    status = 504
    outcome = "timeout"


class ClientGone(ExchangeError):
    """The client closed its connection: nobody is left to answer, and the upstream must stop working for it."""

    status = 499
    outcome = "client_gone"


class ShuttingDown(ExchangeError):
    """The time to drain is over: exchanges that still run are cut."""

    status = 503
    outcome = "shutdown"
