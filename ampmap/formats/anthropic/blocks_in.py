"""Read the messages of a client's request: blocks of content become parts of turns. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

from ...bodies.json_bounds import refuse_more
from ...bodies.steps import freed
from ...bodies.texts import Raw, Str, dump, is_blank, joined, plain
from ...errors import BadRequest, Untranslatable
from ..arguments import arguments_of
from ..base import RESULT_PARTS, Lost, Steps, bounded, elements, object_of
from ..carrier import decode, is_carrier
from ..conversation import Call, Mark, Media, Part, Result, Role, Seal, Text, Thinking
from ..marks import read_mark
from ..turns import Turns

# Blocks of tools that Anthropic's server ran, in the history of a conversation that began there.
_SERVER_CALLS: Final = ("server_tool_use", "mcp_tool_use")
_SERVER_RESULTS: Final = ("_tool_result", "mcp_tool_listing")
_SHOWN: Final = ("error_code", "title", "url", "source", "text", "stdout", "stderr", "tool_name", "name")
_WITHIN: Final = ("content", "source", "tool_references", "tools")
_LINES: Final = 1024  # the most of a server tool's result
_TURN_BLOCKS: Final = 100  # between two yields
_WIDE: Final = frozenset({"content", "source", "tools", "tool_changes"})  # members that may be lists


class History:
    """Takes the messages of a request one by one, and gives the turns.

    ``referenced`` are the names of tools that the conversation has loaded. ``changes`` are the tools, by name or
    declaration, that messages add (True) or remove (False). ``effort`` is the last one that a message asks for.
    """

    def __init__(self, lost: Lost) -> None:
        self.referenced: set[str] = set()
        self.changes: list[tuple[Any, bool]] = []
        self.effort = ""
        self._lost = lost
        self._messages: list[tuple[Role, list[Part], bool]] = []
        self._last_user = -1  # the place of the user's last message

    def take(self, place: int, message: Any) -> Steps[None]:
        """Take a message. Raises as :attr:`~ampmap.formats.base.Dialect.read_request` says."""
        role = message.get("role") if isinstance(message, dict) else None
        if role not in ("user", "assistant", "system"):
            raise BadRequest(f"messages.{place}.role: send user, assistant or system")
        content = message.get("content")
        if isinstance(content, Str):
            content = [{"type": "text", "text": content}]
        elif content is None and role == "system":
            content = []
        if not isinstance(content, list):
            raise BadRequest(f"messages.{place}.content: send a string or a list of blocks")
        parts: list[Part] = []
        for at, block in enumerate(bounded(content, f"messages.{place}.content")):
            if at % _TURN_BLOCKS == _TURN_BLOCKS - 1 or (isinstance(block, dict) and not _WIDE.isdisjoint(block)):
                yield
            path = f"messages.{place}.content.{at}"
            if not isinstance(block, dict):
                raise BadRequest(f"{path}: send an object with a type")
            if role == "system":
                parts += self._system_block(block, path)
            elif block.get("type") == "compaction":
                self._compact(block, parts)
            else:
                parts += self._user_block(block, path) if role == "user" else self._assistant_block(block, path)
        config = message.get("output_config")
        if role == "system" and isinstance(config, dict) and isinstance(config.get("effort"), str):
            self.effort = config["effort"]
        if role == "user":
            self._last_user = len(self._messages)
        self._messages.append((role, parts, message.get("clear_at") == "next_user_message"))

    def turns(self, system: list[Text]) -> Steps[Turns]:
        """Return the turns behind a system prompt."""
        turns = Turns()
        for text in system:
            turns.system(text)
        count = 0
        messages, self._messages = deque(self._messages), []  # freed one by one: all at once would take long
        try:
            for at in range(len(messages)):
                role, parts, clears = messages.popleft()
                if role in ("user", "assistant"):
                    yield from turns.in_steps(role, parts)
                elif not (clears and at < self._last_user):
                    for part in parts:
                        turns.system(part)  # type: ignore[arg-type]
                count += len(parts)
                if count >= _TURN_BLOCKS:
                    count = 0
                    yield
        except BadRequest:
            yield from freed([messages.popleft() for _ in range(len(messages))])
            raise
        return turns

    def _compact(self, block: dict[str, Any], parts: list[Part]) -> None:
        """Replace all messages before a compaction by its summary."""
        for change in elements(block.get("tool_changes")):
            self._change(change)
        text = _text_of(block.get("content"))
        if not is_blank(text):
            parts.clear()
            self._messages[:] = [("user", [Text(text, mark_of(block))], False)]
            self._last_user = 0

    def _system_block(self, block: dict[str, Any], path: str) -> list[Part]:
        kind = block.get("type")
        if kind == "text":
            return [_text(block, path)]
        if kind in ("tool_addition", "tool_removal"):
            self._change(block)
            return []
        raise _unknown(block, path)

    def _change(self, block: Any) -> None:
        tool = block.get("tool") if isinstance(block, dict) else None
        if isinstance(tool, dict):
            if tool.get("type") == "tool_definition":
                self.changes.append((tool.get("definition"), True))
            elif isinstance(name := tool.get("name"), str):
                self.changes.append((name, block.get("type") == "tool_addition"))

    def _user_block(self, block: dict[str, Any], path: str) -> list[Part]:
        kind = block.get("type")
        if kind == "tool_result":
            return [self._result(block, path)]
        if kind in ("thinking", "redacted_thinking"):
            return []
        found = self._content(block, path)
        if found is None and (found := self._server_history(block, path)) is None:
            raise _unknown(block, path)
        return list(found)

    def _assistant_block(self, block: dict[str, Any], path: str) -> list[Part]:
        kind = block.get("type")
        if kind == "text":
            if block.get("citations"):
                self._lost["messages[].content[].citations"] = None
            return [_text(block, path)]
        if kind == "tool_use":
            id_, name = block.get("id"), block.get("name")
            if not isinstance(id_, str) or not isinstance(name, str):
                raise BadRequest(f"{path}: a tool_use has an id and a name")
            return [Call(id_, name, arguments_of(block.get("input")), mark_of(block))]
        if kind in ("thinking", "redacted_thinking"):
            thinking = _thinking(block)
            return [thinking] if thinking else []
        if (found := self._server_history(block, path)) is not None:
            return list(found)
        self._lost[f"messages[].content[{kind}]"] = None  # a refusal would end the session: its history stays
        return []

    def _result(self, block: dict[str, Any], path: str) -> Result:
        id_, content = block.get("tool_use_id"), block.get("content")
        if not isinstance(id_, str):
            raise BadRequest(f"{path}.tool_use_id: field required")
        parts: list[Text | Media] = []
        if isinstance(content, Str):
            parts.append(Text(content))
        elif isinstance(content, list):
            for at, inner in enumerate(bounded(content, f"{path}.content", RESULT_PARTS)):
                if not isinstance(inner, dict):
                    raise BadRequest(f"{path}.content.{at}: send an object with a type")
                parts += self._result_content(inner, f"{path}.content.{at}")
        kept = tuple(part for part in parts if not (isinstance(part, Text) and not part.text))
        return Result(id_, kept, block.get("is_error") is True, "", mark_of(block))

    def _result_content(self, block: dict[str, Any], path: str) -> list[Text | Media]:
        if block.get("type") == "tool_reference" and isinstance(name := block.get("tool_name"), str):
            self.referenced.add(name)
            return [Text(f"Tool available: {name}", mark_of(block))]
        found = self._content(block, path)
        return [Text(b"".join(dump(block)).decode("utf-8", "surrogatepass"))] if found is None else found

    def _content(self, block: dict[str, Any], path: str) -> list[Text | Media] | None:
        """Return the parts of a block that users and tools can send; None for a block of another type."""
        kind = block.get("type")
        if kind == "text":
            return [_text(block, path)]
        if kind == "image":
            for key in ("transformations", "detail"):
                if block.get(key):
                    self._lost[f"messages[].content[].{key}"] = None
            return [_media("image", block, path)]
        if kind == "document":
            return self._document(block, path)
        if kind == "search_result":
            lines = [block.get("title"), block.get("source"), _text_of(block.get("content"))]
            return [Text(joined("\n", [each for each in lines if isinstance(each, Str) and each]), mark_of(block))]
        return None

    def _document(self, block: dict[str, Any], path: str) -> list[Text | Media]:
        citations = block.get("citations")
        if isinstance(citations, dict) and citations.get("enabled"):
            self._lost["messages[].content[].citations"] = None
        source = object_of(block.get("source"))
        lines = [each for each in (block.get("title"), block.get("context")) if isinstance(each, Str) and each]
        if source.get("type") == "text" and isinstance(source.get("data"), Str):
            return [Text(joined("\n", [*lines, source["data"]]), mark_of(block))]
        if source.get("type") == "content":
            content = source.get("content")
            parts: list[Text | Media] = [Text(joined("\n", lines))] if lines else []
            if isinstance(content, Str):
                return [Text(joined("\n", [*lines, content]), mark_of(block))]
            for at, inner in enumerate(bounded(content, f"{path}.source.content", RESULT_PARTS)):
                found = self._content(inner, f"{path}.source.content.{at}") if isinstance(inner, dict) else None
                if found is None:
                    raise _unknown(inner, f"{path}.source.content.{at}")
                parts += found
            return parts
        if block.get("context"):
            self._lost["messages[].content[].context"] = None
        return [_media("document", block, path)]

    def _server_history(self, block: dict[str, Any], path: str) -> list[Text | Media] | None:
        """Return a server tool's call or result as text, without the encrypted members; None for other blocks."""
        kind = block.get("type")
        if kind in _SERVER_CALLS:
            given = block.get("input")
            shown = bytes(given.data).decode() if isinstance(given, Raw) else "{}"
            found: list[Str] = [f"[{block.get('name')}: {shown}]"]
        elif isinstance(kind, str) and kind.endswith(_SERVER_RESULTS):
            found = list(islice(_readable(block.get("content", block.get("tools"))), _LINES + 1))
            refuse_more(len(found), path, _LINES)
        else:
            return None
        self._lost[f"messages[].content[{kind}]"] = None
        text = joined("\n", filter(None, found))
        return [] if is_blank(text) else [Text(joined("", ["\n", text, "\n"]))]


def mark_of(block: Any) -> Mark | None:
    """Return the cache mark of a block."""
    return read_mark(block.get("cache_control")) if isinstance(block, dict) else None


def _text(block: dict[str, Any], path: str) -> Text:
    text = block.get("text")
    if not isinstance(text, Str):
        raise BadRequest(f"{path}.text: send a string")
    return Text(text, mark_of(block))


def _thinking(block: dict[str, Any]) -> Thinking | None:
    """Return reasoning with its seal; None if it has neither a text nor a seal."""
    redacted = block.get("type") == "redacted_thinking"
    text, sealed = ("", block.get("data")) if redacted else (block.get("thinking"), block.get("signature"))
    text = text if isinstance(text, Str) else ""
    seal = None
    if isinstance(sealed, Str) and sealed:
        if is_carrier(sealed):
            seal = decode(sealed)
            seal = seal if seal and seal.kind else None
        else:
            seal = Seal("redacted" if redacted else "signature", plain(sealed))
    return Thinking(text, seal) if seal or not is_blank(text) else None


def _media(kind: Any, block: dict[str, Any], path: str) -> Media:
    source = object_of(block.get("source"))
    title = block.get("title")
    name = plain(title) if isinstance(title, Str) else ""
    if source.get("type") == "base64" and isinstance(source.get("data"), Str):
        return Media(kind, str(source.get("media_type") or ""), source["data"], name=name, mark=mark_of(block))
    if source.get("type") == "url" and isinstance(source.get("url"), Str):
        return Media(kind, url=source["url"], name=name, mark=mark_of(block))
    if source.get("type") == "file":
        raise Untranslatable(f"{path}.source: the file is kept by Anthropic alone; send its data in base64", path)
    raise BadRequest(f"{path}.source: send a source of the type base64 or url")


def _text_of(value: Any) -> Str:
    """Return the text of a string, or of a list of text blocks."""
    if isinstance(value, Str):
        return value
    blocks = elements(value)
    found = [block["text"] for block in blocks if isinstance(block, dict) and isinstance(block.get("text"), Str)]
    return joined("\n", found)


def _readable(value: Any) -> Iterator[Str]:
    """Yield the readable lines of a server tool's result; an object without any gives an empty one."""
    if isinstance(value, Str):
        yield value
    elif isinstance(value, list):
        for each in value:
            yield from _readable(each)
    elif isinstance(value, dict):
        yield joined(" ", [value[key] for key in _SHOWN if isinstance(value.get(key), Str) and value[key]])
        for key in _WITHIN:
            if isinstance(value.get(key), dict | list):
                yield from _readable(value[key])


def _unknown(block: Any, path: str) -> Untranslatable:
    kind = block.get("type") if isinstance(block, dict) else None
    return Untranslatable(f"{path}: this provider takes no content of the type {kind!r}; send it as text", path)
