"""Google's Gemini API, on its own paths and on those of Vertex AI. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from .base import Json, ListSource, ServedList, WireFormat
from .samples import event, pieces

# https://cloud.google.com/apis/design/errors
_ERRORS: Final = {
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_MODELS: Final = "/v1beta/models"


def _error(status: int, message: str, _: str | None) -> Json:
    word = _ERRORS.get(status, "INTERNAL" if status >= 500 else "INVALID_ARGUMENT")
    return {"error": {"code": status, "message": message, "status": word}}


def _model_path(path: str) -> tuple[str, str] | None:
    prefix, marker, tail = path.partition("/models/")
    name, colon, verb = tail.rpartition(":")
    if not (marker and name and colon and verb) or "/" in verb:
        return None
    if "/publishers/" in prefix and not prefix.endswith("/publishers/google"):  # Vertex: their wire format is another
        return None
    return name, f"{_MODELS}/{{model}}:{verb}"


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


FORMAT: Final = WireFormat(
    paths={},
    model_path=_model_path,
    path_template=f"{_MODELS}/{{model}}:{{method}}",
    error=_error,
    source=ListSource(path=_MODELS, query="pageSize=1000", key="models", prefers_name=True, omits_empty=True),
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
