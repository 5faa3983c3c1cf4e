"""Write a request for a chat provider, by its profile. Pure.

Only members that the profile allows are sent, because strict servers refuse unknown ones.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable
from typing import Any, Final

from ...bodies.texts import dump, dump_in_steps
from ...errors import BadRequest
from ..base import Json, Lost, Steps, Written
from ..conversation import Conversation, Text, Thinking, Turn
from ..identifiers import Names, cache_key
from ..marks import limit_marks
from ..openai_models import refuses_sampling
from ..profile import Profile, Target
from ..schemas import answer, instruction
from ..tools import tools_and_choice
from ..turns import STEP_PARTS, Joined, folded, no_prefill
from .effort_out import reasoning_keys
from .messages_out import MessageWriter
from .parts_out import marked
from .tools_out import tool_keys

_FOREIGN: Final = re.compile(r"[^A-Za-z0-9_-]")
_NAME_CHARS: Final = 64
_SAMPLING: Final = ("temperature", "top_p", "presence_penalty", "frequency_penalty", "stop")
_CONTINUE: Final = {"role": "user", "content": "Continue."}


def write_request(conversation: Conversation, target: Target) -> Steps[Written]:
    """Write a request of ``/v1/chat/completions``."""
    profile = target.profile
    lost: Lost = {}
    conversation, marked_by_client = yield from limit_marks(conversation, lost)
    names = Names(profile.tool_name_max)
    tools, choice = tools_and_choice(conversation, lost, ("web_search",) if profile.web_search else ())
    tool_members = yield from tool_keys(tools, choice, conversation, profile, names, lost)
    options, line = _options(conversation, profile, lost, marked_by_client)
    forced = choice is not None and choice.mode in ("tool", "required") and "tools" in tool_members
    options |= reasoning_keys(conversation.reasoning, profile, "tools" in tool_members, forced, lost)
    if refuses_sampling(target.model, options.get("reasoning_effort")):
        refused = [key for key in _SAMPLING if options.pop(key, None) is not None]
        lost.update(dict.fromkeys(refused))
    custom = {tool.name for tool in tools if tool.kind == "custom"} if profile.custom_tools else ()
    writer = MessageWriter(target, names, custom, lost)
    pieces: list[bytes | memoryview] = [b'{"model":', *dump(target.model), b',"messages":[']
    begun = False
    for message in _messages(conversation, profile, writer, line, options):
        if message is None:
            yield
            continue
        if begun:
            pieces.append(b",")
        pieces += yield from dump_in_steps(message)
        begun = True
    if not begun:
        raise BadRequest("messages: at least one message is required")
    for at, tool in enumerate(tool_members.pop("tools", ())):
        pieces += [b"," if at else b'],"tools":[', *dump(tool)]
        yield
    pieces += [b"],", b"".join(dump(tool_members | options))[1:]] if tool_members or options else [b"]}"]
    return Written(path="/v1/chat/completions", pieces=pieces, names=names.back, lost=tuple(lost))


def _messages(
    conversation: Conversation, profile: Profile, writer: MessageWriter, line: str, options: Json
) -> Generator[Json | None, None, None]:
    """Yield the messages, and None between steps."""
    system = conversation.system + ((Text(line),) if line else ())
    if system:
        yield writer.system(system)
    turns = yield from _sent(conversation.turns, writer)
    if profile.mid_system == "fold":
        turns = yield from folded(turns)
    for at, turn in enumerate(turns):
        last = at == len(turns) - 1 and turn.role == "assistant" and _is_text(turn)
        if last and conversation.prefill:
            if not profile.prefill:
                raise no_prefill()
        for message in writer.messages(turn):
            if message is not None and last and conversation.prefill and profile.prefill == "prefix":
                message["prefix"] = True
            yield message
        if last and not conversation.prefill:
            yield dict(_CONTINUE)
        elif last and profile.prefill == "continue_final_message":
            options |= {"continue_final_message": True, "add_generation_prompt": False}
        yield None


def _sent(turns: Iterable[Turn], writer: MessageWriter) -> Steps[list[Turn]]:
    """Return the turns of which some part can be sent; neighbours of one role become one."""
    sent = Joined()
    seen = 0
    for turn in turns:
        seen += 1 + len(turn.parts)
        if seen > STEP_PARTS:
            seen = 0
            yield
        if all(isinstance(part, Thinking) for part in turn.parts) and not any(writer.messages(turn)):
            continue
        if sent.role == turn.role:
            sent.grow(turn.parts)
        else:
            sent.begin(turn)
    return sent.turns()


def _is_text(turn: Turn) -> bool:
    kinds = {type(part) for part in turn.parts}
    return Text in kinds and kinds <= {Text, Thinking}


def _options(conversation: Conversation, profile: Profile, lost: Lost, marked_by_client: bool) -> tuple[Json, str]:
    """Return all other members of the request, and a line for the end of the system text, or none."""
    found: Json = {}
    if conversation.max_output is not None:
        limit = profile.max_output
        if limit is not None and limit < conversation.max_output:
            lost["max_output"] = None
            found[profile.max_tokens_key] = limit
        else:
            found[profile.max_tokens_key] = conversation.max_output
    for key in ("temperature", "top_p", "seed", "presence_penalty", "frequency_penalty"):
        if (value := getattr(conversation, key)) is not None:
            found[key] = value
    if conversation.top_k is not None:
        if profile.top_k:
            found["top_k"] = conversation.top_k
        else:
            lost["top_k"] = None
    stops = [stop for stop in conversation.stop if stop.strip()]
    if len(stops) > profile.stop_max:
        lost["stop"] = None
    if stops := stops[: profile.stop_max]:
        found["stop"] = stops
    if conversation.verbosity:
        if profile.verbosity:
            found["verbosity"] = conversation.verbosity
        else:
            lost["verbosity"] = None
    _cache(conversation, profile, found, lost, marked_by_client)
    line = _format(conversation, profile, found, lost)
    if conversation.stream:
        found["stream"] = True
        if profile.stream_usage:
            found["stream_options"] = {"include_usage": True}
    return found, line


def _cache(conversation: Conversation, profile: Profile, found: Json, lost: Lost, marked_by_client: bool) -> None:
    if (key := cache_key(conversation)) and profile.prompt_cache_key:
        found["prompt_cache_key"] = key
    elif key:
        lost["cache_key" if conversation.cache_key else "user"] = None
    if conversation.mark is not None:
        if profile.cache_control and profile.top_level_cache_control:
            marked(found, conversation.mark, profile)
        else:
            lost["cache_control"] = None
    elif not profile.cache_control and marked_by_client:
        lost["cache_control"] = None


def _format(conversation: Conversation, profile: Profile, found: Json, lost: Lost) -> str:
    """Add the form of the answer; return the line that the system text gets for it."""
    form = conversation.format
    if form is None:
        return ""
    if form.schema is None or not profile.json_schema:
        if form.schema is not None:
            lost["response_format"] = None
        # The mode writes objects alone; ``answer`` refuses what is too large to be looked at.
        if form.schema is None or answer(form.schema).schema.load().get("type") == "object":
            found["response_format"] = {"type": "json_object"}
        return instruction(form)  # OpenAI and DeepSeek refuse the mode unless a message says JSON
    schema: dict[str, Any] = {"name": _FOREIGN.sub("_", form.name)[:_NAME_CHARS] or "output"}
    if form.description:
        schema["description"] = form.description
    schema["schema"] = form.schema
    schema["strict"] = form.strict is not False and answer(form.schema).closed
    found["response_format"] = {"type": "json_schema", "json_schema": schema}
    return ""
