"""Read the items of a client's input into turns. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ...bodies.texts import Raw, Str, dump, head, is_blank, joined
from ...errors import BadRequest, Untranslatable
from .. import carrier
from ..arguments import arguments_of, raw_json
from ..base import RESULT_PARTS, Lost, bounded, object_of
from ..conversation import Call, Mark, Media, Part, Result, Seal, Text, Thinking
from ..marks import read_mark
from ..media import as_text, media_of
from ..turns import Turns
from .tool_table import NAMESPACE_TOOLS, ToolTable, qualified

_SERVED: Final = {  # items of tools that OpenAI ran, and the member that is kept of each as text
    "file_search_call": "queries", "code_interpreter_call": "code", "image_generation_call": "revised_prompt",
    "mcp_list_tools": "server_label", "mcp_call": "name", "mcp_approval_request": "name", "computer_call": "action",
    "program": "code", "program_output": "output", "mcp_approval_response": "approve", "computer_call_output": "output",
}  # fmt: skip
_AWAITED: Final = ("computer_call_output", "mcp_approval_response")
_KEPT_BY_OPENAI: Final = {
    "item_reference": "a reference to an item that OpenAI stored; send the whole conversation in input",
    "compaction": "a conversation that OpenAI compacted; start a new one, or keep this model on OpenAI",
    "compaction_trigger": "a compaction, which only OpenAI does",
}
_CALLS: Final = frozenset({
    "function_call", "custom_tool_call", "local_shell_call", "shell_call", "apply_patch_call", "tool_search_call",
})  # fmt: skip


class Items:
    """Takes items in their order and puts them into ``turns``."""

    def __init__(self, table: ToolTable, lost: Lost) -> None:
        self.turns = Turns()
        self._table = table
        self._lost = lost
        self._called: set[str] = set()
        self._custom_searches: set[str] = set()  # calls of a tool search that OpenAI ran

    def take(self, item: Any, place: int, last: bool) -> None:
        """Take the item at a ``place``, counted from 0; ``last`` says that none follows.

        Raises :class:`Untranslatable` for an item that no other format can hold, and :class:`BadRequest` for a value
        that is no item.
        """
        where = f"input[{place}]"
        if not isinstance(item, dict):
            raise BadRequest(f"{where} has to be an object")
        kind = item.get("type")
        if kind is None:
            kind = "message" if "role" in item else "item_reference" if "id" in item else ""
        if not isinstance(kind, str):
            raise BadRequest(f"{where}.type has to be a string")
        if kind == "message":
            self._message(item, where)
        elif kind in _CALLS:
            self._call(kind, item, where)
        elif kind in _OUTPUTS:
            self._output(kind, item, where)
        elif kind == "reasoning":
            self.turns.assistant([_thinking(item)])
        elif kind in _KEPT_BY_OPENAI:
            what = _KEPT_BY_OPENAI[kind]
            raise Untranslatable(f"{where} is {what}: this model is served by another provider", where)
        elif kind == "agent_message":
            self._agent(item, where, last)
        elif kind == "web_search_call":
            self._searched(item)
        elif kind in _SERVED:
            if last and kind in _AWAITED:
                raise Untranslatable(f"{where}: this provider cannot go on with a {kind}", where)
            shown = item.get("output") if item.get("output") is not None else item.get(_SERVED[kind])
            self.turns.assistant([Text(joined("", [f"[{kind}] ", _shown(shown)]))])
        elif kind not in ("additional_tools", "configuration_update"):
            if last:
                raise Untranslatable(f"{where}: this provider has no place for an item of type {kind!r}", where)
            self._lost[f"input[].{kind}"] = None

    def _message(self, item: dict[str, Any], where: str) -> None:
        role, content = item.get("role"), item.get("content")
        if role in ("system", "developer"):
            for part in self._parts(content, f"{where}.content"):
                if isinstance(part, Text):
                    self.turns.system(part)
        elif role == "assistant":
            self.turns.assistant(self._parts(content, f"{where}.content"))
        elif role == "user":
            self.turns.user(self._parts(content, f"{where}.content"))
        else:
            raise BadRequest(f"{where}.role has to be user, assistant, system or developer")

    def _call(self, kind: str, item: dict[str, Any], where: str) -> None:
        id_ = _call_id(item)
        if kind == "tool_search_call" and item.get("execution") != "client":
            self._custom_searches.add(id_)
            self._lost["input[].tool_search_call"] = None
            return
        if not id_:
            raise BadRequest(f"{where}.call_id is missing")
        self._called.add(id_)
        name, arguments = item.get("name"), item.get("arguments")
        if kind in ("function_call", "custom_tool_call"):
            if not isinstance(name, str):
                raise BadRequest(f"{where}.name is missing")
            space = item.get("namespace")
            name = self._table.flat(name, space if isinstance(space, str) else "")
            found = arguments_of(arguments)
            if kind == "custom_tool_call":
                found = raw_json({"input": _text(item.get("input"))})
        else:
            name, member = _BUILT_IN_CALLS[kind]
            found = arguments_of(item.get(member))
        self.turns.assistant([Call(id_, name, found)])

    def _output(self, kind: str, item: dict[str, Any], where: str) -> None:
        id_ = _call_id(item)
        if kind == "tool_search_output":
            if item.get("execution") != "client" or id_ in self._custom_searches:
                return
            names = ToolTable(NAMESPACE_TOOLS)
            names.add(item.get("tools"), {})
            parts: list[Part] = [Text("Tools found: " + ", ".join(qualified(names.declared.values())))]
        else:
            parts = _OUTPUTS[kind](self, item, f"{where}.output")
        if not id_:
            name = item.get("name")
            id_ = self.turns.first_open(name if isinstance(name, str) else "") or ""
        if id_ not in self._called:
            raise BadRequest(f"{where}: No tool call found for function call output with call_id {id_}.")
        self.turns.result(Result(id_, tuple(part for part in parts if isinstance(part, Text | Media))))

    def plain_output(self, item: dict[str, Any], where: str) -> list[Part]:
        """Return an output that is a text or a list of parts."""
        bounded(item.get("output"), where, RESULT_PARTS)
        return self._parts(item.get("output"), where)

    def shell_output(self, item: dict[str, Any], where: str) -> list[Part]:
        """Return what commands printed, as JSON."""
        return [Text(_shown(item.get("output")))]

    def patch_output(self, item: dict[str, Any], where: str) -> list[Part]:
        """Return the outcome of a patch."""
        status, output = item.get("status"), item.get("output")
        return [Text(joined("\n", [str(status), _text(output)] if output else [str(status)]))]

    def _agent(self, item: dict[str, Any], where: str, last: bool) -> None:
        author, to = (item.get(key) for key in ("author", "recipient"))
        texts: list[Part] = []
        for part in bounded(item.get("content"), f"{where}.content"):
            if isinstance(part, dict) and part.get("type") == "encrypted_content":
                if last:
                    raise Untranslatable(f"{where}.content is encrypted, so this provider cannot read its task", where)
                self._lost["input[].encrypted_content"] = None
            elif isinstance(part, dict):
                texts.append(Text(joined("", [f"[message from {author} to {to}]\n", _text(part.get("text"))])))
        self.turns.user(texts)

    def _searched(self, item: dict[str, Any]) -> None:
        action = item.get("action")
        action = object_of(action.load() if isinstance(action, Raw) else action)
        queries = action.get("queries") or [action.get("query")]
        words = [_text(query) for query in queries if isinstance(query, Str)] if isinstance(queries, list) else []
        if words:
            self.turns.assistant([Text(joined("", ["[web search: ", joined(", ", words), "]"]))])

    def _parts(self, content: Any, where: str) -> list[Part]:
        if isinstance(content, Str):
            return [Text(content)]
        if content is None:
            return []
        if not isinstance(content, list):
            raise BadRequest(f"{where} has to be a string or a list")
        found = (self._part(part, f"{where}[{place}]") for place, part in enumerate(bounded(content, where)))
        return [part for part in found if part is not None]

    def _part(self, part: Any, where: str) -> Part | None:
        if not isinstance(part, dict):
            raise BadRequest(f"{where} has to be an object")
        kind = part.get("type")
        mark = read_mark(part.get("prompt_cache_breakpoint"))
        if kind in ("input_text", "output_text", "text", "summary_text", "reasoning_text"):
            return Text(_text(part.get("text")), mark)
        if kind == "refusal":
            return Text(_text(part.get("refusal")))
        if kind in ("input_image", "computer_screenshot"):
            url = part.get("image_url")
            if not isinstance(url, Str):
                raise Untranslatable(f"{where}.file_id is a file at OpenAI; send the image itself in image_url", where)
            detail = part.get("detail")
            detail = detail if isinstance(detail, str) and detail != "auto" else ""
            return media_of(
                "image", url, f"{where}.image_url", detail="high" if detail == "original" else detail, mark=mark
            )
        if kind == "input_file":
            return self._file(part, where, mark)
        if kind == "input_audio":
            audio = part.get("input_audio")
            audio = audio if isinstance(audio, dict) else part
            return Media("audio", f"audio/{audio.get('format', 'wav')}", _text(audio.get("data")))
        raise Untranslatable(f"{where}: this provider has no place for a part of type {kind!r}", where)

    def _file(self, part: dict[str, Any], where: str, mark: Mark | None) -> Part:
        name = part.get("filename")
        name = name if isinstance(name, str) else ""
        for member in ("file_data", "file_url"):
            url = part.get(member)
            if isinstance(url, Str) and not is_blank(url):
                if member == "file_data" and head(url, 5).lower() != "data:":
                    return Media("document", "application/pdf", url, name=name, mark=mark)
                return as_text(media_of("document", url, f"{where}.{member}", name=name, mark=mark), where)
        raise Untranslatable(f"{where}.file_id is a file at OpenAI; send the file itself in file_data", where)


_BUILT_IN_CALLS: Final = {
    "local_shell_call": ("local_shell", "action"),
    "shell_call": ("shell", "action"),
    "apply_patch_call": ("apply_patch", "operation"),
    "tool_search_call": ("tool_search", "arguments"),
}
_OUTPUTS: Final[dict[str, Callable[[Items, dict[str, Any], str], list[Part]]]] = {
    "function_call_output": Items.plain_output,
    "custom_tool_call_output": Items.plain_output,
    "local_shell_call_output": Items.plain_output,
    "shell_call_output": Items.shell_output,
    "apply_patch_call_output": Items.patch_output,
    "tool_search_output": Items.plain_output,
}


def _call_id(item: dict[str, Any]) -> str:
    found = item.get("call_id") or (item.get("id") if str(item.get("type")).startswith("local_shell") else None)
    return found if isinstance(found, str) else ""


def _thinking(item: dict[str, Any]) -> Thinking:
    """Return the reasoning of an item: the seal and the text in its carrier, or else its own text."""
    sealed = item.get("encrypted_content")
    seal = carrier.decode(sealed) if isinstance(sealed, Str) else None
    if seal is not None and isinstance(seal.data, dict) and isinstance(seal.data.get("x"), str):
        return Thinking(seal.data["x"], Seal(seal.kind, seal.data.get("d"), seal.maker, seal.model))
    texts: list[Str] = []
    for key in ("content", "summary"):
        if not texts and isinstance(parts := item.get(key), list):
            texts = [_text(part.get("text")) for part in bounded(parts, key) if isinstance(part, dict)]
    return Thinking(joined("\n\n", texts), seal)


def _text(value: Any) -> Str:
    return value if isinstance(value, Str) else "" if value is None else _shown(value)


def _shown(value: Any) -> Str:
    """Return a text unchanged, any other value as JSON."""
    if isinstance(value, Str):
        return value
    if isinstance(value, Raw):
        return bytes(value.data).decode()
    return b"".join(dump(value)).decode()
