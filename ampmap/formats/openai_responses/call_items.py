"""Write a call as the kind of item that the request declared: function, free text, search, shell. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from ..arguments import free_text
from ..base import Json, object_of
from ..bounds import bounded_loads, refuse_many
from ..events import Start
from .tool_table import Declared, restored

_PREFIXES: Final = {"custom": "ctc", "tool_search": "tsc"}
_BEGINNING: Final = re.compile(r'\s*\{\s*"input"\s*:\s*"')
_LONGEST_BEGINNING: Final = 32
_WHOLE_ESCAPES: Final = re.compile(
    r'(?:[^"\\]++|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[0-9a-fA-F]{4}|\\u(?![dD][89abAB])[0-9a-fA-F]{4}|\\[^u])*+'
)
_LONGEST_ESCAPE: Final = 12  # of two halves of a surrogate pair


class CallItem:
    """One call. If it ``streams``, its arguments go to the client as they come, in events of ``delta_kind``."""

    def __init__(self, declared: Mapping[str, Declared], start: Start) -> None:
        self._tool = restored(declared, start.name)
        self._id = start.id
        self._held = ""
        self._inside = False  # the member with the free text has begun
        self._over = False  # the free text has ended, or is left to the end of the call
        self._sent = 0
        self.prefix = _PREFIXES.get(self._tool.kind, "fc")
        self.streams = self._tool.kind in ("function", "custom")
        self.delta_kind = "custom_tool_call_input" if self._tool.kind == "custom" else "function_call_arguments"

    def begun(self, id_: str) -> Json:
        """Return the item of the event that announces it."""
        if self._tool.kind == "function":
            return self._item(id_, "function_call", "in_progress", arguments="")
        if self._tool.kind == "custom":
            return self._item(id_, "custom_tool_call", "in_progress", input="")
        return {**self.done(id_, "{}")[0], "status": "in_progress"}

    def feed(self, text: str) -> str:
        """Take a piece of the arguments; return the part of them, or of the free text in them, that can leave now."""
        if self._tool.kind == "function":
            return text
        if self._tool.kind != "custom" or self._over:
            return ""
        self._held += text
        if not self._inside:
            found = _BEGINNING.match(self._held)
            if found is None:
                self._over = len(self._held) > _LONGEST_BEGINNING
                return ""
            self._inside, self._held = True, self._held[found.end() :]
        whole = _WHOLE_ESCAPES.match(self._held)
        assert whole is not None
        self._held = self._held[whole.end() :]
        self._over = self._held.startswith('"') or len(self._held) > _LONGEST_ESCAPE
        piece = json.loads(f'"{whole[0]}"', strict=False)
        self._sent += len(piece)
        return str(piece)

    def done(self, id_: str, arguments: str) -> tuple[Json, str, str]:
        """Return the complete item, the name of the member that streams, and the rest of it that has not left yet."""
        kind = self._tool.kind
        if kind == "custom":
            refuse_many(arguments)
            text = free_text(arguments)
            return self._item(id_, "custom_tool_call", "completed", input=text), "input", text[self._sent :]
        if kind == "function":
            item = self._item(id_, "function_call", "completed", arguments=arguments or "{}")
            return item, "arguments", ""
        try:
            found = bounded_loads(arguments or "{}")
        except (ValueError, RecursionError):
            found = None
        if kind == "tool_search":
            value = found if isinstance(found, dict) else {"query": arguments}
            item = {"type": "tool_search_call", "id": id_, "call_id": self._id, "execution": "client"}
            return {**item, "arguments": value, "status": "completed"}, "", ""
        value = object_of(found)
        item = {"type": f"{kind}_call", "id": id_, "call_id": self._id, "status": "completed"}
        if kind == "local_shell":
            return {**item, "action": {"type": "exec", "env": {}, **value}}, "", ""
        return {**item, "operation" if kind == "apply_patch" else "action": value}, "", ""

    def _item(self, id_: str, kind: str, status: str, **members: Any) -> Json:
        space = {"namespace": self._tool.namespace} if self._tool.namespace else {}
        return {"type": kind, "id": id_, "call_id": self._id, "name": self._tool.name, **space, **members,
                "status": status}  # fmt: skip
