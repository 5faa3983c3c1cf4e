"""Tokens added up by model, for ``/_ampmap/status``, ``/_ampmap/metrics`` and ``live.html``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from .record import Record

MODELS: Final = 200
"""How many models have counts of their own; all further ones are counted as OTHER."""
OTHER: Final = "other"
_NAME_CHARS: Final = 256  # a longer name, which a client may have made up, is counted as OTHER


@dataclass(slots=True)
class Tokens:
    """The tokens of one model; ``input`` includes ``cached``, ``output`` includes ``reasoning``.

    ``requests`` counts the requests whose reply stated tokens.
    """

    requests: int = 0
    input: int = 0
    output: int = 0
    cached: int = 0
    reasoning: int = 0


class TokenCounts:
    """Tokens since the start, by the model's name as the provider knows it, or as the client wrote it."""

    def __init__(self) -> None:
        self.by_model: dict[str, Tokens] = {}

    def add(self, record: Record) -> None:
        """Add a request's tokens, if its reply stated any."""
        stated = (record.input_tokens, record.output_tokens, record.cached_tokens, record.reasoning_tokens)
        if stated == (None,) * 4:
            return
        name = record.resolved_model or record.requested_model
        if name not in self.by_model and (len(self.by_model) >= MODELS or len(name) > _NAME_CHARS):
            name = OTHER
        tokens = self.by_model.setdefault(name, Tokens())
        tokens.requests += 1
        tokens.input += stated[0] or 0
        tokens.output += stated[1] or 0
        tokens.cached += stated[2] or 0
        tokens.reasoning += stated[3] or 0
