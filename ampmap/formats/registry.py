"""The wire formats by their names in the configuration. A further format is its module and one line here. Pure."""

from __future__ import annotations

from typing import Final

from . import anthropic, gemini, openai_chat, openai_responses
from .base import WireFormat

FORMATS: Final[dict[str, WireFormat]] = {
    "anthropic": anthropic.FORMAT,
    "openai-chat": openai_chat.FORMAT,
    "openai-responses": openai_responses.FORMAT,
    "gemini": gemini.FORMAT,
}

DEFAULT: Final = "openai-chat"
"""The format for clients that speak none in particular."""

KEY_FIELDS: Final = tuple(each.key_field for each in FORMATS.values() if each.key_field)
"""The header fields in which formats carry a key, beside ``Authorization``."""

AUTHS: Final = ("bearer", *KEY_FIELDS, "none", "client")
"""How a provider's credential can be presented, as ``auth`` in the configuration names it."""
