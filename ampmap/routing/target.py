"""Request targets: which route a request is for, and what of its path matters there.

Pure; ``proxy.exchange`` asks it first. Routes are matched on the raw path, segment by segment, and the forwarded path
is made of the same bytes: a spelling that one rule refuses cannot pass under another. Only the model's name in a path
is decoded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import quote, unquote, unquote_to_bytes

from ..bodies.find_model import NAME_BYTES
from ..errors import BadRequest, MethodNotAllowed
from ..escaping import printable
from ..formats.registry import FORMATS
from ..net.address import host_of
from ..settings import Protocol

PROVIDER_PREFIX = "/api/provider/"
ADMIN_PREFIX = "/_ampmap/"

_MANAGEMENT = frozenset(
    [f"/api/{name}" for name in (
        "internal", "user", "auth", "meta", "ads", "telemetry", "threads", "thread-actors",
        "durable-thread-workers", "attachments", "skills", "rivet", "otel", "tab",
    )]
    + ["/auth", "/threads", "/docs", "/settings", "/attachments", "/actors"]
)  # fmt: skip
_MANAGEMENT_EXACT = frozenset({"/threads.rss", "/news.rss"})

_SHARED_LISTS = ("/v1/models", "/models")  # paths of lists that several formats share
_TARGET = re.compile(rb"[\x21-\x7e]+")
_ABSOLUTE = re.compile(r"https?://([^/?#]*)(.*)", re.IGNORECASE)  # RFC 9112 §3.2.2
_VERSION = re.compile(r"v[0-9]+[a-z0-9]*\Z")
# Another spelling of a path that is known could mean to Amp's server what it does not mean here.
_OTHER_API = re.compile(r"/api/(?!provider/)[a-z0-9._~-]+(?:/|\Z)", re.IGNORECASE)
_PARAMETERS = 500  # more than any client sends, and few enough to be looked at in a millisecond or two
_RECALLED_BYTES = 512
_SLASHES = re.compile(r"/{2,}")
_DOTS = re.compile(rb"(?:\A|[/\\])\.{1,2}(?:[/\\]|\Z)")
_ESCAPES = 2000  # takes a millisecond or two to decode so often
_DECODINGS = 4  # each costs as much as the path is long
_UNSAFE_ON_PROVIDER_ROUTES = re.compile(r"%2f|%5c|%00|\\", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Target:
    """A request-target taken apart; both parts are ASCII, unchanged.

    ``path`` begins with ``/``, or is ``*``; ``query`` is None where there is no ``?``; ``authority`` is that of an
    absolute-form target, which outranks the ``Host`` field (RFC 9112 §3.2.2) and is never dialled.
    """

    path: str
    query: str | None = field(default=None, repr=False)  # it may hold a key
    authority: str | None = None


@dataclass(frozen=True, slots=True)
class ModelRoute:
    """A request that names a model in one of the wire formats.

    ``segment`` is the provider's name under ``/api/provider/``, None where the path stands alone. ``canonical`` is the
    path for a provider, with ``{model}`` in it where the protocol has the name there; ``model`` is that name, decoded
    (empty where it can't be), or None where the body has it.
    """

    protocol: Protocol
    canonical: str
    segment: str | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True)
class ModelList:
    """A question for what can be served: all of it, or the one model ``id``.

    ``protocol`` is the format that alone has its list at this path; None where formats share the path.
    """

    segment: str | None = None
    protocol: Protocol | None = None
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Management:
    """A request for Amp's own server."""


@dataclass(frozen=True, slots=True)
class ProviderOther:
    """Something under ``/api/provider/`` that is no model route: Amp's server knows what it is."""

    segment: str


@dataclass(frozen=True, slots=True)
class Admin:
    """A request for ampmap itself; ``page`` is what follows ``/_ampmap/``."""

    page: str


@dataclass(frozen=True, slots=True)
class Home:
    """``GET /``."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nothing of ours."""


Route = ModelRoute | ModelList | Management | ProviderOther | Admin | Home | Unknown


def parse_target(raw: bytes, method: bytes) -> Target:
    """Take a request-target apart (RFC 9112 §3.2).

    Raises :class:`BadRequest` for anything that is not a target, or has a segment that decodes to ``.`` or ``..``;
    :class:`MethodNotAllowed` for ``CONNECT`` and ``TRACE``.
    """
    return (_recalled_target if len(raw) + len(method) <= _RECALLED_BYTES else _parsed_target)(raw, method)


def _parsed_target(raw: bytes, method: bytes) -> Target:
    if method == b"CONNECT":  # RFC 9110 §9.3.6
        raise MethodNotAllowed("CONNECT is not served: ampmap is not a forward proxy")
    if method == b"TRACE":  # its answer is the request as it was sent on, our credential included: RFC 9110 §9.3.8
        raise MethodNotAllowed("TRACE is not served: its answer would show the upstream's credential")
    if not _TARGET.fullmatch(raw):
        raise BadRequest("the request target has blanks or bytes that are not visible ASCII; percent-encode them")
    shown = raw.decode("ascii")
    authority = None
    if shown == "*" and method == b"OPTIONS":  # RFC 9112 §3.2.4
        return Target("*")
    if not shown.startswith("/"):
        absolute = _ABSOLUTE.fullmatch(shown)
        if absolute is None or host_of(absolute[1]) is None:
            raise BadRequest("the request target must begin with '/', or be an http URL with a host and no user name")
        authority, shown = absolute.groups()
        if not shown.startswith("/"):
            shown = "/" + shown
    if "#" in shown:
        raise BadRequest("the request target has a fragment; a client keeps that to itself")
    path, mark, query = shown.partition("?")
    # RFC 3986 §5.2.4, §6.2.2: others would resolve such a path, and see another one than was admitted here.
    if path.count("%") > _ESCAPES:
        raise BadRequest(f"the path has more than {_ESCAPES} bytes that are percent-encoded")
    if ("." in path or "%2" in path) and _has_dot_segment(path):
        raise BadRequest("the path has a '.' or '..' segment; send the path that is meant")
    if query.count("&") > _PARAMETERS:
        raise BadRequest(f"the query has more than {_PARAMETERS} parameters")
    return Target(path, query if mark else None, authority)


def _has_dot_segment(path: str) -> bool:
    """Tell whether a segment is ``.`` or ``..``, in the path as it is or after servers have decoded it once or more."""
    decoded = path.encode("ascii")
    for _ in range(_DECODINGS):
        if _DOTS.search(decoded):
            return True
        before, decoded = decoded, unquote_to_bytes(decoded)
        if decoded == before:
            return False
    return True  # encoded more often than anyone does


_recalled_target = lru_cache(maxsize=64)(_parsed_target)  # an agent asks for the same few


def route_of(target: Target, method: bytes, has_amp_headers: bool) -> Route:
    """Tell which route a request is for; ``has_amp_headers`` says that it carries a field named ``x-amp-…``.

    Raises :class:`BadRequest` for encoded slashes, backslashes or NUL on a route that carries credentials.
    """
    recalls = len(target.path) + len(method) <= _RECALLED_BYTES
    return (_recalled_route if recalls else _route_of)(target.path, method, has_amp_headers)


def _route_of(path: str, method: bytes, has_amp_headers: bool) -> Route:
    reading = method in (b"GET", b"HEAD")
    if path == "/":
        return Home() if reading else Unknown()
    if path.startswith(ADMIN_PREFIX):
        return Admin(path.removeprefix(ADMIN_PREFIX))
    if _is_management(path):
        return Management()
    segment, rest = None, path
    if path.startswith(PROVIDER_PREFIX):
        segment, slash, tail = path.removeprefix(PROVIDER_PREFIX).partition("/")
        rest = slash + tail
    if reading and (asked := _model_list(rest, segment)):
        _refuse_ambiguous(segment or "")  # the rest is the id, which goes nowhere: SDKs write "/" in it as %2F
        return asked
    if found := _model_route(rest, segment, method):
        _refuse_ambiguous(path)
        return found
    if segment is not None:
        _refuse_ambiguous(path)
        _refuse_other_spelling(rest, method)
        return ProviderOther(segment)
    return Management() if has_amp_headers and _OTHER_API.match(path) else Unknown()


_recalled_route = lru_cache(maxsize=64)(_route_of)


def _refuse_ambiguous(path: str) -> None:
    if _UNSAFE_ON_PROVIDER_ROUTES.search(path):
        raise BadRequest("the path has an encoded slash, backslash or NUL, which servers read differently")


def _refuse_other_spelling(rest: str, method: bytes) -> None:
    """Refuse what is no model route as it is spelled, and what Amp's server could take for one and spend credits on."""
    usual = _SLASHES.sub("/", unquote(rest.partition(";")[0])).rstrip("/")
    if any(_model_route(each, None, method) for each in (usual, usual.lower())):
        raise BadRequest(f"the path is an odd spelling of {printable(usual)}; send that one")


def _is_management(path: str) -> bool:
    if path in _MANAGEMENT_EXACT:
        return True
    parts = path.split("/", 3)  # ['', 'api', 'user', rest] or ['', 'threads', …]
    depth = 3 if parts[1:2] == ["api"] else 2
    return "/".join(parts[:depth]) in _MANAGEMENT


def _model_route(rest: str, segment: str | None, method: bytes) -> ModelRoute | None:
    if method != b"POST":
        return None
    for protocol, known in FORMATS.items():
        if canonical := known.paths.get(rest):
            return ModelRoute(protocol, canonical, segment)
    for protocol, known in FORMATS.items():
        if known.model_path and (found := known.model_path(rest)):
            decoded = _model_name(found[0])
            try:
                model = decoded.decode()
            except UnicodeDecodeError:
                model = ""
            return ModelRoute(protocol, found[1], segment, model if model.strip() else "")
    return None


def _model_list(rest: str, segment: str | None) -> ModelList | None:
    for prefix, protocol in _list_paths():
        if rest == prefix:
            return ModelList(segment, protocol)
        if rest.startswith(prefix + "/") and len(rest) > len(prefix) + 1:
            name = _model_name(rest[len(prefix) + 1 :]).decode("utf-8", "replace")
            return ModelList(segment, protocol, name)
    return None


def _list_paths() -> Iterator[tuple[str, Protocol | None]]:
    for protocol, known in FORMATS.items():
        yield from ((served.path, protocol) for served in known.lists if served.path)
    yield from ((path, None) for path in _SHARED_LISTS)


def _model_name(raw: str) -> bytes:
    decoded = unquote_to_bytes(raw)
    if len(decoded) > NAME_BYTES:
        raise BadRequest(f"the model's name in the path has more than {NAME_BYTES} bytes")
    return decoded


def provider_path(base_path: str, canonical: str, model: str, version_path: bool = True) -> str:
    """Return the path a provider is sent: its base path and the protocol's canonical path, joined with one slash.

    If a segment of the base path is a version (``v1``, ``v4``, ``v1beta``), or ``version_path`` is False, only what
    follows the version in ``canonical`` is appended: ``/api/paas/v4`` and ``/v1/chat/completions`` give
    ``/api/paas/v4/chat/completions``.
    """
    recalls = len(canonical) + len(model) <= _RECALLED_BYTES
    return (_recalled_path if recalls else _provider_path)(base_path, canonical, model, version_path)


def _provider_path(base_path: str, canonical: str, model: str, version_path: bool) -> str:
    if not version_path or any(_VERSION.match(part) for part in base_path.split("/")):
        canonical = canonical[canonical.index("/", 1) :]
    if "{model}" in canonical:
        canonical = canonical.replace("{model}", quote(model, safe="/-._~@:+,=()"), 1)
    return base_path.rstrip("/") + canonical


_recalled_path = lru_cache(maxsize=256)(_provider_path)  # few of these are in use at a time


def unknown_path_advice(path: str) -> str:
    """Say what to ask for in the place of ``path``, which is no route."""
    formats = FORMATS.values()
    known = [each for one in formats for each in one.paths if path != each and path.endswith(each)]
    behind = max(known, key=len, default="")
    if too_much := "/v1" if path.startswith("/v1/v1/") else path[: -len(behind)] if behind else "":
        return f"The agent's base URL has to end before {too_much}"
    posts = dict.fromkeys(canonical for one in formats for canonical in one.paths.values())
    templates = [one.path_template for one in formats if one.path_template]
    own_lists = [path for path, protocol in _list_paths() if protocol]
    return (
        f"There are POST {', '.join([*posts, *templates])}; GET {', '.join([_SHARED_LISTS[0], *own_lists])};"
        " the same under /api/provider/{name}; and GET /_ampmap/status"
    )


def path_of(raw: bytes) -> bytes:
    """Return the part of a request-target that may be shown: neither its query nor a user name in its authority.

    Never raises: the record of a refusal shows malformed targets, too.
    """
    shown = re.split(rb"[?#]", raw, maxsplit=1)[0]
    scheme, mark, rest = shown.partition(b"://")
    if not mark or b"/" in scheme:
        return shown
    authority, slash, path = rest.partition(b"/")
    return scheme + mark + authority.rpartition(b"@")[2] + slash + path
