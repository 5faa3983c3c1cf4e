"""Write how a model is to think: the member ``thinking``, and the word for effort. Pure."""

from __future__ import annotations

from typing import Final

from ..base import Json, Lost
from ..conversation import Conversation, Reasoning, Result
from ..effort import effort_of, nearest
from ..profile import Target
from .blocks_out import is_ours
from .models import Model

_BUDGETS: Final = {"minimal": 1024, "low": 1024, "medium": 8192, "high": 24576, "xhigh": 32768, "max": 32768}
_USUAL_BUDGET: Final = 8192
_LEAST_BUDGET: Final = 1024


def written_thinking(
    conversation: Conversation, model: Model, target: Target, limit: int, lost: Lost, *, forced: bool
) -> tuple[Json | None, str]:
    """Return the member ``thinking``, None for none, and the word for the effort.

    ``limit`` is the most tokens of the reply. ``forced`` says that the model has to call a tool, which it cannot do
    while it thinks.
    """
    wanted = conversation.reasoning
    off = wanted.mode == "off" or wanted.effort == "none"
    asked = not off and bool(wanted.mode or wanted.effort or wanted.budget is not None)
    if forced and model.thinking:
        if asked:
            lost["reasoning"] = None
        return ({"type": model.off} if model.thinking == "adaptive" and model.off else None), ""
    if not model.thinking:
        effort = nearest(wanted.effort, model.effort) if asked else ""
        if asked and not effort:
            lost["reasoning"] = None
        return None, effort
    if model.thinking == "adaptive":
        return _adaptive(wanted, model, asked=asked, off=off)
    if not asked:
        return None, ""
    budget = max(_budget(wanted), _LEAST_BUDGET)
    budget = min(budget, limit - 1)
    if budget < _LEAST_BUDGET or _lacks_thinking(conversation, target):
        lost["reasoning"] = None
        return None, ""
    return {"type": "enabled", "budget_tokens": budget}, ""


def _adaptive(wanted: Reasoning, model: Model, *, asked: bool, off: bool) -> tuple[Json | None, str]:
    if off:
        return ({"type": model.off}, "") if model.off else (None, nearest("low", model.effort))
    if not asked:
        return None, ""
    display = "omitted" if wanted.show is False else "summarized"
    return {"type": "adaptive", "display": display}, nearest(effort_of(wanted), model.effort)


def _budget(wanted: Reasoning) -> int:
    if wanted.budget is not None:
        return wanted.budget
    return _BUDGETS.get(wanted.effort, _USUAL_BUDGET)


def _lacks_thinking(conversation: Conversation, target: Target) -> bool:
    """Tell whether results come last and the reasoning before their calls, which the API then wants, is missing."""
    turns = [turn for turn in conversation.turns[-3:] if turn.role != "system"]
    if len(turns) < 2 or turns[-1].role != "user" or not isinstance(turns[-1].parts[0], Result):
        return False
    return turns[-2].role == "assistant" and not is_ours(turns[-2].parts[0], target)
