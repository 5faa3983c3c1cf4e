"""The list of models that Codex asks for, and sample replies. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from ..base import Json, ServedList
from ..openai_chat import entry
from ..samples import event, pieces

# Codex demands instructions in each entry. For a model that it does not know it sends them instead of its own.
_INSTRUCTIONS: Final = (
    "You are Codex, a coding agent that works in the user's terminal, in the current working directory.\n"
    "Use the tools that you are offered to read, change and run code until the task is done. Make small, focused "
    "changes that fit the code around them, and check them with what the project offers: tests, linters, builds.\n"
    "Obey the AGENTS.md files of the directories in which you change files. Never undo changes that you did not make. "
    "Ask for approval where the sandbox demands it.\n"
    "At the end say in a few words what you changed, and what you could not do or check."
)


def is_error(event: Json) -> bool:
    """Tell whether an event announces a failure."""
    return bool(event.get("error")) or event.get("type") in ("error", "response.failed")


def _document(_: list[str], entries: list[str], catalogue: list[str]) -> str:
    return f'{{"object": "list", "data": [{", ".join(entries)}], "models": [{", ".join(catalogue)}]}}'


def _codex_entry(name: str, place: int) -> Json:
    """Return an entry with the values that Codex assumes for a model that it does not know.

    Source: openai/codex, ``ModelInfo`` in codex-rs/protocol/src/openai_models.rs; older releases need each member.
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


# Codex prefers this catalogue to its own knowledge of its vendor's models and their prompts. So with a ChatGPT login,
# by which it asks for those, its catalogue is empty.
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


def sample_reply(model: str, text: str) -> Json:
    """Return a whole reply."""
    return _response(model, text, "completed")


def sample_events(model: str, words: list[str]) -> Iterator[bytes]:
    """Yield the events of a streamed reply."""
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


LISTS: Final = (_CODEX_LOGIN, _CODEX)
"""The forms of the list that Codex asks for; OpenAI's own is that of Chat Completions."""
