"""Write a conversation as a request, for a provider. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from ...bodies.texts import Str, dump, dump_in_steps, head, joined
from ...errors import Untranslatable
from ..arguments import free_text
from ..base import Lost, Steps, Written
from ..conversation import Call, Conversation, Format, Media, Part, Result, Seal, Text, Thinking, Tool, Turn
from ..conversation import written_arguments as arguments
from ..effort import effort_of, nearest
from ..identifiers import Names, cache_key, fit_id, hashed
from ..marks import has_marks
from ..media import data_url
from ..openai_models import refuses_sampling
from ..profile import Profile, Target
from ..schemas import answer, instruction
from ..tools import described, function_schema, tools_and_choice
from ..turns import folded, no_prefill, paced

PATH: Final = "/v1/responses"
COUNT_PATH: Final = "/v1/responses/input_tokens"
_LEAST_OUTPUT: Final = 16  # https://platform.openai.com/docs/api-reference/responses: the server refuses less
_USER_CHARS: Final = 64
_STEP_ITEMS: Final = 64
_FAULT: Final = "Error: "
# What the counter of tokens refuses. developers.openai.com/api/reference/resources/responses/subresources/input_tokens
_UNCOUNTED: Final = ("store", "stream", "max_output_tokens", "include", "temperature", "top_p", "safety_identifier",
                     "prompt_cache_key")  # fmt: skip


def write_request(conversation: Conversation, target: Target) -> Steps[Written]:
    """Write a request. Its second piece holds the members that :func:`write_count` leaves out.

    Raises :class:`Untranslatable` as :class:`Dialect` says.
    """
    lost: Lost = {}
    if conversation.prefill:
        raise no_prefill()
    profile, names = target.profile, Names(target.profile.tool_name_max)
    tools, choice = tools_and_choice(conversation, lost, {"web_search"} if profile.web_search else ())
    body: dict[str, Any] = {"model": target.model}
    system = conversation.system
    if (form := conversation.format) is not None and (form.schema is None or not profile.json_schema):
        system += (Text(instruction(form)),)  # the server refuses the mode unless a message says JSON
    if len(system) == 1 and system[0].mark is None and conversation.turns:
        body["instructions"] = system[0].text
    body |= _options(conversation, target, bool(tools), lost)
    if tools:
        body["tools"] = sent = list[dict[str, Any]]()
        for tool in tools:
            sent.append(_tool(tool, names, profile, lost))
            if not len(sent) % _STEP_ITEMS:
                yield
        if choice is not None:
            body["tool_choice"] = choice.mode
            if choice.mode == "tool":
                chosen = body["tools"][[tool.name for tool in tools].index(choice.names[0])]
                body["tool_choice"] = {key: chosen[key] for key in ("type", "name") if key in chosen}
        if conversation.parallel_calls is False and profile.parallel_tool_calls:
            body["parallel_tool_calls"] = False
        elif conversation.parallel_calls is False:
            lost["parallel_calls"] = None
    if not profile.cache_control and (yield from has_marks(conversation)):
        lost["cache_control"] = None
    free = {tool.name for tool in conversation.tools if tool.kind == "custom" and profile.custom_tools}
    yield
    uncounted = b"".join(dump({key: body.pop(key) for key in _UNCOUNTED if key in body}))
    first, *rest = yield from dump_in_steps(body)
    pieces: list[bytes | memoryview] = [b"{", uncounted[1:-1] + b",", bytes(first)[1:], *rest]
    pieces[-1] = bytes(pieces[-1])[:-1] + b',"input":['
    mark = b""
    leading = [] if "instructions" in body else list(system)
    if leading:
        texts = [_input_text(text, profile) for text in leading]
        pieces += [b'{"role":"developer","content":', *(yield from dump_in_steps(texts)), b"}"]
        mark = b","
    turns = conversation.turns if profile.mid_system == "keep" else (yield from folded(conversation.turns))
    writer = _Items(target, names, free, lost)
    for turn in turns:
        for place, item in enumerate(writer.items(turn)):
            if item is None or place % _STEP_ITEMS == _STEP_ITEMS - 1:
                yield
            if item is None:
                continue
            pieces.append(mark)
            pieces += yield from dump_in_steps(item)
            mark = b","
        yield
    if not mark:
        raise Untranslatable("messages: at least one message is required", "messages")
    pieces.append(b"]}")
    return Written(path=PATH, pieces=pieces, names=names.back, lost=tuple(lost))


def write_count(written: Written, target: Target) -> Written:
    """Return the request that asks how many tokens a written one has."""
    del target
    first, _, *rest = written.pieces
    return replace(written, path=COUNT_PATH, pieces=[first, *rest])


def _options(conversation: Conversation, target: Target, tools: bool, lost: Lost) -> dict[str, Any]:
    profile, asked = target.profile, conversation.reasoning
    body: dict[str, Any] = {"store": False, "stream": conversation.stream}
    if conversation.max_output is not None:
        wanted = max(conversation.max_output, _LEAST_OUTPUT)
        if profile.max_output is not None and wanted > profile.max_output:
            wanted = profile.max_output
            lost["max_tokens"] = None
        body["max_output_tokens"] = wanted
    reasons = bool(profile.effort)
    if reasons:
        body["include"] = ["reasoning.encrypted_content"]
        reasoning: dict[str, Any] = {}
        if effort := nearest(effort_of(asked), profile.effort):
            reasoning["effort"] = effort
        if asked.show is not False and effort != "none":
            reasoning["summary"] = "auto"
        if reasoning:
            body["reasoning"] = reasoning
    elif asked.effort or asked.budget or asked.mode == "on":
        lost["reasoning"] = None
    for name in ("temperature", "top_p"):
        if (value := getattr(conversation, name)) is not None:
            if reasons or refuses_sampling(target.model, None):
                lost[name] = None
            else:
                body[name] = value
    for name in ("top_k", "stop", "seed", "presence_penalty", "frequency_penalty"):
        if getattr(conversation, name) not in (None, ()):
            lost[name] = None
    text: dict[str, Any] = {}
    if conversation.format is not None and profile.json_schema:
        text["format"] = _format(conversation.format)
    elif conversation.format is not None:
        lost["response_format"] = None
    if conversation.verbosity and profile.verbosity:
        text["verbosity"] = conversation.verbosity
    elif conversation.verbosity:
        lost["verbosity"] = None
    if text:
        body["text"] = text
    if conversation.user:
        user = conversation.user
        body["safety_identifier"] = user if len(user) <= _USER_CHARS else hashed(user, _USER_CHARS)
    if profile.prompt_cache_key and (key := cache_key(conversation)):
        body["prompt_cache_key"] = key
    return body


def _format(wanted: Format) -> dict[str, Any]:
    if wanted.schema is None:
        return {"type": "json_object"}
    strict = wanted.strict if wanted.strict is not None else answer(wanted.schema).closed
    said = {"description": wanted.description} if wanted.description else {}
    return {"type": "json_schema", "name": wanted.name or "response", **said, "schema": wanted.schema, "strict": strict}


def _tool(tool: Tool, names: Names, profile: Profile, lost: Lost) -> dict[str, Any]:
    if tool.kind == "web_search":
        options = dict(tool.options)
        domains = options.pop("allowed_domains", None)
        kept: dict[str, Any] = {
            key: options.pop(key) for key in ("user_location", "search_context_size") if key in options
        }
        lost.update({f"tools[{tool.name}].{key}": None for key in options})
        return {"type": "web_search", **({"filters": {"allowed_domains": domains}} if domains else {}), **kept}
    said: dict[str, Any] = {"description": tool.description} if tool.description else {}
    if tool.kind == "custom" and profile.custom_tools:
        form: dict[str, Any] = {"format": {"type": "grammar", **tool.grammar}} if tool.grammar else {}
        return {"type": "custom", "name": names.sent(tool.name), **said, **form}
    if tool.kind == "custom":
        said = {"description": described(tool)}
    read = function_schema(tool, lost)
    strict = tool.strict is True and profile.strict_schemas and read.closed
    if tool.strict and not strict:
        lost[f"tools[{tool.name}].strict"] = None
    # Without ``strict`` the server takes the schema for a strict one, and rewrites or refuses it.
    return {"type": "function", "name": names.sent(tool.name), **said, "parameters": read.schema, "strict": strict}


class _Items:
    """Writes turns as items."""

    def __init__(self, target: Target, names: Names, custom: set[str], lost: Lost) -> None:
        self._target = target
        self._names = names
        self._custom = custom
        self._lost = lost
        self._free: set[str] = set()  # calls of tools that take free text

    def items(self, turn: Turn) -> Iterator[dict[str, Any] | None]:
        """Yield the items of a turn, and None between steps."""
        if turn.role == "assistant":
            yield from self._assistant(turn)
            return
        for part in paced(turn.parts):
            if part is None:
                yield None
            elif isinstance(part, Result):
                yield self._result(part)
        content: list[dict[str, Any]] = []
        for part in turn.parts:
            if isinstance(part, Text | Media):
                content.append(self._part(part))
                if not len(content) % _STEP_ITEMS:
                    yield None
        if content:
            yield {"role": "developer" if turn.role == "system" else "user", "content": content}

    def _assistant(self, turn: Turn) -> Iterator[dict[str, Any]]:
        waiting: dict[str, Any] | None = None  # reasoning; the server demands the text or call behind it
        texts: list[Str] = []
        for part in (*turn.parts, None):
            if isinstance(part, Text):
                texts.append(part.text)
                continue
            if texts:
                if waiting is not None:
                    yield waiting
                    waiting = None
                output = [{"type": "output_text", "text": text, "annotations": list[Any]()} for text in texts]
                yield {"type": "message", "role": "assistant", "content": output}
                texts = []
            if isinstance(part, Thinking):
                if (reasoning := self._reasoning(part.seal)) is None:
                    self._lost["thinking"] = None
                waiting = reasoning or waiting
            elif isinstance(part, Call):
                if waiting is not None:
                    yield waiting
                    waiting = None
                yield self._call(part)

    def _reasoning(self, seal: Seal | None) -> dict[str, Any] | None:
        """Return reasoning that this provider made, without an id: the server would search its store for it."""
        if seal is None or seal.kind != "reasoning" or seal.maker != self._target.maker:
            return None
        return {"type": "reasoning", "summary": [], "encrypted_content": seal.data}

    def _call(self, call: Call) -> dict[str, Any]:
        id_, name = fit_id(call.id, self._target.profile.tool_id_max), self._names.sent(call.name)
        if call.name in self._custom:
            self._free.add(call.id)
            return {"type": "custom_tool_call", "call_id": id_, "name": name, "input": free_text(call.arguments)}
        return {"type": "function_call", "call_id": id_, "name": name, "arguments": arguments(call.arguments)}

    def _result(self, result: Result) -> dict[str, Any]:
        kind = "custom_tool_call_output" if result.id in self._free else "function_call_output"
        id_ = fit_id(result.id, self._target.profile.tool_id_max)
        texts = [part.text for part in result.parts if isinstance(part, Text)]
        output: Any = joined("\n", texts)
        fault = result.is_error and not is_fault(output)
        if len(texts) < len(result.parts):
            output = [self._part(part) for part in result.parts]
            if fault:
                output.insert(0, {"type": "input_text", "text": _FAULT.strip()})
        elif fault:
            output = joined("", [_FAULT, output])
        return {"type": kind, "call_id": id_, "output": output}

    def _part(self, part: Part) -> dict[str, Any]:
        profile = self._target.profile
        if isinstance(part, Text):
            return _input_text(part, profile)
        assert isinstance(part, Media)
        if part.kind == "image":
            return {"type": "input_image", "image_url": data_url(part), "detail": part.detail or "auto"}
        if part.kind == "audio":
            raise Untranslatable("input_audio: this provider takes no sound", "input_audio")
        if part.url is not None:
            return {"type": "input_file", "file_url": part.url}
        name = part.name or "document.pdf"
        return {"type": "input_file", "filename": name, "file_data": data_url(part)}


def is_fault(text: Str) -> bool:
    """Tell whether a tool's result says by itself that it is an error."""
    return "error" in head(text, 40).lower()


def _input_text(text: Text, profile: Profile) -> dict[str, Any]:
    marked = text.mark is not None and profile.cache_control
    return {
        "type": "input_text",
        "text": text.text,
        **({"prompt_cache_breakpoint": {"mode": "explicit"}} if marked else {}),
    }
