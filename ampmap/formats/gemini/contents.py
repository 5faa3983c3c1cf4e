"""Read the contents of a client's request into turns. Pure."""

from __future__ import annotations

from typing import Any, Final

from ...bodies.texts import Raw, Str, dump, is_blank, joined, plain
from ...errors import BadRequest, Untranslatable
from .. import carrier
from ..arguments import arguments_of
from ..base import RESULT_PARTS, Lost, Steps, bounded
from ..conversation import Call, Media, Part, Result, Seal, Text, Thinking
from ..identifiers import hashed
from ..media import IMAGES, as_text, media_of
from ..turns import Turns
from .fields import camel

_STEP_PARTS: Final = 100


class Contents:
    """Takes the contents in their order and puts them into ``turns``."""

    def __init__(self, lost: Lost) -> None:
        self.turns = Turns()
        self._lost = lost
        self._models = 0

    def take(self, content: Any, place: int) -> Steps[None]:
        """Take one content."""
        if isinstance(content, Str):
            content = {"parts": [{"text": content}]}
        if not isinstance(content, dict):
            raise BadRequest(f"contents[{place}] has to be an object")
        role, parts = content.get("role") or "user", content.get("parts")
        parts = parts if isinstance(parts, list) else [parts] if isinstance(parts, dict) else []
        found = [
            (camel(part), f"contents[{place}].parts[{number}]")
            for number, part in enumerate(bounded(parts, f"contents[{place}].parts"))
        ]
        if role == "model":
            self._models += 1
            yield from self.turns.in_steps("assistant", (yield from self._model(found)))
        elif role == "system":
            for part, _ in found:
                if isinstance(part.get("text"), Str):
                    self.turns.system(Text(part["text"]))
        else:
            user: list[Part] = []
            for at, (part, where) in enumerate(found):
                if at % _STEP_PARTS == _STEP_PARTS - 1 or "functionResponse" in part:
                    yield
                if (response := camel(part.get("functionResponse"))) or "functionResponse" in part:
                    self._result(response, where)
                elif (found_part := self._part(part, where)) is not None:
                    user.append(found_part)
            yield from self.turns.in_steps("user", user)

    def _model(self, parts: list[tuple[dict[str, Any], str]]) -> Steps[list[Part]]:
        found: list[Part] = []
        thoughts: list[tuple[int, Thinking]] = []
        calls = 0
        for at, (part, where) in enumerate(parts):
            if at % _STEP_PARTS == _STEP_PARTS - 1:
                yield
            found += _sealed(part.get("thoughtSignature"))
            if part.get("thought") is True:
                if isinstance(part.get("text"), Str):
                    thoughts.append((len(found), Thinking(part["text"])))
                continue
            if "functionCall" in part:
                found.append(self._call(camel(part["functionCall"]), calls, where))
                calls += 1
            elif "executableCode" in part:
                code = camel(part["executableCode"])
                found.append(Text(_fenced(code.get("code"), str(code.get("language") or "").lower())))
            elif "codeExecutionResult" in part:
                result = camel(part["codeExecutionResult"])
                found.append(
                    Text(joined("\n", ["", str(result.get("outcome") or ""), _text(result.get("output")), ""]))
                )
            elif "toolCall" in part or "toolResponse" in part:
                self._lost["contents[].parts[].toolCall"] = None
            elif (found_part := self._part(part, where)) is not None:
                found.append(found_part)
        if thoughts and not any(isinstance(part, Thinking) for part in found):  # a carrier holds the same words
            for place, thought in reversed(thoughts):
                found.insert(place, thought)
        return found

    def _call(self, call: dict[str, Any], place: int, where: str) -> Call:
        name, id_, args = call.get("name"), call.get("id"), call.get("args")
        if call.get("willContinue") or call.get("partialArgs"):
            raise Untranslatable(f"{where}.functionCall: send the whole args", where)
        if not isinstance(name, str):
            raise BadRequest(f"{where}.functionCall.name is missing")
        arguments = arguments_of(args)
        if not isinstance(id_, str) or not id_:
            seed = f"{self._models} {place} {name} {b''.join(dump(arguments)).decode()}"
            id_ = f"g_{hashed(seed, 20)}"
        return Call(id_, name, arguments)

    def _result(self, response: dict[str, Any], where: str) -> None:
        name, id_ = response.get("name"), response.get("id")
        name = name if isinstance(name, str) else ""
        if not isinstance(id_, str) or not id_:
            id_ = self.turns.first_open(name) or name
        text, is_error = _response_text(response.get("response"))
        parts: list[Text | Media] = [Text(text)]
        for part in bounded(response.get("parts"), f"{where}.functionResponse.parts", RESULT_PARTS):
            media = self._part(camel(part), f"{where}.functionResponse")
            if isinstance(media, Text | Media):
                parts.append(media)
        self.turns.result(Result(id_, tuple(parts), is_error, name))

    def _part(self, part: dict[str, Any], where: str) -> Part | None:
        if isinstance(text := part.get("text"), Str):
            return Text(text)
        detail = {"LOW": "low", "HIGH": "high"}.get(
            str(camel(part.get("mediaResolution")).get("level"))[-4:].strip("_"), ""
        )
        if "inlineData" in part:
            data = camel(part["inlineData"])
            kind = str(data.get("mimeType") or "").lower()
            return _inline(kind, _text(data.get("data")), str(data.get("displayName") or ""), detail, where)
        if "fileData" in part:
            data = camel(part["fileData"])
            url, kind = _text(data.get("fileUri")), str(data.get("mimeType") or "")
            if not plain(url).lower().startswith("https://") or "generativelanguage.googleapis.com" in plain(url):
                raise Untranslatable(f"{where}.fileData is a file at Google; send it in inlineData", where)
            return media_of(
                "image" if kind.startswith("image/") else "document", url, f"{where}.fileData", detail=detail
            )
        return None


def _inline(kind: str, data: Str, name: str, detail: str, where: str) -> Part:
    if isinstance(data, str):
        data = data.translate(_STANDARD)
        data += "=" * (-len(data) % 4)
    if kind in IMAGES:
        return Media("image", kind, data, detail=detail)
    if kind == "application/pdf":
        return Media("document", kind, data, name=name)
    if kind.startswith("audio/"):
        return Media("audio", kind, data)
    if kind.startswith("text/") or kind == "application/json":
        return as_text(Media("document", kind, data, name=name), where)
    raise Untranslatable(f"{where}.inlineData: this provider takes no {kind or 'data without mimeType'}", where)


_STANDARD: Final = str.maketrans("-_", "+/")


def _sealed(signature: Any) -> list[Part]:
    """Return the reasoning in a carrier; a signature of Google's own has none for other providers."""
    seal = carrier.decode(signature) if isinstance(signature, Str) else None
    if seal is None or seal.kind != "blocks" or not isinstance(seal.data, list):
        return []
    found: list[Part] = []
    for block in seal.data:
        if isinstance(block, dict) and isinstance(text := block.get("x"), str):
            kind = block.get("k")
            found.append(
                Thinking(text, Seal(kind, block.get("d"), seal.maker, seal.model) if isinstance(kind, str) else None)
            )
    return found


def _response_text(response: Any) -> tuple[Str, bool]:
    """Return a function's response as text, and whether it is an error."""
    raw = response
    if isinstance(response, Raw):
        response = response.load()
    if not response:
        return "", False
    if isinstance(response, dict) and len(response) == 1:
        [(key, value)] = response.items()
        if key in ("output", "result", "error") and isinstance(value, str):
            return value, key == "error"
        if key == "error":
            return b"".join(dump(value)).decode(), True
    return (bytes(raw.data) if isinstance(raw, Raw) else b"".join(dump(raw))).decode(), False


def _fenced(code: Any, language: str) -> Str:
    return joined("", [f"```{language}\n", _text(code), "\n```"])


def _text(value: Any) -> Str:
    return value if isinstance(value, Str) and not is_blank(value) else ""
