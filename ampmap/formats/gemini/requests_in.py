"""Read a client's request of ``generateContent`` or ``streamGenerateContent``. Pure.

Members come in both spellings of protocol buffers: ``systemInstruction`` and ``system_instruction``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from ...bodies.json_tree import members
from ...bodies.steps import freed
from ...bodies.texts import Raw, Str, dump
from ...errors import BadRequest, Untranslatable
from ..arguments import raw_json
from ..base import Asked, Lost, Steps, bounded, elements
from ..conversation import (
    Choice,
    Conversation,
    Format,
    Reasoning,
    Text,
    Tool,
)
from ..schemas import NO_ARGUMENTS
from .contents import Contents
from .fields import camel, camel_key
from .schemas import DIGITS, to_json_schema

_RAW: Final = ("args", "response", "parametersJsonSchema", "parameters_json_schema", "responseJsonSchema",
               "response_json_schema")  # fmt: skip
_READ: Final = frozenset({"contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "model"})
_SERVER_TOOLS: Final = frozenset({
    "computerUse", "fileSearch", "googleMaps", "retrieval", "enterpriseWebSearch", "mcpServers", "parallelAiSearch",
    "exaAiSearch", "urlContext",
})  # fmt: skip
_REFUSED: Final = {
    "cachedContent": "the beginning of the prompt is stored at Google; send it in contents",
    "continuationToken": "only Google can go on with it",
}
_OPTIONS: Final = frozenset({
    "maxOutputTokens", "temperature", "topP", "topK", "candidateCount", "stopSequences", "seed", "presencePenalty",
    "frequencyPenalty", "responseMimeType", "responseSchema", "responseJsonSchema",
    "responseModalities", "responseFormat", "thinkingConfig",
})  # fmt: skip
_LEVELS: Final = {"MINIMAL": "minimal", "LOW": "low", "MEDIUM": "medium", "HIGH": "high", "XHIGH": "xhigh"}
_MODES: Final = {"ANY": "required", "NONE": "none"}


@dataclass(frozen=True, slots=True)
class ReplyOptions:
    """What the writer of the reply has to know: whether the client wants to see thoughts."""

    thoughts: bool


def read_request(asked: Asked) -> Steps[Conversation]:
    """Read a request. Raises :class:`Untranslatable` and :class:`BadRequest` as :class:`Dialect` says."""
    stream = asked.path.endswith(":streamGenerateContent")
    if stream and "alt=sse" not in asked.query:
        raise Untranslatable("alt: this model is served by another provider, which streams events; use alt=sse", "alt")
    found: dict[str, Any] = {}
    contents: list[Any] = []
    for member in members(asked.body, ("contents",), _RAW):
        if member is None:
            yield
        elif member.place is None:
            found[camel_key(member.key)] = member.value
        else:
            contents = contents if member.place else []
            contents.append(member.value)
    if isinstance(counted := found.get("generateContentRequest"), dict):  # of countTokens
        found = camel(counted)
    for key, why in _REFUSED.items():
        if found.get(key):
            raise Untranslatable(f"{key}: {why}", key)
    if not contents and isinstance(said := found.get("contents"), Str | dict | list):
        contents = said if isinstance(said, list) else [said]
    lost: Lost = {}
    reader = Contents(lost)
    for text in _system(found.get("systemInstruction")):
        reader.turns.system(text)
    for place, content in enumerate(contents):
        try:
            yield from reader.take(content, place)
        except BadRequest:  # Untranslatable is one
            yield from freed(contents)
            raise
        contents[place] = None  # to be freed at once takes long
        yield
    system, turns = yield from reader.turns.done()
    if not turns:
        raise BadRequest("contents is empty: send what the user says")
    lost.update({key: None for key in found if key not in _READ and found[key] not in (None, [], {})})
    options = camel(found.get("generationConfig"))
    tools, choice = (yield from _tools(found.get("tools"), lost)), _choice(camel(found.get("toolConfig")))
    return _conversation(options, lost, system=system, turns=turns, tools=tools, choice=choice, stream=stream)


def _conversation(options: dict[str, Any], lost: Lost, **members: Any) -> Conversation:
    count = options.get("candidateCount")
    if count not in (None, 0, 1):
        raise Untranslatable("generationConfig.candidateCount: this provider gives one candidate", "candidateCount")
    for modality in elements(options.get("responseModalities")):
        if str(modality).upper() != "TEXT":
            raise Untranslatable(f"generationConfig.responseModalities: this provider writes text, no {modality}",
                                 "responseModalities")  # fmt: skip
    thinking = camel(options.get("thinkingConfig"))
    level, budget = str(thinking.get("thinkingLevel") or "").upper(), thinking.get("thinkingBudget")
    if level and budget is not None:
        raise BadRequest("generationConfig.thinkingConfig: send thinkingLevel or thinkingBudget, not both")
    if budget is not None and (not isinstance(budget, int) or isinstance(budget, bool)):
        raise BadRequest("generationConfig.thinkingConfig.thinkingBudget has to be a whole number")
    thoughts = thinking.get("includeThoughts") is True
    stops = bounded(options.get("stopSequences"), "generationConfig.stopSequences")
    lost.update({f"generationConfig.{key}": None for key in options if options[key] and key not in _OPTIONS})
    return Conversation(
        **members,
        max_output=_number(options, "maxOutputTokens", whole=True),  # type: ignore[arg-type]
        temperature=_number(options, "temperature"),
        top_p=_number(options, "topP"),
        top_k=_number(options, "topK", whole=True),  # type: ignore[arg-type]
        stop=tuple(each for each in stops if isinstance(each, str) and each.strip()),
        seed=_number(options, "seed", whole=True),  # type: ignore[arg-type]
        presence_penalty=_number(options, "presencePenalty"),
        frequency_penalty=_number(options, "frequencyPenalty"),
        reasoning=Reasoning(
            effort=_LEVELS.get(level, ""),
            budget=budget if budget is not None and budget > 0 else None,
            mode="off" if budget == 0 else "",
            show=thoughts,
        ),
        format=_format(options),
        lost=tuple(lost),
        reply_options=ReplyOptions(thoughts),
    )


def _number(options: dict[str, Any], key: str, *, whole: bool = False) -> float | int | None:
    value = options.get(key)
    if isinstance(value, str) and DIGITS.fullmatch(value):
        value = int(value)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or (whole and value != int(value)):
        raise BadRequest(f"generationConfig.{key} has to be a number, not {b''.join(dump(value)).decode()[:40]}")
    return int(value) if whole else value


def _format(options: dict[str, Any]) -> Format | None:
    options = options | _response_format(options.get("responseFormat"))
    kind = options.get("responseMimeType") or "text/plain"
    if kind == "text/plain":
        return None
    if kind != "application/json":
        raise Untranslatable(f"generationConfig.responseMimeType: this provider writes no {kind}", "responseMimeType")
    schema = options.get("responseJsonSchema")
    if schema is None and options.get("responseSchema") is not None:
        return Format(schema=raw_json(to_json_schema(options["responseSchema"])), name="response")
    if schema is None:
        return Format()
    return Format(schema=schema if isinstance(schema, Raw) else raw_json(schema), name="response")


def _response_format(found: Any) -> dict[str, Any]:
    """Return Vertex AI's newer ``responseFormat`` as the members that it replaces."""
    wanted: dict[str, Any] = {}
    for form in map(camel, found if isinstance(found, list) else [found]):
        for kind in form:
            if kind != "text":
                raise Untranslatable(f"generationConfig.responseFormat: this provider writes text, no {kind}",
                                     "responseFormat")  # fmt: skip
        text = camel(form.get("text"))
        if text.get("mimeType"):
            wanted["responseMimeType"] = str(text["mimeType"]).lower().replace("application_json", "application/json")
        if text.get("schema") is not None:
            wanted["responseJsonSchema"] = text["schema"]
    return wanted


def _system(found: Any) -> list[Text]:
    if isinstance(found, Str):
        return [Text(found)]
    parts = found if isinstance(found, list) else camel(found).get("parts")
    parts = bounded(parts if isinstance(parts, list) else [parts], "systemInstruction.parts")
    texts = [part if isinstance(part, Str) else part.get("text") for part in parts if isinstance(part, Str | dict)]
    return [Text(text) for text in texts if isinstance(text, Str)]


def _tools(found: Any, lost: Lost) -> Steps[tuple[Tool, ...]]:
    tools: list[Tool] = []
    for each in bounded(found if isinstance(found, list) else [found], "tools"):
        yield
        for key, value in camel(each).items():
            if key == "functionDeclarations":
                for at, declared in enumerate(bounded(value, "tools[].functionDeclarations")):
                    if isinstance(declared, dict):
                        tools.append(_function(camel(declared)))
                    if not at % 16:
                        yield
            elif key in ("googleSearch", "googleSearchRetrieval"):
                options = camel(value)
                blocked = {"blocked_domains": options["excludeDomains"]} if options.get("excludeDomains") else {}
                tools.append(Tool(name="web_search", kind="web_search", options=blocked))
            elif key in _SERVER_TOOLS:
                tools.append(Tool(name=key, kind="server"))
            else:
                lost[f"tools[].{key}"] = None
    return tuple(tools)


def _function(declared: dict[str, Any]) -> Tool:
    schema = declared.get("parametersJsonSchema")
    if schema is None and declared.get("parameters"):
        schema = to_json_schema(declared["parameters"])
    if schema is not None and not isinstance(schema, Raw):
        schema = raw_json({"type": "object", "properties": {}, **schema} if isinstance(schema, dict) else {})
    name, description = declared.get("name"), declared.get("description")
    return Tool(
        name=name if isinstance(name, str) else "",
        description=description if isinstance(description, Str) else "",
        schema=schema if isinstance(schema, Raw) else NO_ARGUMENTS,
    )


def _choice(config: dict[str, Any]) -> Choice | None:
    calling = camel(config.get("functionCallingConfig"))
    if not calling:
        return None
    allowed = bounded(calling.get("allowedFunctionNames"), "toolConfig.functionCallingConfig.allowedFunctionNames")
    names = tuple(name for name in allowed if isinstance(name, str))
    mode = _MODES.get(str(calling.get("mode")).upper(), "auto")
    if mode == "required" and len(names) == 1:
        return Choice("tool", names)
    return Choice(mode, names if mode != "none" else ())  # type: ignore[arg-type]
