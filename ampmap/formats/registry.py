"""The wire formats by their names in the configuration. A further format is its module and one line here. Pure."""

from __future__ import annotations

from typing import Final

from ..bodies.json_scan import Paths
from . import anthropic, gemini, openai_chat, openai_responses
from .base import WireFormat

FORMATS: Final[dict[str, WireFormat]] = {
    "anthropic": anthropic.FORMAT,
    "openai-chat": openai_chat.FORMAT,
    "openai-responses": openai_responses.FORMAT,
    "gemini": gemini.FORMAT,
}

DEFAULT: Final = "openai-chat"
"""The format for clients that show none in particular."""

MEMBERS: Final = tuple(FORMATS[name].members for name in dict.fromkeys(("anthropic", "openai-responses", *FORMATS)))
"""Where request bodies have the facts that rules look at; of several system prompts the first format's counts."""

REPLY_NAMES: Final = Paths(
    prefix + path for each in FORMATS.values() for path in each.reply_names for prefix in ("", "[].")
)
"""Where the model's name stands in a reply, or in an array of replies: of all formats, as gateways answer in others."""

ENDPOINTS: Final = frozenset(
    "/" + path.split("/", 2)[2]
    for each in FORMATS.values() for path in (*each.paths.values(), each.path_template, each.source.path) if path
)  # fmt: skip
"""The paths of requests and of lists, without their versions; clients send a name for each ``{...}``."""

KEY_FIELDS: Final = tuple(each.key_field for each in FORMATS.values() if each.key_field)
"""The header fields in which formats carry a key, beside ``Authorization``."""

AUTHS: Final = ("bearer", *KEY_FIELDS, "none", "client")
"""How a provider's credential can be presented, as ``auth`` in the configuration names it."""
