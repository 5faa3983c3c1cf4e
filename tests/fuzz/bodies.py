"""A request's body: the model's name found and replaced, facts and tools read, repairs cut out.

The data is a body. What is valid JSON is read as the json module reads it; each edit changes what it is to change, and
all other bytes stay. What is not valid JSON may have a model's name for who splices it, but no facts, tools or repairs
unless it is large.
However the work is sliced, the outcome is the same.
"""

from __future__ import annotations

import codecs
import json
import re
from itertools import pairwise
from typing import Any

from ampmap.bodies.edits import cut, edited
from ampmap.bodies.find_model import (
    NAME_BYTES,
    ModelSpan,
    find_model,
)
from ampmap.bodies.json_scan import quoted
from ampmap.bodies.steps import finished
from ampmap.errors import BadRequest
from ampmap.formats.anthropic.listed_tools import scan_advertised
from ampmap.formats.anthropic.repairs import scan_repairs
from ampmap.routing.conditions import Facts, facts_of, scan_facts

SLICES = (1, 7, 100, 64 * 1024)  # the first for small bodies alone
WINDOW_BYTES = 40  # a key or a text that is larger is not looked at closely
OTHER_NAME = 'other "name"\\é\ud800'

READ_BYTES = 8 * 1024  # so much is read at once of any body; what is larger may be skipped unread

UNREADABLE = Facts(readable=False)

_NONE = object()
_TEXT = re.compile(rb'"(?:[^"\\]|\\.)*+"')


class Pairs(list[tuple[str, Any]]):
    """An object with all its members, duplicates too."""


def check(data: bytes) -> None:
    """Compare every reader of bodies with the json module."""
    root = strict(data)
    span = _model(data, root)
    repairs = finished(scan_repairs(data))
    tools = finished(scan_advertised(data))
    facts = facts_of(data)
    if isinstance(root, Pairs) and max(map(len, _TEXT.findall(data)), default=0) < WINDOW_BYTES:
        assert repairs == finished(scan_repairs(data, window_bytes=WINDOW_BYTES))
        assert tools == finished(scan_advertised(data, window_bytes=WINDOW_BYTES))
        assert facts == finished(scan_facts(data, window_bytes=WINDOW_BYTES))
    if not isinstance(root, Pairs):
        assert (repairs, tools, facts) == ([], {}, UNREADABLE) or len(data) > READ_BYTES
        return
    plain = undoubled(root)
    assert facts == _facts(plain)
    if b'"tools"' in data or b'"tool_choice"' in data:
        assert tools == _tools(plain)
    else:
        assert tools == {}
    edits = [(start, end, b"") for start, end in repairs]
    assert all(0 <= start < end <= len(data) for start, end in repairs)
    assert all(one[1] <= two[0] for one, two in pairwise(repairs))
    assert undoubled(strict(b"".join(cut(data, edits)))) == (_repaired(plain) if _is_hinted(data) else plain)
    if span is not None and not any(start < span.end and span.start < end for start, end in repairs):
        both = b"".join(cut(data, [*edits, (span.start, span.end, quoted("n"))]))
        assert _with_model(_repaired(plain) if _is_hinted(data) else plain, "n") == undoubled(strict(both))


def _model(data: bytes, root: object) -> ModelSpan | None:
    """Find the model in every slicing, hold it to the oracle, and put another name in its place."""
    outcomes: list[ModelSpan | str | None] = []
    for slice_bytes in SLICES[len(data) > 500 :]:
        try:
            outcomes.append(find_model(bytearray(data) if slice_bytes == 1 else data, slice_bytes=slice_bytes))
        except BadRequest as exc:
            assert str(exc)
            outcomes.append("refused")
    span = outcomes[-1]
    if root is not _NONE:
        assert all(outcome == span for outcome in outcomes), outcomes
        expected = _expected(root)
        assert expected == (span.name if isinstance(span, ModelSpan) else span)
    if not isinstance(span, ModelSpan):
        return None
    before, after = data[: span.start], data[span.end :]
    result = b"".join(edited(data, [], span, OTHER_NAME))
    assert result == before + quoted(OTHER_NAME) + after
    assert span.name == json.loads(data[span.start : span.end]) and span.name.strip()
    if isinstance(root, Pairs):
        changed = strict(result)
        assert isinstance(changed, Pairs)
        assert changed == Pairs((key, OTHER_NAME if key == "model" else value) for key, value in root)
    return span


def strict(body: bytes) -> object:
    """Read a body as RFC 8259 has it, with every member of each object; _NONE for what is not JSON.

    Numbers stay text, so that none is too large; a body nested too deeply for the json module is taken for no JSON.
    """

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    try:
        return json.loads(
            body.removeprefix(codecs.BOM_UTF8).decode(),
            object_pairs_hook=Pairs,
            parse_constant=refuse,
            parse_int=_Number,
            parse_float=_Number,
        )
    except (ValueError, RecursionError):
        return _NONE


class _Number(str):
    """A number as it is written; no text is equal to it."""

    __slots__ = ()
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Number) and str(self) == str(other)


def undoubled(root: object) -> Any:
    """Return the tree with plain dictionaries, in which the last of equal keys counts.

    Not by recursion: from Python 3.12 on, json reads what is nested more deeply than Python's own functions may call.
    """
    top: list[Any] = [root]
    places: list[tuple[Any, Any]] = [(top, 0)]
    while places:
        holder, key = places.pop()
        value = holder[key]
        if isinstance(value, Pairs):
            value = holder[key] = dict(value)
            places += [(value, each) for each in value]
        elif isinstance(value, list):
            value = holder[key] = list(value)
            places += [(value, each) for each in range(len(value))]
    return top[0]


def _is_text(value: object) -> bool:
    return isinstance(value, str) and not isinstance(value, _Number)


def _expected(root: object) -> str | None:
    """What a strict parser makes of a body that is JSON: a name, None, or "refused"."""
    models = [value for key, value in root if key == "model"] if isinstance(root, Pairs) else []
    if len(models) != 1:
        return "refused" if models else None
    name = models[0]
    if not _is_text(name):
        return None
    if len(name.encode("utf-8", "surrogatepass")) > NAME_BYTES:
        return "refused"
    return None if any("\ud800" <= char <= "\udfff" for char in name) or not name.strip() else str(name)


def _with_model(root: Any, name: str) -> Any:
    return {key: name if key == "model" else value for key, value in root.items()}


def _facts(root: dict[str, Any]) -> Facts:
    """Read the facts of a parsed body, as ``facts`` describes where each wire format keeps them."""
    choice, config = root.get("tool_choice"), root.get("toolConfig")
    tool = ""
    if isinstance(choice, dict):
        function = choice.get("function")
        tool = _text(function.get("name") if isinstance(function, dict) else choice.get("name"))
    calling = config.get("functionCallingConfig") if isinstance(config, dict) else None
    allowed = (
        calling.get("allowedFunctionNames") if isinstance(calling, dict) and calling.get("mode") == "ANY" else None
    )
    if isinstance(allowed, list) and len(allowed) == 1:
        tool = tool or _text(allowed[0])
    prompts = [_prompt(root.get("system")), _prompt(root.get("instructions"))]
    for name in ("input", "messages"):
        messages = root.get(name)
        if isinstance(messages, list):
            said = [m for m in messages if isinstance(m, dict) and m.get("role") in ("system", "developer")]
            prompts += [_prompt(message.get("content")) for message in said]
        elif name == "input":
            prompts.append("")
    instruction = root.get("systemInstruction")
    prompts.append(_prompt(instruction.get("parts") if isinstance(instruction, dict) else instruction))
    image = any(_last_has_image(root.get(name), name) for name in ("messages", "input", "contents"))
    items = root.get("input")
    brought = [item.get("tools") for item in items if isinstance(item, dict)] if isinstance(items, list) else []
    lists = [root.get("tools"), root.get("functions"), *(tools for tools in brought if isinstance(tools, list))]
    offered = {name for tools in lists for name in _offered(tools)}
    if "web_search_options" in root:
        offered.add("web_search_options")
    return Facts(tool, next((prompt for prompt in prompts if prompt), ""), image, frozenset(offered))


def _last_has_image(messages: object, key: str) -> bool:
    """Whether the last user message has an image, or a tool's result behind it."""
    found = False
    for message in messages if isinstance(messages, list) else ():
        if isinstance(message, dict):
            role = message.get("role")
            if role == "user" or (role is None and key == "contents"):
                found = _has_image(message)
            elif role in ("tool", "function") or _text(message.get("type")).endswith("_output"):
                found = found or _has_image(message)
    return found


def _has_image(part: object) -> bool:
    if isinstance(part, list):
        return any(_has_image(one) for one in part if isinstance(one, dict))
    if not isinstance(part, dict):
        return False
    if _text(part.get("type")) in ("image", "image_url", "input_image", "computer_screenshot"):
        return True
    if any(_text(part.get(key)).lower().startswith("image/") for key in ("mimeType", "mime_type")):
        return True
    data = ("inlineData", "inline_data", "fileData", "file_data")
    inner = ("content", "parts", "output", "functionResponse", "function_response", *data)
    return any(_has_image(part[key]) for key in inner if key in part)


def _offered(tool: object) -> set[str]:
    """Return the names and types of a tool, or of a list of tools."""
    if isinstance(tool, list):
        return {name for one in tool if isinstance(one, dict) for name in _offered(one)}
    if not isinstance(tool, dict):
        return set()
    inner = ("tools", "functionDeclarations", "function_declarations", "function", "custom")
    own = {str(tool[key]) for key in ("name", "type") if _is_text(tool.get(key))}
    if not ("name" in tool or "type" in tool):
        own = {key for key in tool if key not in inner}
    return own.union(*(_offered(tool[key]) for key in inner if key in tool))


def _text(value: object) -> str:
    return str(value) if _is_text(value) else ""


def _prompt(content: object) -> str:
    if isinstance(content, list):
        return "".join(_text(part.get("text") if isinstance(part, dict) else part) for part in content)
    return _text(content)


def _tools(root: dict[str, Any]) -> dict[str, str]:
    """Read the tools that a parsed body lists or forces, by folded name, less those with two casings."""
    listed = root.get("tools")
    names: dict[str, set[str]] = {}
    for tool in [*(listed if isinstance(listed, list) else []), root.get("tool_choice")]:
        if isinstance(tool, dict) and (name := _text(tool.get("name"))):
            names.setdefault(name.casefold(), set()).add(name)
    return {folded: min(casings) for folded, casings in names.items() if len(casings) == 1}


def _repaired(root: dict[str, Any]) -> dict[str, Any]:
    """Return a parsed body as its repairs are to leave it."""
    messages = root.get("messages")
    if not isinstance(messages, list):
        return root
    return {**root, "messages": [_repaired_message(message) for message in messages]}


def _repaired_message(message: Any) -> Any:
    content = message.get("content") if isinstance(message, dict) and message.get("role") == "assistant" else None
    if not isinstance(content, list):
        return message
    kept = []
    for block in content:
        kind = block.get("type") if isinstance(block, dict) else None
        if kind == "thinking" and not _text(block.get("signature")).strip():
            continue
        kept.append({k: v for k, v in block.items() if k != "signature"} if kind == "tool_use" else block)
    return {**message, "content": kept}


def _is_hinted(body: bytes) -> bool:
    """Whether a body holds what is looked for, spelled plainly: without, it is left as it is."""
    return re.search(rb'"thinking"(?![ \t\r\n]*+:)|"signature"', body) is not None
