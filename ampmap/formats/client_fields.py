"""Header fields by which agents and vendors' libraries tell their own vendor about themselves. Pure.

``proxy`` leaves them out of a request that goes to a provider in another format.
"""

from __future__ import annotations

import re
from typing import Final

_OWN: Final = re.compile(
    rb"anthropic-|openai-|chatgpt-|x-(stainless|goog|openai|codex|claude|amp|session|grok|app|client-request-id|api-client)"
    rb"|(session|thread|conversation)[_-]id$|originator$|version$",
    re.IGNORECASE,
)


def is_for_own_vendor(name: bytes) -> bool:
    """Tell whether a request's field means nothing to a provider that is asked in another format."""
    return _OWN.match(name) is not None
