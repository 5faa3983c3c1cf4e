"""Paths, lists of models, errors and sample replies of Gemini: all but translation. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from ..base import Json, ListSource, ServedList, WireFormat
from ..request_members import RequestMembers
from ..samples import event, pieces

# https://cloud.google.com/apis/design/errors
_STATUS: Final = {
    401: "UNAUTHENTICATED", 402: "RESOURCE_EXHAUSTED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED", 502: "UNAVAILABLE", 503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED", 529: "UNAVAILABLE",
}  # fmt: skip
_MODELS: Final = "/v1beta/models"


def error(status: int, message: str, _: str | None = None) -> Json:
    """Return the body of an error."""
    word = _STATUS.get(status, "INTERNAL" if status >= 500 else "INVALID_ARGUMENT")
    return {"error": {"code": status, "message": message, "status": word}}


def _model_path(path: str) -> tuple[str, str] | None:
    prefix, marker, tail = path.partition("/models/")
    name, colon, verb = tail.rpartition(":")
    if not (marker and name and colon and verb) or "/" in verb:
        return None
    if "/publishers/" in prefix and not prefix.endswith("/publishers/google"):  # Vertex: their wire format is another
        return None
    return name, f"{_MODELS}/{{model}}:{verb}"


def _only_allowed(config: Any) -> str:
    """Return the only function that may be called, where one has to be."""
    calling = config.get("functionCallingConfig") if isinstance(config, dict) else None
    if not isinstance(calling, dict) or calling.get("mode") != "ANY":
        return ""
    names = calling.get("allowedFunctionNames")
    return names[0] if isinstance(names, list) and len(names) == 1 and isinstance(names[0], str) else ""


def _entry(name: str) -> Json:
    methods = ["generateContent", "streamGenerateContent", "countTokens"]
    return {"name": f"models/{name}", "displayName": name, "supportedGenerationMethods": methods}


def _document(_: list[str], entries: list[str], __: list[str]) -> str:
    return f'{{"models": [{", ".join(entries)}]}}'


def _sample_reply(model: str, text: str) -> Json:
    candidate = {"content": {"role": "model", "parts": [{"text": text}]}, "finishReason": "STOP", "index": 0}
    return {"candidates": [candidate], "modelVersion": model}


def _sample_events(model: str, words: list[str]) -> Iterator[bytes]:
    for piece in pieces(words):
        yield event(_sample_reply(model, piece))


LISTED: Final = WireFormat(
    paths={},
    model_path=_model_path,
    path_template=f"{_MODELS}/{{model}}:{{method}}",
    error=error,
    members=RequestMembers(
        messages="contents",
        roleless_users=True,
        system=("systemInstruction",),
        forced_tool={"toolConfig": _only_allowed},
    ),
    reply_names=("modelVersion", "response.modelVersion"),  # Code Assist wraps its replies
    source=ListSource(
        path=_MODELS,
        query="pageSize=1000",
        key="models",
        prefers_name=True,
        token=("nextPageToken", "pageToken"),
        omits_empty=True,
    ),
    lists=(
        ServedList(
            name="gemini",
            path=_MODELS,
            segments=("google",),
            fields=(b"x-goog-api-key", b"x-goog-api-client"),  # google-genai with api_version "v1"
            entry=_entry,
            document=_document,
        ),
    ),
    key_field="x-goog-api-key",
    amp_segment="google",
    sample_reply=_sample_reply,
    sample_events=_sample_events,
)
"""The format without its dialect."""
