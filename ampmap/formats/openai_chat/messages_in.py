"""Read a chat client's messages into turns. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from ...bodies.texts import Raw, Str, head
from ...errors import BadRequest
from ..arguments import arguments_of, raw_json
from ..base import RESULT_PARTS, Json, Lost, Steps, bounded
from ..conversation import Call, Mark, Media, Part, Result, Text, Thinking
from ..identifiers import hashed
from ..turns import Turns
from .parts_in import mark_of, parts_of, text_of
from .reasoning_in import thought_of_call, thoughts_of

_SYSTEM: Final = ("system", "developer")
_STEP_CALLS: Final = 64
_STEP_PARTS: Final = 256
_LOST: Final = ("name", "audio")


class Messages:
    """Takes messages in their order and puts them into ``turns``."""

    def __init__(self, lost: Lost) -> None:
        self.turns = Turns()
        self._lost = lost

    def take(self, message: Any, place: int) -> Steps[None]:
        """Add a message. Raises :class:`BadRequest` for one that cannot be read."""
        path = f"messages[{place}]"
        if not isinstance(message, dict):
            raise BadRequest(f"{path}: must be an object with a role and a content")
        role, content = message.get("role"), message.get("content")
        mark = mark_of(message)
        for key in _LOST:
            if message.get(key) and not (key == "name" and role in ("function", "tool")):
                self._lost[f"messages[].{key}"] = None
        if role in _SYSTEM:
            for part in _marked((yield from _listed(parts_of(content, f"{path}.content", self._lost))), mark):
                if isinstance(part, Text):
                    self.turns.system(part)
                else:
                    self._lost["messages[].content[image_url]"] = None
        elif role == "user":
            self.turns.user(_marked((yield from _listed(parts_of(content, f"{path}.content"))), mark))
        elif role == "assistant":
            yield from self._assistant(message, path, mark)
        elif role in ("tool", "function"):
            if isinstance(content, list):
                bounded(content, f"{path}.content", RESULT_PARTS)
            parts = [part for part in parts_of(content, f"{path}.content") if not isinstance(part, Text) or part.text]
            self.turns.result(Result(self._called(message, path), tuple(parts), mark=mark))
        else:
            raise BadRequest(f"{path}.role: must be system, developer, user, assistant or tool, not {str(role)[:40]!r}")

    def _called(self, message: Json, path: str) -> str:
        """Return the id of the call that a tool's message answers; the older form has only a name."""
        id_ = message.get("tool_call_id")
        if isinstance(id_, str) and id_:
            return id_
        name = message.get("name")
        found = self.turns.first_open(name if isinstance(name, str) else "")
        if found is None:
            raise BadRequest(f"{path}.tool_call_id: must be the id of a call in the message before")
        return found

    def _assistant(self, message: Json, path: str, mark: Mark | None) -> Steps[None]:
        thoughts, of_calls = thoughts_of(message, path)
        parts: list[Part] = [*thoughts, *(yield from _said(message, path, self._lost))]
        calls = message.get("tool_calls") or []
        if not isinstance(calls, list):
            raise BadRequest(f"{path}.tool_calls: must be a list")
        for at, each in enumerate(bounded(calls, f"{path}.tool_calls")):
            if at % _STEP_CALLS == _STEP_CALLS - 1:
                yield
            call = _call(each, f"{path}.tool_calls[{at}]")
            thought = thought_of_call(each)
            parts += [thought] if thought else of_calls.get(call.id, ())
            parts.append(call)
        if isinstance(found := message.get("function_call"), dict):
            parts.append(_function_call(found, f"{path}.function_call"))
        yield from self.turns.in_steps("assistant", _marked(parts, mark))


def _listed(parts: Iterator[Text | Media]) -> Steps[list[Text | Media]]:
    found: list[Text | Media] = []
    for part in parts:
        found.append(part)
        if not len(found) % _STEP_PARTS:
            yield
    return found


def _said(message: Json, path: str, lost: Lost) -> Steps[list[Part]]:
    content = message.get("content")
    parts: list[Part] = []
    if isinstance(content, list):
        # Mistral gives reasoning as a part
        parts = [Thinking(text_of(each.get("thinking"))) for each in content if _is_thinking(each)]
        content = [each for each in content if not _is_thinking(each)]
    for part in (yield from _listed(parts_of(content, f"{path}.content", lost))):
        if isinstance(part, Text):
            parts.append(part)
        else:
            lost[f"messages[].content[{part.kind}]"] = None
    if isinstance(refusal := message.get("refusal"), Str):
        parts.append(Text(refusal))
    return [part for part in parts if not isinstance(part, Thinking) or part.text]


def _is_thinking(part: Any) -> bool:
    return isinstance(part, dict) and part.get("type") == "thinking"


def _call(item: Any, path: str) -> Call:
    if not isinstance(item, dict):
        raise BadRequest(f"{path}: must be an object with an id and a function")
    custom = item.get("type") == "custom"
    function = item.get("custom" if custom else "function")
    if not isinstance(function, dict) or not isinstance(name := function.get("name"), str) or not name:
        raise BadRequest(f"{path}: its function must have a name")
    if custom:
        text = function.get("input")
        arguments: Any = raw_json({"input": text if isinstance(text, Str) else ""})
    else:
        arguments = function.get("arguments")
    id_ = item.get("id")
    if not isinstance(id_, str) or not id_:
        id_ = _derived_id(path, name, arguments)
    return Call(id_, name, arguments_of(arguments), mark_of(item))


def _function_call(item: Json, path: str) -> Call:
    name = item.get("name")
    if not isinstance(name, str) or not name:
        raise BadRequest(f"{path}.name: must be the name of a function")
    arguments = item.get("arguments")
    return Call(_derived_id(path, name, arguments), name, arguments_of(arguments))


def _derived_id(path: str, name: str, arguments: Any) -> str:
    """Return an id for a call without one, the same in every request that has the call at this place."""
    text: Str = bytes(arguments.data[:4096]).decode("utf-8", "replace") if isinstance(arguments, Raw) else ""
    if isinstance(arguments, Str):
        text = head(arguments, 4096)
    seed = f"{path}\0{name}\0{text}"
    return f"fc_{hashed(seed, 16)}"


def _marked(parts: list[Any], mark: Mark | None) -> list[Any]:
    """Return parts, of which the last one gets the message's own mark, if it can have one."""
    if mark is not None and parts and isinstance(parts[-1], Text | Media | Call):
        parts[-1] = replace(parts[-1], mark=mark)
    return parts
