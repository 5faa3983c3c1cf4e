"""Which options OpenAI's models refuse, by their names, in both of its formats. Pure.

Source: https://platform.openai.com/docs/guides/latest-model
"""

from __future__ import annotations

import re
from typing import Final

_REASONS: Final = re.compile(r"(?:^|/)(?:o[1-9](?![^-:])|gpt-[5-9](?!.*chat))")


def refuses_sampling(model: str, effort: str | None) -> bool:
    """Tell whether a model with this effort answers 400 to temperature, top-p, penalties and stop sequences."""
    return effort != "none" and _REASONS.search(model) is not None
