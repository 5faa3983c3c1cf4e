"""The marks by which a client asks for a prompt cache: read, written, limited in number. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from ..bodies.steps import Steps
from .base import Json, Lost
from .conversation import Conversation, Mark, Result, Thinking, Turn
from .profile import Profile
from .turns import paced

_TTLS: Final = {"5m": "5m", "30m": "5m", "1h": "1h", "12h": "1h", "24h": "1h"}  # OpenAI's, as Messages' next shorter
_STEP_TURNS: Final = 50
MOST: Final = 4  # https://platform.claude.com/docs/en/build-with-claude/prompt-caching: more are an error


def read_mark(found: Any) -> Mark | None:
    """Return the mark that a member of a request holds, in Messages' form or OpenAI's; None if it holds no object."""
    if not isinstance(found, dict):
        return None
    ttl = found.get("ttl")
    return Mark(_TTLS.get(ttl, "") if isinstance(ttl, str) else "")


def written_mark(mark: Mark | None, profile: Profile) -> Json:
    """Return the members that a mark becomes; none for a provider that does not take it."""
    if mark is None or not profile.cache_control:
        return {}
    return {"cache_control": {"type": "ephemeral", **({"ttl": mark.ttl} if mark.ttl else {})}}


def has_marks(conversation: Conversation) -> Steps[bool]:
    """Tell whether a client asks for a prompt cache."""
    found = conversation.mark is not None
    for part in _marked(conversation):
        if part is None:
            yield
        elif not isinstance(part, Thinking) and part.mark is not None:
            found = True
    return found


def limit_marks(conversation: Conversation, lost: Lost) -> Steps[tuple[Conversation, bool]]:
    """Return a conversation with the last MOST of its marks, and whether it has any. Noted in ``lost`` if some go.

    The order is: tools, system prompt, turns, and last the mark of the whole request.
    """
    count = int(conversation.mark is not None)
    for part in _marked(conversation):
        if part is None:
            yield
        elif not isinstance(part, Thinking) and part.mark is not None:
            count += 1
    excess = count - MOST
    if excess <= 0:
        return conversation, count > 0
    lost["cache_control"] = None

    def kept(part: Any) -> Any:
        nonlocal excess
        if isinstance(part, Result):
            part = replace(part, parts=tuple(map(kept, part.parts)))
        if isinstance(part, Thinking) or part.mark is None or excess <= 0:
            return part
        excess -= 1
        return replace(part, mark=None)

    tools, system = (tuple(map(kept, parts)) for parts in (conversation.tools, conversation.system))
    turns: list[Turn] = []
    for turn in conversation.turns:
        if excess > 0:
            parts = []
            for part in paced(turn.parts):
                if part is None:
                    yield
                else:
                    parts.append(kept(part))
            turn = Turn(turn.role, tuple(parts))
        turns.append(turn)
        if not len(turns) % _STEP_TURNS:
            yield
    return replace(conversation, tools=tools, system=system, turns=tuple(turns)), True


def _marked(conversation: Conversation) -> Iterator[Any]:
    """Yield everything that may have a mark, and None between steps."""
    yield from conversation.tools
    yield from conversation.system
    for at, turn in enumerate(conversation.turns):
        if at % _STEP_TURNS == _STEP_TURNS - 1:
            yield None
        for part in paced(turn.parts):
            if isinstance(part, Result):
                yield from part.parts
            yield part
