"""All settings as frozen values: defaults, units and meaning in one place.

Pure data. ``config.file`` reads them from files; a program that embeds ampmap builds a :class:`Settings` itself;
``routing.snapshot`` compiles them for the decision on requests. Secrets never show in a ``repr``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias

from .errors import Place
from .formats.profile import Profile

Protocol: TypeAlias = str
"""A wire format: a key of :data:`ampmap.formats.registry.FORMATS`."""

Auth: TypeAlias = str
"""How a provider's credential is presented: one of :data:`ampmap.formats.registry.AUTHS`.

``bearer``, the header field of a format that has its own, ``none``, or ``client``: the client's own login is sent on.
"""

LogFormat = Literal["auto", "human", "text", "json"]
"""How log lines look; ``auto`` is ``human`` if they go to standard error and that is a terminal, otherwise ``text``."""

CreditPolicy = Literal["allow", "warn", "refuse"]
"""What happens before a request spends Amp credits."""

CREDIT_POLICIES: tuple[CreditPolicy, ...] = ("allow", "warn", "refuse")

DEFAULT_PORT = 8267  # A-M-P on a telephone's keys, and free in IANA's list


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


class Origin(NamedTuple):  # a tuple, as Hop is: a key that each request looks up several times hashes fast
    """A scheme, a host and a port; ``host`` is an IPv6 address without brackets, an IPv4 address or a name."""

    scheme: Literal["http", "https"]
    host: str
    port: int

    @property
    def authority(self) -> str:
        """``host[:port]`` as a ``Host`` field has it: brackets around IPv6, no port if it is the scheme's default."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.scheme == "https" else 80) else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}"


_AMPCODE = Origin("https", "ampcode.com", 443)


class Hop(NamedTuple):
    """Where a connection goes, and a file of certificate authorities that are trusted for it beside the system's."""

    origin: Origin
    ca_file: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelEntry:
    """One entry of a provider's ``models``: a name or a glob; ``upstream`` is the provider's own name if it differs."""

    id: str
    upstream: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """How a provider speaks one protocol.

    ``base_path`` is the path of its base URL, without a slash at the end. ``version_path`` False: requests to this
    provider lack the version of the protocol's canonical path (``/v1``), although ``base_path`` has none either.
    ``profile`` says where the provider differs from its format; None: nowhere. Only translation reads it.
    """

    protocol: Protocol
    base_path: str = field(default="", repr=False)  # it may hold a secret
    auth: Auth = "bearer"
    version_path: bool = True
    profile: Profile | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """A server of models: its origin, protocols, models and key.

    ``translate``: whether requests in protocols that it does not speak are translated for it; None: as
    ``Settings.translate`` says. ``preferred``: the protocols to translate into, the best first; empty: the endpoints'
    protocols in their order.
    """

    name: str
    origin: Origin
    endpoints: tuple[Endpoint, ...]
    models: tuple[ModelEntry, ...] = ()
    discover: bool = False  # ask the provider for its list of models, in addition to ``models``
    variants: bool = False  # a provider that lists ``NAME`` also serves ``NAME:anything``
    api_key: str = field(default="", repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)  # a value may hold a secret
    ca_file: str = ""
    translate: bool | None = None
    preferred: tuple[Protocol, ...] = ()
    place: Place | None = field(default=None, repr=False)

    def endpoint(self, protocol: Protocol) -> Endpoint | None:
        """Return how this provider speaks ``protocol``; None when it does not."""
        for endpoint in self.endpoints:
            if endpoint.protocol == protocol:
                return endpoint
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class When:
    """Conditions of a rule: a request must meet all that are given; empty or None means not given.

    ``provider`` is the segment in the path under ``/api/provider/``; ``headers`` are pairs of a field's name and a glob
    for its value; ``tool_choice`` is the one tool that the request forces; ``system_prefix`` is the beginning of its
    system prompt. ``body_over`` is a number of bytes that the decoded body must exceed. ``image`` says whether the last
    user message or content must have an image. ``tool`` is a glob: the request offers a tool of that name or type.
    Texts are compared without regard to case.

    ``config.keys`` and ``config.amp`` read these, ``routing.decide.unmet`` compares them. Records hold none of them
    except ``provider``, so ``ampmap replay`` cannot evaluate the others.
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
        """Whether the body's JSON has to be read; ``body_over`` needs only its size."""
        return bool(self.tool_choice or self.system_prefix or self.image is not None or self.tool)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One mapping: a request for the model ``source`` goes to the first of the models ``targets`` that has a provider.

    ``source`` is a regular expression if ``regex``, otherwise a glob if it has ``*`` or ``?``. ``set`` are top-level
    members of the request's body with their new values as compact JSON; ``drop`` names members to remove.
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
    """The Amp key for clients that present one of ``client_keys``."""

    upstream_api_key: str = field(repr=False)
    client_keys: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Amp:
    """The Amp upstream, which requests may use it, and the rules. ``origin`` None means that there is no upstream."""

    origin: Origin | None = _AMPCODE
    base_path: str = field(default="", repr=False)  # it may hold a secret
    api_key: str = field(default="", repr=False)
    api_keys: tuple[AmpKey, ...] = ()
    restrict_management_to_localhost: bool = True
    credits: CreditPolicy = "warn"
    credits_per_day: int = 0  # how many requests may spend credits within 24 hours; 0 means no limit
    force_model_mappings: bool = False
    rules: tuple[Rule, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Deadlines in seconds: the total time for heads and dials; for bodies and streams, the longest silence."""

    connect_s: float = 10.0  # TCP and TLS together, for one dial
    head_s: float = 30.0  # a request's whole head, from its first byte
    keepalive_s: float = 75.0  # between requests, before the first byte (nginx: 75)
    body_idle_s: float = 60.0  # between two arrivals of bytes of a request body
    response_head_s: float = 600.0  # reasoning models think for minutes before the first byte (vendors' SDKs: 600)
    stream_idle_s: float = 600.0  # between two arrivals of bytes of a reply
    write_stall_s: float = 120.0  # while a peer reads nothing of the bytes sent to it
    drain_s: float = 30.0  # from the first signal until open connections are cut


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds on what one peer can make ampmap hold; bytes unless named a count."""

    head_bytes: int = 65_536  # nginx 32k, node 16k, h11 16k; cookies can be larger
    header_count: int = 128
    model_body_bytes: int = 64 * 1024 * 1024  # Anthropic takes 32 MB, Gemini 20 MB inline
    connections: int = 4096
    idle_per_origin: int = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """How records are written."""

    format: LogFormat = "auto"
    level: Literal["debug", "info", "warning", "error"] = "info"
    file: str = ""  # an absolute path; empty: standard error


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings. The defaults are those of an empty configuration file."""

    listen: tuple[Listen, ...] = (TcpListen(),)
    api_keys: tuple[str, ...] = field(default=(), repr=False)
    allow_open_access: bool = False
    allowed_origins: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()  # further Host names that mean this proxy, without ports
    amp: Amp = Amp()
    translate: bool = True  # the default of ``Provider.translate``
    providers: tuple[Provider, ...] = ()
    timeouts: Timeouts = Timeouts()
    limits: Limits = Limits()
    log: Log = Log()
    admin: bool = True
    source: str = ""  # the configuration's file or directory; empty for the built-in defaults
