"""What the Claude models take, by family. A provider's own list comes over this table. Pure.

Sources: platform.claude.com/docs/en/about-claude/models/overview, …/build-with-claude/thinking, …/effort,
…/structured-outputs, …/mid-conversation-system-messages, and the migration guide of each model.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from ..profile import Target

_WORDS: Final = ("low", "medium", "high", "xhigh", "max")
_UNTIL_4_6: Final = ("low", "medium", "high", "max")


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """What one model takes.

    * ``thinking``: how a request turns thinking on: by a ``budget`` of tokens or as ``adaptive``; empty: not at all.
    * ``off``: the type of ``thinking`` that turns it off; empty if none does.
    * ``effort``: the words for effort.
    * ``sampling``: ``all`` of temperature, top_p and top_k; ``one`` of temperature and top_p; ``none``.
    * ``prefill``: the last turn may be the assistant's. ``mid_system``: later system messages. ``structured``: JSON
      schemas for the answer.
    * ``max_tokens``: the longest reply, None if it is not known.
    """

    thinking: Literal["", "budget", "adaptive"] = ""
    off: Literal["", "disabled", "between_tools"] = "disabled"
    effort: tuple[str, ...] = ()
    sampling: Literal["all", "one", "none"] = "none"
    prefill: bool = False
    mid_system: bool = False
    structured: bool = True
    max_tokens: int | None = None


_5: Final = Model(thinking="adaptive", effort=_WORDS, mid_system=True, max_tokens=128000)
_5_ALWAYS: Final = replace(_5, off="")
_4_7: Final = replace(_5, mid_system=False)
_4_6: Final = replace(_4_7, effort=_UNTIL_4_6, sampling="one")
_4_5: Final = Model(thinking="budget", sampling="one", prefill=True, max_tokens=64000)
_4: Final = replace(_4_5, sampling="all", structured=False)
_3: Final = replace(_4, thinking="", max_tokens=4096)

_KNOWN: Final = {
    "opus-5-5": _5_ALWAYS,
    "sonnet-5-5": replace(_5, off="between_tools"),
    "haiku-5-5": _5,
    "fable-5-1": _5_ALWAYS,
    "fable-5": _5_ALWAYS,
    "mythos-5": _5_ALWAYS,
    "opus-5": _5,
    "sonnet-5": _5,
    "opus-4-8": _5,
    "opus-4-7": _4_7,
    "opus-4-6": _4_6,
    "sonnet-4-6": _4_6,
    "opus-4-5": replace(_4_5, effort=_WORDS[:3]),
    "sonnet-4-5": _4_5,
    "haiku-4-5": _4_5,
    "opus-4-1": replace(_4_5, max_tokens=32000),
    "opus-4": replace(_4, max_tokens=32000),
    "sonnet-4": _4,
    "sonnet-3-7": _4,
    "sonnet-3-5": replace(_3, max_tokens=8192),
    "haiku-3-5": replace(_3, max_tokens=8192),
    "opus-3": _3,
    "sonnet-3": _3,
    "haiku-3": _3,
}
_UNKNOWN: Final = Model()

# claude-opus-4-1-20250805, claude-opus-4.5@20251101, claude-3-5-sonnet-latest, anthropic/claude-4.6-opus:beta
_NAME: Final = re.compile(
    r"claude-(?:(?P<family>[a-z]+)-(?P<version>\d{1,2}(?:[-.]\d{1,2})?)(?!\d)"
    r"|(?P<version_first>\d{1,2}(?:[-.]\d{1,2})?)-(?P<family_behind>[a-z]+))"
)


def model_of(target: Target) -> Model:
    """Return what a target's model takes.

    A Claude model that is not in the table is sent nothing doubtful. For a model of another vendor the provider's
    profile counts. The provider's own list comes over both.
    """
    profile = target.profile
    name = target.model.lower()
    if found := _NAME.search(name):
        family = found["family"] or found["family_behind"]
        version = (found["version"] or found["version_first"]).replace(".", "-").removesuffix("-0")
        model = _KNOWN.get(f"{family}-{version}", _UNKNOWN)
    elif "claude" in name:
        model = _UNKNOWN
    else:
        model = Model(
            thinking="budget" if profile.thinking_switch == "thinking" else "",
            effort=profile.effort,
            sampling="all",
            prefill=profile.prefill == "native",
            mid_system=profile.mid_system == "keep",
            structured=profile.json_schema,
        )
    model = _listed(model, target.listed or {})
    if profile.max_output is not None:
        model = replace(model, max_tokens=min(model.max_tokens or profile.max_output, profile.max_output))
    return model


def _listed(model: Model, entry: Mapping[str, Any]) -> Model:
    """Return a model with the limits and capabilities of an entry of the provider's list; other forms are ignored."""
    limit, found = entry.get("max_tokens"), entry.get("capabilities")
    if isinstance(limit, int) and limit > 0:
        model = replace(model, max_tokens=limit)
    if not isinstance(found, dict):
        return model
    types = _at(found, "thinking", "types")
    if isinstance(types, dict):
        off = next((kind for kind in ("disabled", "between_tools") if _has(types, kind)), "")
        thinking = "adaptive" if _has(types, "adaptive") else "budget" if _has(types, "enabled") else ""
        model = replace(model, thinking=thinking, off=off)  # type: ignore[arg-type]
    if isinstance(words := _at(found, "effort"), dict):
        model = replace(model, effort=tuple(word for word in _WORDS if _has(words, word)))
    if isinstance(structured := _at(found, "structured_outputs", "supported"), bool):
        model = replace(model, structured=structured)
    return model


def _at(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _has(found: Any, key: str) -> bool:
    return _at(found, key, "supported") is True
