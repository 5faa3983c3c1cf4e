"""OpenAI's Responses API, and the list of models that Codex asks for. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from .base import Json, ServedList, WireFormat
from .openai_chat import entry, error
from .samples import event, pieces

# Codex takes no entry without instructions, and sends them in the place of its own for a model that it does not know.
_INSTRUCTIONS: Final = (
    "You are Codex, a coding agent that works in the user's terminal, in the current working directory.\n"
    "Use the tools that you are offered to read, change and run code until the task is done. Make small, focused "
    "changes that fit the code around them, and check them with what the project offers: tests, linters, builds.\n"
    "Obey the AGENTS.md files of the directories in which you change files. Never undo changes that you did not make. "
    "Ask for approval where the sandbox demands it.\n"
    "At the end say in a few words what you changed, and what you could not do or check."
)


def _is_error(event: Json) -> bool:
    return bool(event.get("error")) or event.get("type") in ("error", "response.failed")


def _document(_: list[str], entries: list[str], catalogue: list[str]) -> str:
    return f'{{"object": "list", "data": [{", ".join(entries)}], "models": [{", ".join(catalogue)}]}}'


def _codex_entry(name: str, place: int) -> Json:
    """Return the entry that Codex assumes by itself for a model that it does not know.

    Source: openai/codex, ``ModelInfo`` in codex-rs/protocol/src/openai_models.rs; older releases need each of these.
    """
    return {
        "slug": name,
        "display_name": name,
        "description": None,
        "supported_reasoning_levels": [],
        "shell_type": "default",
        "visibility": "list",
        "supported_in_api": True,
        "priority": place,
        "upgrade": None,
        "base_instructions": _INSTRUCTIONS,
        "supports_reasoning_summaries": False,
        "support_verbosity": False,
        "default_verbosity": None,
        "apply_patch_tool_type": None,
        "truncation_policy": {"mode": "bytes", "limit": 10_000},
        "supports_parallel_tool_calls": False,
        "context_window": 272_000,
        "experimental_supported_tools": [],
    }


# Codex prefers the catalogue to its own knowledge of its vendor's models and their prompts; with a ChatGPT login it
# gets an empty one.
_CODEX: Final = ServedList(
    name="codex",
    parameter="client_version",
    entry=entry,
    document=_document,
    catalogue_entry=_codex_entry,
    every_format=True,
)
_CODEX_LOGIN: Final = replace(_CODEX, name="codex-login", parameter_field=b"chatgpt-account-id", catalogue_entry=None)


def _response(model: str, text: str, status: str) -> Json:
    content = [{"type": "output_text", "text": text, "annotations": []}]
    message = {"type": "message", "id": "msg_1", "status": status, "role": "assistant", "content": content}
    return {"id": "resp_1", "object": "response", "created_at": 1, "status": status, "model": model, "tools": [],
            "output": [message] if text else [], "parallel_tool_calls": True, "tool_choice": "auto"}  # fmt: skip


def _sample_reply(model: str, text: str) -> Json:
    return _response(model, text, "completed")


def _sample_events(model: str, words: list[str]) -> Iterator[bytes]:
    started = {"type": "response.created", "sequence_number": 0, "response": _response(model, "", "in_progress")}
    yield event(started, "response.created")
    item = {"type": "message", "id": "msg_1", "status": "in_progress", "role": "assistant", "content": []}
    added = {"type": "response.output_item.added", "sequence_number": 1, "output_index": 0, "item": item}
    yield event(added, "response.output_item.added")
    part = {"type": "output_text", "text": "", "annotations": []}
    begun = {"type": "response.content_part.added", "sequence_number": 2, "item_id": "msg_1", "output_index": 0,
             "content_index": 0, "part": part}  # fmt: skip
    yield event(begun, "response.content_part.added")
    for number, piece in enumerate(pieces(words), 3):
        delta = {"type": "response.output_text.delta", "sequence_number": number, "item_id": "msg_1",
                 "output_index": 0, "content_index": 0, "delta": piece, "logprobs": []}  # fmt: skip
        yield event(delta, "response.output_text.delta")
    done = _response(model, " ".join(words), "completed")
    yield event({"type": "response.completed", "sequence_number": 99, "response": done}, "response.completed")


FORMAT: Final = WireFormat(
    paths={
        "/v1/responses": "/v1/responses",
        "/responses": "/v1/responses",
        "/v1/responses/compact": "/v1/responses/compact",
        "/v1/responses/input_tokens": "/v1/responses/input_tokens",
    },
    error=error,
    is_error=_is_error,
    lists=(_CODEX_LOGIN, _CODEX),
    amp_segment="openai",
    sample_reply=_sample_reply,
    sample_events=_sample_events,
)
