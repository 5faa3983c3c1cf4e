"""Write turns as messages, for a chat provider. Pure.

A message depends on its own turn and on the provider alone, so that a turn has the same bytes in every later request.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, Final

from ...bodies.texts import Str, head, is_blank, joined
from ..arguments import free_text
from ..base import Json, Lost
from ..conversation import Call, Media, Result, Text, Thinking, Turn, written_arguments
from ..identifiers import Names, fit_id
from ..profile import Target
from ..turns import paced
from .details import with_text
from .parts_out import content_of, marked, media_part, text_part

_ERROR: Final = "Error: "
_SAYS_ERROR: Final = ("error", "<tool_use_error", "<error")


class MessageWriter:
    """Writes the messages of one request; ``custom`` are the tools that are sent as custom ones."""

    def __init__(self, target: Target, names: Names, custom: Collection[str], lost: Lost) -> None:
        self._profile = target.profile
        self._maker = target.maker
        self._names = names
        self._custom = custom
        self._lost = lost
        self.system_role = "developer" if target.profile.developer_role else "system"

    def messages(self, turn: Turn) -> Iterator[Json | None]:
        """Yield a turn's messages, and None between steps; no message if no part of the turn can be sent."""
        if turn.role == "assistant":
            yield from self._assistant(turn)
        elif turn.role == "system":
            yield self.system(tuple(part for part in turn.parts if isinstance(part, Text)))
        else:
            yield from self._user(turn)

    def system(self, texts: tuple[Text, ...]) -> Json:
        """Return a system message."""
        if self._profile.cache_control:
            return {"role": self.system_role, "content": [text_part(each, self._profile) for each in texts]}
        return {"role": self.system_role, "content": joined("\n\n", [each.text for each in texts])}

    def _user(self, turn: Turn) -> Iterator[Json | None]:
        seen: list[Json] = []  # media of the results: they follow the last tool message, as none may stand between two
        said: list[Json] = []
        for part in paced(turn.parts):
            if isinstance(part, Result):
                yield self._result(part, seen)
            elif isinstance(part, Text):
                said.append(text_part(part, self._profile))
            elif isinstance(part, Media):
                said.append(media_part(part, self._profile))
            elif part is None:
                yield None
        if seen or said:
            yield {"role": "user", "content": content_of(seen + said, self._profile)}

    def _result(self, result: Result, seen: list[Json]) -> Json:
        profile = self._profile
        parts: list[Json] = []
        for part in result.parts:
            if isinstance(part, Text):
                parts.append(text_part(part, profile))
            elif part.kind == "image" and not profile.images:
                # Refusing it would lock the session: the result stays in the history.
                self._lost["messages[].content[image]"] = None
                parts.append({"type": "text", "text": "[image]"})
            elif profile.tool_content_parts:
                parts.append(media_part(part, profile))
            else:
                written = media_part(part, profile)
                if written["type"] == "text":
                    parts.append(written)
                else:
                    seen.append(written)
                    parts.append({"type": "text", "text": f"[{part.kind}]"})
        if result.is_error and not _says_error(parts):
            if parts and parts[0]["type"] == "text":
                parts[0]["text"] = joined("", [_ERROR, parts[0]["text"]])
            else:
                parts.insert(0, {"type": "text", "text": _ERROR.strip()})
        content: Any = parts
        if all(part["type"] == "text" for part in parts) and not profile.cache_control:
            content = joined("\n", [part["text"] for part in parts])
        else:
            content = [part for part in parts if part["type"] != "text" or not is_blank(part["text"])]
            if content:
                marked(content[-1], result.mark, profile)
        return {"role": "tool", "tool_call_id": self._id(result.id), "content": content or ""}

    def _assistant(self, turn: Turn) -> Iterator[Json | None]:
        texts: list[Str] = []
        calls: list[Json] = []
        thoughts: list[Thinking] = []
        signature = ""
        for part in paced(turn.parts):
            if isinstance(part, Text):
                texts.append(part.text)
            elif isinstance(part, Thinking):
                thoughts.append(part)
                signature = self._signature(part) or signature
            elif isinstance(part, Call):
                calls.append(self._call(part))
                if signature:
                    calls[-1]["extra_content"] = {"google": {"thought_signature": signature}}
                    signature = ""
            elif part is None:
                yield None
        reasoning = self._reasoning(thoughts, bool(calls))
        if not texts and not calls and not any(reasoning.values()):
            return
        message: Json = {"role": "assistant", "content": joined("", texts) if texts else None if calls else ""}
        message |= reasoning
        if calls:
            message["tool_calls"] = calls
        yield message

    def _call(self, call: Call) -> Json:
        name, id_ = self._names.sent(call.name), self._id(call.id)
        if call.name in self._custom:
            return {"id": id_, "type": "custom", "custom": {"name": name, "input": free_text(call.arguments)}}
        function = {"name": name, "arguments": written_arguments(call.arguments)}
        return {"id": id_, "type": "function", "function": function}

    def _id(self, id_: str) -> str:
        profile = self._profile
        if profile.tool_id == "nine":  # Mistral
            return fit_id(id_, 9, letters_only=True)
        if 0 < len(id_) <= profile.tool_id_max and id_.isascii() and id_.isprintable():
            return id_
        return fit_id(id_, profile.tool_id_max)

    def _signature(self, thought: Thinking) -> str:
        """Return Google's signature, if this provider made it."""
        seal = thought.seal
        if seal is None or seal.kind != "thought" or seal.maker != self._maker or not isinstance(seal.data, str):
            return ""
        return seal.data

    def _reasoning(self, thoughts: list[Thinking], calls: bool) -> Json:
        field = self._profile.reasoning_field
        texts = [each.text for each in thoughts if not is_blank(each.text)]
        if not field:
            if any(each.text or not self._signature(each) for each in thoughts):
                self._lost["thinking"] = None
            return {}
        text = joined("\n\n", texts)
        if field == "reasoning_details":
            details = [entry for each in thoughts for entry in self._details(each)]
            return {field: details} if details else {"reasoning": text} if texts else {}
        # DeepSeek and Moonshot demand the member where calls are, even if the client has lost the words.
        return {field: text} if texts or (calls and field == "reasoning_content") else {}

    def _details(self, thought: Thinking) -> list[Json]:
        seal = thought.seal
        if seal is None or seal.kind != "details" or seal.maker != self._maker:
            return []
        return with_text(seal.data, thought.text)


def _says_error(parts: list[Json]) -> bool:
    first = parts[0].get("text", "") if parts else ""
    return head(first, 64).lstrip().lower().startswith(_SAYS_ERROR)
