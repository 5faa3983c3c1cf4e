"""What Gemini's models take, by their names. Pure. Source: https://ai.google.dev/gemini-api/docs/thinking."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from ..conversation import EFFORTS, Reasoning
from ..effort import effort_of

_VERSION: Final = re.compile(r"(?:^|/)gemini-(\d+)(?:\.(\d+))?-?(pro|flash-lite|flash)?")
_BUDGETS: Final = {"minimal": 512, "low": 1024, "medium": 8192, "high": 24576, "xhigh": 24576, "max": 24576}
_MOST: Final = {"pro": 32768}
_MOST_FLASH: Final = 24576
NO_SIGNATURE: Final = "skip_thought_signature_validator"
"""The word that is taken in the place of a signature. Source: https://ai.google.dev/gemini-api/docs/thought-signatures"""

SMALL_OUTPUT: Final = 1024
"""Below this limit of output nothing would be left for the answer, because thoughts count as output."""


@dataclass(frozen=True, slots=True)
class Model:
    """A model: generation ``major.minor``, and ``size``, which is ``pro``, ``flash`` or ``flash-lite``."""

    major: int
    minor: int
    size: str

    @property
    def wants_signatures(self) -> bool:
        """True for models that want thought signatures back; they also take ids of calls and media in responses."""
        return self.major >= 3

    def thinking(self, asked: Reasoning, *, small: bool) -> dict[str, Any]:
        """Return the ``thinkingConfig``, without ``includeThoughts``; ``small``: the limit is below SMALL_OUTPUT."""
        effort = "none" if small else effort_of(asked)
        if effort != "none" and asked.budget and not asked.effort and self.major < 3:
            return {"thinkingBudget": min(max(asked.budget, 512), _MOST.get(self.size, _MOST_FLASH))}
        if not effort:
            return {}
        return {"thinkingLevel": self._level(effort)} if self.major >= 3 else {"thinkingBudget": self._budget(effort)}

    def _level(self, effort: str) -> str:
        rank = EFFORTS.index(effort)
        if self.size == "pro":
            medium = "MEDIUM" if (self.major, self.minor) >= (3, 1) else "HIGH"  # 3.0 had no MEDIUM
            return "LOW" if rank <= 2 else medium if rank == 3 else "HIGH"
        return ("MINIMAL", "MINIMAL", "LOW", "MEDIUM")[rank] if rank <= 3 else "HIGH"

    def _budget(self, effort: str) -> int:
        if effort == "none":
            return 128 if self.size == "pro" else 0  # pro cannot turn thinking off
        most = _MOST.get(self.size, _MOST_FLASH)
        return most if effort in ("xhigh", "max") else _BUDGETS[effort]


def model_of(name: str) -> Model:
    """Return a model by its name; a name without a version is taken for one of the newest."""
    found = _VERSION.search(name.lower())
    if found is None:
        return Model(3, 1, "pro" if "pro" in name else "flash")
    return Model(int(found[1]), int(found[2] or 0), found[3] or "flash")
