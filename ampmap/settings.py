"""What a user can set, as frozen values: defaults, units and meaning in one place.

Pure data. Files are read in ``config.file``; what is derived from these values is compiled in ``routing.snapshot``. A
program that embeds ampmap builds a :class:`Settings` itself. Secrets never show in a ``repr``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias

from .errors import Place

Protocol: TypeAlias = str
"""A wire format: a key of :data:`ampmap.formats.registry.FORMATS`."""

Auth: TypeAlias = str
"""How a provider's credential is presented: one of :data:`ampmap.formats.registry.AUTHS`.

``bearer``, the header field of a format that has its own, ``none``, or ``client``: the client's own login goes through.
"""

CreditPolicy = Literal["allow", "warn", "refuse"]
"""What happens before a request spends Amp credits."""

CREDIT_POLICIES: tuple[CreditPolicy, ...] = ("allow", "warn", "refuse")

DEFAULT_PORT = 8267  # A-M-P on a telephone's keys, and free in IANA's list
AMPCODE = "https://ampcode.com"


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpListen:
    """A TCP address to listen on; ``host`` is a literal address or a name, ``port`` 0 lets the system choose."""

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class UnixListen:
    """A unix socket to listen on, made with mode 0600."""

    path: str

    def __str__(self) -> str:
        return f"unix:{self.path}"


Listen = TcpListen | UnixListen


class Origin(NamedTuple):  # as Hop: a key that is looked up several times in each request
    """Where connections go; ``host`` carries no brackets."""

    scheme: Literal["http", "https"]
    host: str
    port: int

    @property
    def authority(self) -> str:
        """``host[:port]`` as a ``Host`` field carries it: brackets for IPv6, no port where it is the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.scheme == "https" else 80) else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}"


_AMPCODE = Origin("https", "ampcode.com", 443)


class Hop(NamedTuple):
    """Where a connection goes and what it must prove: ``ca_file`` adds to the authorities that are trusted."""

    origin: Origin
    ca_file: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelEntry:
    """One entry of a provider's ``models``: a name or a glob, and what the provider calls it where that differs."""

    id: str
    upstream: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """How a provider speaks one protocol.

    ``base_path`` is the path of its base URL, without a slash at the end. ``version_path`` False means that the
    version in the protocol's canonical path (``/v1``) is left out for this provider, although ``base_path`` has none.
    """

    protocol: Protocol
    base_path: str = field(default="", repr=False)  # it may hold a secret
    auth: Auth = "bearer"
    version_path: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """Someone who serves models: where, in which protocols, which models, and with whose key."""

    name: str
    origin: Origin
    endpoints: tuple[Endpoint, ...]
    models: tuple[ModelEntry, ...] = ()
    discover: bool = False  # ask the provider itself which models it has, beside those in ``models``
    variants: bool = False  # it serves ``NAME:anything`` where it lists ``NAME``
    api_key: str = field(default="", repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)  # a value may hold a secret
    ca_file: str = ""
    place: Place | None = field(default=None, repr=False)

    def endpoint(self, protocol: Protocol) -> Endpoint | None:
        """Return how this provider speaks ``protocol``; None when it does not."""
        for endpoint in self.endpoints:
            if endpoint.protocol == protocol:
                return endpoint
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class When:
    """Conditions of a rule: all that are given must hold for a request; empty or None means not given.

    ``provider`` is the segment in the path under ``/api/provider/``; ``headers`` are pairs of a field's name and a glob
    for its value; ``tool_choice`` is the one tool that the request forces; ``system_prefix`` is the beginning of its
    system prompt. ``body_over`` is a number of bytes that the decoded body must exceed. ``image`` says whether the last
    user message or content must have an image. ``tool`` is a glob: the request offers a tool of that name or type.
    Texts are compared without regard to case.
    """

    provider: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    tool_choice: str = ""
    system_prefix: str = ""
    body_over: int | None = None
    image: bool | None = None
    tool: str = ""

    @property
    def needs_body(self) -> bool:
        """True when the JSON of the body has to be read (its size alone does not need that)."""
        return bool(self.tool_choice or self.system_prefix or self.image is not None or self.tool)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One mapping as written: requests for ``source`` may be served by the first of ``targets`` that is served.

    ``source`` is a glob where it has ``*`` or ``?`` and ``regex`` is False. ``set`` are top-level members of the
    request's body with their new values as compact JSON; ``drop`` are names of members that are taken out.
    """

    source: str
    targets: tuple[str, ...]
    regex: bool = False
    credits: CreditPolicy | None = None
    when: When | None = None
    set: tuple[tuple[str, str], ...] = ()
    drop: tuple[str, ...] = ()
    place: Place | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class AmpKey:
    """An Amp key used for the clients that show one of ``client_keys``."""

    upstream_api_key: str = field(repr=False)
    client_keys: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Amp:
    """The Amp upstream and what is asked of it. ``origin`` None means that there is none."""

    origin: Origin | None = _AMPCODE
    base_path: str = field(default="", repr=False)  # it may hold a secret
    api_key: str = field(default="", repr=False)
    api_keys: tuple[AmpKey, ...] = ()
    restrict_management_to_localhost: bool = True
    credits: CreditPolicy = "warn"
    credits_per_day: int = 0  # requests that may spend credits within 24 hours; 0 means no limit
    force_model_mappings: bool = False
    rules: tuple[Rule, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Deadlines in seconds: absolute for heads and dials; for bodies and streams, how long they may stay silent."""

    connect_s: float = 10.0  # TCP and TLS together, for one dial
    head_s: float = 30.0  # a request's whole head, from its first byte
    keepalive_s: float = 75.0  # between requests, before the first byte (nginx: 75)
    body_idle_s: float = 60.0  # between two pieces of a request body
    response_head_s: float = 600.0  # reasoning models think for minutes before the first byte (vendors' SDKs: 600)
    stream_idle_s: float = 600.0  # between two pieces of a reply
    write_stall_s: float = 120.0  # a peer that takes nothing of what is sent to it
    drain_s: float = 30.0  # from the first signal until what still runs is cut


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds on what one peer can make ampmap hold; bytes unless named a count."""

    head_bytes: int = 65_536  # nginx 32k, node 16k, h11 16k: Amp's thread ids and betas need little, cookies more
    header_count: int = 128
    model_body_bytes: int = 64 * 1024 * 1024  # Anthropic takes 32 MB, Gemini 20 MB inline
    connections: int = 4096
    idle_per_origin: int = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """How records are written."""

    format: Literal["text", "json"] = "text"
    level: Literal["debug", "info", "warning", "error"] = "info"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that can be set. The defaults are those of a configuration file that is empty."""

    listen: tuple[Listen, ...] = (TcpListen(),)
    api_keys: tuple[str, ...] = field(default=(), repr=False)
    allow_open_access: bool = False
    allowed_origins: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()  # further Host names that mean this proxy, without ports
    amp: Amp = Amp()
    providers: tuple[Provider, ...] = ()
    timeouts: Timeouts = Timeouts()
    limits: Limits = Limits()
    log: Log = Log()
    admin: bool = True
    source: str = ""  # the configuration's file or directory; empty for the built-in defaults
