"""Write a conversation as a request of ``generateContent``, for a provider. Pure.

Gemini answers 400 to contents that break rules which other formats do not have: they begin and end with the user; a
model's content with calls is followed by one content with as many responses and nothing else in it; parts are never
empty. Source: https://ai.google.dev/gemini-api/docs/function-calling and reports of the API's answers.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any, Final

from ...bodies.texts import Raw, Str, Unquoted, dump_in_steps, joined
from ...errors import Untranslatable
from ..base import Lost, Steps, Written
from ..conversation import Call, Choice, Conversation, Format, Media, Part, Result, Text, Thinking, Tool, Turn
from ..identifiers import Names, fit_id
from ..marks import has_marks
from ..media import type_of
from ..profile import Target
from ..schemas import instruction
from ..tools import described, function_schema, tools_and_choice
from ..turns import folded
from .models import NO_SIGNATURE, SMALL_OUTPUT, Model, model_of
from .schemas import to_gemini_schema

WHOLE: Final = "/v1beta/models/{model}:generateContent"
STREAM: Final = "/v1beta/models/{model}:streamGenerateContent"
_STOPS: Final = 5
_STEP_PARTS: Final = 200
_STEP_TOOLS: Final = 16
_FILLER: Final = "no result (interrupted)"
_BEGINNING: Final = "(conversation continues)"
_GO_ON: Final = "Continue."
_MODES: Final = {"auto": "AUTO", "required": "ANY", "none": "NONE", "tool": "ANY"}


def write_request(conversation: Conversation, target: Target) -> Steps[Written]:
    """Write a request. Raises :class:`Untranslatable` as :class:`Dialect` says."""
    lost: Lost = {}
    model = model_of(target.model)
    names = Names(target.profile.tool_name_max, letter_first=True)
    functions = any(tool.kind in ("function", "custom") for tool in conversation.tools)
    tools, choice = tools_and_choice(conversation, lost, () if functions else {"web_search"})
    body: dict[str, Any] = {}
    system = [{"text": text.text} for text in conversation.system]
    turns = yield from folded(conversation.turns)
    if not turns and system:
        turns, system = [Turn("user", tuple(conversation.system))], []
    if not turns:
        raise Untranslatable("messages: at least one message is required", "messages")
    form = conversation.format
    if form is not None and tools and not model.wants_signatures:  # older models refuse JSON beside functions
        lost["response_format"] = None
        system.append({"text": instruction(form)})
        form = None
    if system:
        body["systemInstruction"] = {"parts": system}
    if tools:
        body["tools"] = yield from _tools(tools, names, lost, json_schema=target.profile.json_schema)
        if choice is not None and functions:
            body["toolConfig"] = {"functionCallingConfig": _calling(choice, names)}
    if conversation.parallel_calls is False:
        lost["parallel_calls"] = None
    if (yield from has_marks(conversation)):
        lost["cache_control"] = None
    if config := _config(conversation, form, target, model, lost):
        body["generationConfig"] = config
    yield
    pieces: list[bytes | memoryview] = [b'{"contents":[']
    mark = b""
    writer = _Contents(target, model, names, lost)
    for content in writer.contents(turns):
        yield
        if content is not None:
            pieces.append(mark)
            pieces += yield from dump_in_steps(content)
            mark = b","
    pieces.append(b"]")
    for key, value in body.items():
        pieces += [b',"%b":' % key.encode(), *(yield from dump_in_steps(value))]
    pieces.append(b"}")
    return Written(
        path=STREAM if conversation.stream else WHOLE, query="alt=sse" if conversation.stream else "", pieces=pieces,
        names=names.back, lost=tuple(lost),
    )  # fmt: skip


def _tools(tools: list[Tool], names: Names, lost: Lost, *, json_schema: bool) -> Steps[list[dict[str, Any]]]:
    found: list[dict[str, Any]] = []
    declared: list[dict[str, Any]] = []
    for tool in tools:
        if tool.kind != "web_search":
            declared.append(_function(tool, names, lost, json_schema))
            if not len(declared) % _STEP_TOOLS:
                yield
    if declared:
        found.append({"functionDeclarations": declared})
    for tool in tools:
        if tool.kind == "web_search":
            found.append({"googleSearch": {}})
            lost.update({f"tools[{tool.name}].{key}": None for key in tool.options})  # AI Studio refuses excludeDomains
    return found


def _function(tool: Tool, names: Names, lost: Lost, json_schema: bool) -> dict[str, Any]:
    found: dict[str, Any] = {"name": names.sent(tool.name)}
    if description := described(tool):
        found["description"] = description
    schema = function_schema(tool, lost).schema
    if tool.strict:
        lost[f"tools[{tool.name}].strict"] = None
    if json_schema:
        found["parametersJsonSchema"] = schema
    elif (converted := to_gemini_schema(schema.load())) is not None:
        found["parameters"] = converted
    return found


def _calling(choice: Choice, names: Names) -> dict[str, Any]:
    found: dict[str, Any] = {"mode": _MODES[choice.mode]}
    if choice.mode == "tool":
        found["allowedFunctionNames"] = [names.sent(choice.names[0])]
    return found


def _config(
    conversation: Conversation, form: Format | None, target: Target, model: Model, lost: Lost
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    most = target.profile.max_output
    if conversation.max_output is not None:
        found["maxOutputTokens"] = min(conversation.max_output, most or conversation.max_output)
    options = {
        "temperature": conversation.temperature, "topP": conversation.top_p, "topK": conversation.top_k,
        "seed": conversation.seed, "presencePenalty": conversation.presence_penalty,
        "frequencyPenalty": conversation.frequency_penalty,
    }  # fmt: skip
    found |= {key: value for key, value in options.items() if value is not None}
    if conversation.stop:
        found["stopSequences"] = list(conversation.stop[:_STOPS])
        if len(conversation.stop) > _STOPS:
            lost["stop"] = None
    if form is not None:
        found["responseMimeType"] = "application/json"
        if form.schema is not None and target.profile.json_schema:
            found["responseJsonSchema"] = form.schema
        elif form.schema is not None and (converted := to_gemini_schema(form.schema.load())) is not None:
            found["responseSchema"] = converted
    small = conversation.max_output is not None and conversation.max_output < SMALL_OUTPUT
    thinking = model.thinking(conversation.reasoning, small=small)
    if small and (conversation.reasoning.effort not in ("", "none") or conversation.reasoning.budget):
        lost["reasoning"] = None  # it would leave nothing for the answer
    if conversation.reasoning.show is not False and conversation.reasoning.mode != "off" and not small:
        thinking["includeThoughts"] = True
    if thinking:
        found["thinkingConfig"] = thinking
    for name in ("verbosity", "user", "cache_key"):
        if getattr(conversation, name):
            lost[name] = None
    return found


class _Contents:
    """Writes turns as contents."""

    def __init__(self, target: Target, model: Model, names: Names, lost: Lost) -> None:
        self._target = target
        self._model = model
        self._names = names
        self._lost = lost

    def contents(self, turns: list[Turn]) -> Generator[dict[str, Any] | None, None, None]:
        """Yield the contents of a conversation, and None between steps."""
        if turns[0].role == "assistant":
            yield _content("user", [{"text": _BEGINNING}])
        open_calls: tuple[Call, ...] = ()
        for turn in turns:
            if turn.role == "assistant":
                open_calls = tuple(part for part in turn.parts if isinstance(part, Call))
                if parts := (yield from self._model_parts(turn)):
                    yield _content("model", parts)
                continue
            yield from self._user(turn, open_calls)
            open_calls = ()
        if open_calls:
            yield from self._user(Turn("user", ()), open_calls)
        elif turns[-1].role == "assistant":
            yield _content("user", [{"text": _GO_ON}])

    def _user(self, turn: Turn, calls: tuple[Call, ...]) -> Iterator[dict[str, Any] | None]:
        """Yield one response for each of ``calls``, and then the user's other parts."""
        results = {part.id: part for part in turn.parts if isinstance(part, Result)}
        others: list[dict[str, Any]] = []
        responses: list[dict[str, Any]] = []
        seen = 0
        for call in calls:
            result = results.pop(call.id, None) or Result(call.id, (Text(_FILLER),), is_error=True)
            response, media = self._response(call, result)
            responses.append(response)
            others += media
            seen += 1 + len(result.parts)
            if seen > _STEP_PARTS:
                seen = 0
                yield None
        if responses:
            yield _content("user", responses)
        for orphan in results.values():  # Gemini refuses a response without its call
            texts = [part.text for part in orphan.parts if isinstance(part, Text)]
            others.append({"text": joined("", ["[result of an earlier tool call] ", joined("\n", texts)])})
            yield None
        for part in turn.parts:
            if not isinstance(part, Result):
                others.append(self._part(part))
                if not len(others) % _STEP_PARTS:
                    yield None
        if others:
            yield _content("user", others)

    def _response(self, call: Call, result: Result) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        text = joined("\n", [part.text for part in result.parts if isinstance(part, Text)])
        media = [self._part(part) for part in result.parts if isinstance(part, Media)]
        found: dict[str, Any] = self._identified(call.id)
        found |= {"name": self._names.sent(call.name), "response": {"error" if result.is_error else "output": text}}
        if media and self._model.wants_signatures:
            found["parts"] = media
            media = []
        elif media:
            media.insert(0, {"text": f"[image of tool {call.name}]"})
        return {"functionResponse": found}, media

    def _identified(self, id_: str) -> dict[str, Any]:
        return {"id": fit_id(id_)} if self._model.wants_signatures else {}

    def _model_parts(self, turn: Turn) -> Generator[None, None, list[dict[str, Any]]]:
        found: list[dict[str, Any]] = []
        signature: Str = ""
        signed = False  # a call of this turn has a signature
        for at, part in enumerate(turn.parts):
            if at % _STEP_PARTS == _STEP_PARTS - 1:
                yield
            if isinstance(part, Thinking):
                seal = part.seal
                if seal is not None and seal.kind == "thought" and seal.maker == self._target.maker:
                    signature = seal.data
                else:
                    self._lost["thinking"] = None
                continue
            written = self._call(part) if isinstance(part, Call) else self._part(part)
            if signature:
                written["thoughtSignature"] = signature
            elif isinstance(part, Call) and not signed and self._model.wants_signatures:
                written["thoughtSignature"] = NO_SIGNATURE
            signed = signed or isinstance(part, Call)
            signature = ""
            found.append(written)
        return found

    def _call(self, call: Call) -> dict[str, Any]:
        args: Raw | Unquoted = call.arguments
        return {"functionCall": {**self._identified(call.id), "name": self._names.sent(call.name), "args": args}}

    def _part(self, part: Part) -> dict[str, Any]:
        if isinstance(part, Text):
            return {"text": part.text}
        assert isinstance(part, Media)
        if part.data is not None:
            return {"inlineData": {"mimeType": part.media_type, "data": part.data}}
        return {"fileData": {"fileUri": part.url, "mimeType": type_of(part)}}


def _content(role: str, parts: list[dict[str, Any]]) -> dict[str, Any]:
    return {"role": role, "parts": parts}
