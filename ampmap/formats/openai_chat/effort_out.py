"""Write how much a model is to think, for a chat provider: words for effort, switches, budgets. Pure."""

from __future__ import annotations

from typing import Any

from ..base import Json, Lost
from ..conversation import Reasoning
from ..effort import effort_of, nearest
from ..profile import Profile


def reasoning_keys(reasoning: Reasoning, profile: Profile, tools: bool, forced: bool, lost: Lost) -> Json:
    """Return the members of a request. A wish for which the provider has no member is noted in ``lost``.

    ``tools`` says that the request has tools, ``forced`` that the model must call one.
    """
    if forced and not profile.forced_with_thinking:
        # The client wants the tool's form; DeepSeek and Qwen refuse the two together.
        if reasoning != Reasoning():
            lost["reasoning"] = None
        return _switch(profile, False)
    if reasoning.mode == "off" or reasoning.effort == "none":
        found = _effort(profile, "none", tools) if "none" in profile.effort else {}
        found = found or _switch(profile, False)
        if not found:
            lost["reasoning"] = None
        return found
    if not (reasoning.effort or reasoning.budget or reasoning.mode == "on"):
        return {}
    if profile.thinking_switch == "reasoning":  # OpenRouter has all of it in one member
        effort = nearest(reasoning.effort, profile.effort)
        wanted: Json = {"effort": effort} if effort else {"enabled": True}
        return {"reasoning": {"max_tokens": reasoning.budget} if reasoning.budget else wanted}
    found = _switch(profile, True)
    if effort := nearest(effort_of(reasoning), profile.effort):
        said = _effort(profile, effort, tools)
        if not said:
            lost["reasoning.effort"] = None
        found |= said
    elif not found:
        lost["reasoning"] = None
    return found


def _effort(profile: Profile, word: str, tools: bool) -> Json:
    return {} if tools and not profile.effort_with_tools else {"reasoning_effort": word}


def _switch(profile: Profile, on: bool) -> Json:
    switches: dict[str, Any] = {
        "thinking": {"type": "enabled" if on else "disabled"},
        "enable_thinking": on,
        "chat_template_kwargs": {"enable_thinking": on},
        "reasoning": {"enabled": on},
    }
    return {key: switches[key]} if (key := profile.thinking_switch) else {}
