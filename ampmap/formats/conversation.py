"""A request for a model in no vendor's form: everything that at least two wire formats can say. Pure values.

The reader of the client's format makes a :class:`Conversation` from a request; the writer of the provider's format
makes a request from it. Writers rely on this order, which readers keep:

* ``system`` holds the system texts before the first turn; later ones are turns of the role ``system``.
* Neighbouring turns have different roles, except ``system`` turns, which stay where the client put them.
* In a ``user`` turn all :class:`Result` parts come first, in the order of their calls. No other turn stands between an
  ``assistant`` turn with calls and the ``user`` turn with their results.
* There are no empty texts and no empty turns.

Texts of any length are :data:`~ampmap.bodies.texts.Str`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ..bodies.texts import Long, Quoted, Raw, Str, Unquoted

Role = Literal["user", "assistant", "system"]


@dataclass(frozen=True, slots=True)
class Mark:
    """Asks a provider to cache the prompt up to here; ``ttl`` is ``""`` for the usual time, ``5m`` or ``1h``."""

    ttl: str = ""


@dataclass(frozen=True, slots=True)
class Seal:
    """A signature, or encrypted reasoning: only its maker can read it, and wants it back with a later request.

    ``kind`` is a word for the format that made it, and says what ``data`` is:

    * ``signature``, ``redacted``: Messages' string
    * ``reasoning``: the string ``encrypted_content`` of Responses
    * ``thought``: Gemini's base64 string, which belongs to the call or text behind it
    * ``details``: the list ``reasoning_details`` of Chat Completions

    ``maker`` is :func:`~ampmap.formats.carrier.maker_tag` of the provider; empty if the client sent the seal in its own
    format without a carrier. ``model`` is the maker's name of the model.
    """

    kind: str
    data: Any
    maker: str = ""
    model: str = ""


@dataclass(frozen=True, slots=True)
class Text:
    """A text that the user, the assistant or the system says."""

    text: Str
    mark: Mark | None = None


@dataclass(frozen=True, slots=True)
class Media:
    """An image, a document, a sound: ``data`` in base64, or a ``url``. One of the two is given.

    ``media_type`` is empty where only a URL is known. ``detail`` is the asked resolution: ``low``, ``high`` or empty.
    """

    kind: Literal["image", "document", "audio"]
    media_type: str = ""
    data: Str | None = None
    url: Str | None = None
    name: str = ""
    detail: str = ""
    mark: Mark | None = None


@dataclass(frozen=True, slots=True)
class Thinking:
    """Reasoning of the assistant, before the text or call that it led to. With a ``seal`` its ``text`` may be empty."""

    text: Str
    seal: Seal | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a tool by the assistant.

    ``name`` is a :attr:`Tool.name`. ``arguments`` is a JSON object as the client wrote it; for a tool of the kind
    ``custom`` it is the object ``{"input": TEXT}``. Arguments that are no JSON object come from
    :func:`~ampmap.formats.arguments.arguments_of` as ``{"_invalid_arguments": TEXT}``.
    """

    id: str
    name: str
    arguments: Raw | Unquoted
    mark: Mark | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a tool: texts and media. ``name`` is that of its call, empty if the call is missing."""

    id: str
    parts: tuple[Text | Media, ...]
    is_error: bool = False
    name: str = ""
    mark: Mark | None = None


Part = Text | Media | Thinking | Call | Result


@dataclass(frozen=True, slots=True)
class Turn:
    """Everything that one side says before the other side speaks."""

    role: Role
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A tool that the model may call.

    ``kind`` is ``function``; ``custom`` takes free text, in the ``grammar`` if there is one (an object with ``syntax``
    and ``definition``); ``web_search`` is run by the provider, with ``options`` in the words of Messages
    (``allowed_domains``, ``blocked_domains``, ``user_location``, ``max_uses``); ``server`` is any other tool that a
    provider of the client's format would run by itself, named by its type.
    """

    name: str
    description: Str = ""
    schema: Raw | None = None
    strict: bool | None = None
    kind: Literal["function", "custom", "web_search", "server"] = "function"
    grammar: Mapping[str, Str] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    mark: Mark | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """Which tools the model may or must call.

    ``names`` limits ``auto`` and ``required`` to some tools, unless it is empty; for ``tool`` it has exactly one.
    """

    mode: Literal["auto", "required", "none", "tool"] = "auto"
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """The form that the answer must have: JSON, which matches the ``schema`` if there is one."""

    schema: Raw | None = None
    name: str = ""
    description: str = ""
    strict: bool | None = None


EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
"""How much a model is to think, in rising order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reasoning:
    """How the model is to think.

    ``effort`` is one of EFFORTS, empty if the client names none. ``budget`` is a number of tokens. ``mode`` says what
    the client asked for: ``off``, ``on``, ``adaptive``, or nothing. ``show`` tells whether it wants to see the
    reasoning; None if it does not say.
    """

    effort: str = ""
    budget: int | None = None
    mode: Literal["", "off", "on", "adaptive"] = ""
    show: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """A request. None and empty values mean that the client said nothing about it.

    ``prefill`` says that the last turn is the assistant's, and that the reply has to continue its text.

    ``lost`` are paths of members that the client's format alone has. ``reply_options`` carries whatever the writer of
    replies in the client's format has to know of the request; only that writer looks at it.
    """

    system: tuple[Text, ...] = ()
    turns: tuple[Turn, ...] = ()
    tools: tuple[Tool, ...] = ()
    choice: Choice | None = None
    parallel_calls: bool | None = None
    stream: bool = False
    max_output: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    reasoning: Reasoning = Reasoning()
    format: Format | None = None
    verbosity: str = ""
    user: str = ""
    cache_key: str = ""
    mark: Mark | None = None
    prefill: bool = False
    lost: tuple[str, ...] = ()
    reply_options: Any = None


def written_arguments(arguments: Raw | Unquoted) -> Quoted | Long:
    """Return a call's arguments for formats that hold them as a string."""
    return arguments.text if isinstance(arguments, Unquoted) else Quoted(arguments)
