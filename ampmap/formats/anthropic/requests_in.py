"""Read a client's request of the Messages API, or of its counter. Pure."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from ...bodies.json_bounds import refuse_more
from ...bodies.json_tree import Member, members
from ...bodies.texts import Raw, Str, head, is_blank, plain
from ...errors import BadRequest, Untranslatable
from ..base import MOST_ELEMENTS, Asked, Lost, Steps, bounded, object_of
from ..conversation import EFFORTS, Conversation, Format, Reasoning, Text
from ..identifiers import hashed
from .blocks_in import History, mark_of
from .tools_in import read_choice, read_tools

COUNT_PATH: Final = "/v1/messages/count_tokens"

_LISTS: Final = ("system", "messages", "tools")
_RAW: Final = ("input", "input_schema", "schema")
_READ: Final = frozenset(
    {
        *_LISTS, "model", "max_tokens", "stop_sequences", "temperature", "top_p", "top_k", "metadata", "stream",
        "thinking", "output_config", "output_format", "tool_choice", "cache_control",
    }
)  # fmt: skip
# Claude Code's line of this name changes with every request, so that no prompt cache would be hit.
_BILLING: Final = "x-anthropic-billing-header:"
_OPAQUE: Final = re.compile(r"[0-9a-fA-F-]{8,64}")
_USER_CHARS: Final = 4096
_MOST: Final = 1e9  # of any number


def read_request(asked: Asked) -> Steps[Conversation]:
    """Read a request. Raises as :attr:`~ampmap.formats.base.Dialect.read_request` says."""
    request = _Request(counts=asked.path == COUNT_PATH)
    for member in members(asked.body, _LISTS, _RAW):
        if member is None:
            yield
        else:
            yield from request.take(member)
    return (yield from request.conversation())


def opaque_user(user: Str) -> str:
    """Return a user's name if it is a hash or a UUID, or else a hash of it, which says nothing about the user."""
    text = plain(user)
    return text if _OPAQUE.fullmatch(text) else hashed(text, 64)


class _Request:
    """Takes the members of a request in the order of the body."""

    def __init__(self, *, counts: bool) -> None:
        self._counts = counts
        self._lost: Lost = {}
        self._history = History(self._lost)
        self._system: list[Any] = []
        self._tools: list[Any] = []
        self._found: dict[str, Any] = {}

    def take(self, member: Member) -> Steps[None]:
        """Take a member, or one element of it."""
        key, value, place = member
        if key == "messages":
            if place == 0:
                self._history = History(self._lost)
            if place is not None:
                yield from self._history.take(place, value)
            elif value != []:
                raise BadRequest("messages: send a list of messages")
        elif key in ("system", "tools"):
            found = self._system if key == "system" else self._tools
            if not place:
                found.clear()
            if place is not None or (key == "system" and isinstance(value, Str)):
                found.append(value)
                refuse_more(len(found), key, MOST_ELEMENTS)
            elif value not in ([], None):
                raise BadRequest(f"{key}: send a list")
        else:
            self._found[key] = value

    def conversation(self) -> Steps[Conversation]:
        found = {key: value for key, value in self._found.items() if value is not None}
        self._refuse(found)
        self._lost.update({key: None for key in found if key not in _READ})
        turns = yield from self._history.turns(self._system_texts())
        system, said = yield from turns.done()
        if not said:
            raise BadRequest("messages: at least one message is required")
        yield
        tools = yield from read_tools(self._tools, self._history, self._lost)
        choice, parallel = read_choice(found.get("tool_choice"))
        user, session = _user(found.get("metadata"))
        stops = _stops(found.get("stop_sequences"))
        output = object_of(found.get("output_config"))
        return Conversation(
            system=system,
            turns=said,
            tools=tools,
            choice=choice,
            parallel_calls=parallel,
            stream=found.get("stream") is True,
            max_output=None if self._counts else _integer(found, "max_tokens"),
            temperature=_number(found, "temperature"),
            top_p=_number(found, "top_p"),
            top_k=_integer(found, "top_k"),
            stop=stops,
            reasoning=self._reasoning(object_of(found.get("thinking")), output),
            format=self._format(output.get("format") or found.get("output_format")),
            user=user,
            cache_key=session,
            mark=mark_of(found),
            prefill=said[-1].role == "assistant" and all(isinstance(part, Text) for part in said[-1].parts),
            lost=tuple(self._lost),
            reply_options=stops,
        )

    def _refuse(self, found: dict[str, Any]) -> None:
        if not self._counts:
            limit = found.get("max_tokens")
            if limit is None:
                raise BadRequest("max_tokens: field required")
            if limit == 0:
                raise Untranslatable(
                    "max_tokens: 0 only fills the prompt cache, which this provider cannot do; ask for 1 or more",
                    "max_tokens",
                )
        if found.get("compaction"):
            raise Untranslatable("compaction: this provider cannot compact; ask without it", "compaction")
        if object_of(found.get("thread")).get("type") == "continue":
            raise Untranslatable("thread: this provider keeps no threads; send the whole conversation", "thread")
        if found.get("mcp_servers"):
            raise Untranslatable("mcp_servers: this provider calls no MCP servers; ask without them", "mcp_servers")

    def _system_texts(self) -> list[Text]:
        texts = []
        for at, block in enumerate(bounded(self._system, "system")):
            text = block if isinstance(block, Str) else block.get("text") if isinstance(block, dict) else None
            if not isinstance(text, Str):
                raise BadRequest(f"system.{at}: send a block of the type text")
            if not is_blank(text) and not head(text, len(_BILLING)).startswith(_BILLING):
                texts.append(Text(text, mark_of(block)))
        return texts

    def _reasoning(self, thinking: dict[str, Any], output: dict[str, Any]) -> Reasoning:
        effort = self._history.effort or output.get("effort") or ""
        if effort and effort not in EFFORTS:
            effort = ""
            self._lost["output_config.effort"] = None
        for key in output:
            if key not in ("effort", "format"):
                self._lost[f"output_config.{key}"] = None
        budget = thinking.get("budget_tokens")
        mode = {"disabled": "off", "between_tools": "off", "enabled": "on", "adaptive": "adaptive"}
        display = thinking.get("display")
        return Reasoning(
            effort=effort,
            budget=budget if isinstance(budget, int) else None,
            mode=mode.get(str(thinking.get("type")), ""),  # type: ignore[arg-type]
            show=None if display is None else display != "omitted",
        )

    def _format(self, wanted: Any) -> Format | None:
        if not isinstance(wanted, dict) or wanted.get("type") != "json_schema":
            return None
        schema = wanted.get("schema")
        return Format(schema=schema if isinstance(schema, Raw) else None)


def _user(metadata: Any) -> tuple[str, str]:
    """Return opaque names of the user and of the session, both empty without a user."""
    user = metadata.get("user_id") if isinstance(metadata, dict) else None
    if not isinstance(user, Str) or not user or len(user) > _USER_CHARS:
        return "", ""
    session = text = plain(user)
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, dict) and isinstance(found.get("session_id"), str):
        session = found["session_id"]
    return opaque_user(text), hashed(session, 32)


def _stops(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(each, Str) for each in bounded(value, "stop_sequences")):
        raise BadRequest("stop_sequences: send a list of strings")
    return tuple(plain(each) for each in value if not is_blank(each))


def _number(found: dict[str, Any], key: str) -> float | None:
    value = found.get(key)
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    if isinstance(value, float) and abs(value) < _MOST:
        return value
    raise BadRequest(f"{key}: send a number")


def _integer(found: dict[str, Any], key: str) -> int | None:
    value = _number(found, key)
    if value is None or int(value) == value:
        return None if value is None else int(value)
    raise BadRequest(f"{key}: send a whole number")
