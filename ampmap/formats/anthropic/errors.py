"""Errors in the form of the Messages API, with the words to which its clients react. Pure."""

from __future__ import annotations

import re
from typing import Final

from ..base import Json
from ..events import Failure
from ..failures import CONTEXT, error_type

# Claude Code searches errors for these texts: at the first it compacts the conversation, at the others it asks for
# fewer tokens.
_TOO_LONG: Final = "prompt is too long"
_LIMITED: Final = "max_tokens: {0} > {1}, which is the maximum allowed number of output tokens for this model"
_TOGETHER: Final = "input length and `max_tokens` exceed context limit: {0} + {1} > {2}"

_NUMBER: Final = r"\D{0,40}?(\d[\d,]*)"
_MOST: Final = re.compile(
    rf"(?:maximum context length|context window|context size|context limit|maximum number of tokens){_NUMBER}", re.I
)
_ASKED: Final = re.compile(
    rf"(?:resulted in|requested|prompt contains|input tokens|request \(|token count){_NUMBER}"
    r"|(\d[\d,]*) (?:input )?tokens",
    re.I,
)
_OUTPUT: Final = re.compile(
    rf"max_(?:completion_|output_)?tokens\b.{{0,40}}?(?:too large|too high|exceed)(?:{_NUMBER})?"
    rf".{{0,80}}?(?:at most|maximum|limit|up to){_NUMBER} (?:completion |output )?tokens",
    re.I,
)
_RANGE: Final = re.compile(r"max_(?:completion_|output_)?tokens.{0,60}?\[\d+, ?(\d+)\]", re.I)
_ROOM: Final = re.compile(r"\((\d+) > (\d+) - (\d+)\)")  # vLLM


def error(status: int, message: str, _: str | None = None) -> Json:
    """Return the body of an error."""
    return {"type": "error", "error": {"type": error_type(status), "message": message}}


def is_error(event: Json) -> bool:
    """Tell whether an event's object announces a failure."""
    return bool(event.get("error")) or event.get("type") == "error"


def failure(failed: Failure) -> Json:
    """Return the body of a provider's error."""
    return error(failed.status, _message(failed))


def _message(failed: Failure) -> str:
    """Return the message, behind the words by which clients of this API recognise a limit."""
    message = failed.message
    if failed.status not in (400, 413, 422):
        return message
    if found := _ROOM.search(message):
        return f"{_TOGETHER.format(found[3], found[1], found[2])} ({message})"
    if (found := _OUTPUT.search(message)) and (limit := found[2]):
        return f"{_LIMITED.format(found[1] or int(limit) + 1, limit)} ({message})"
    if found := _RANGE.search(message):
        return f"{_LIMITED.format(int(found[1]) + 1, found[1])} ({message})"
    if failed.code != CONTEXT or _TOO_LONG in message.lower():
        return message
    if most := _MOST.search(message):
        limit = int(most[1].replace(",", ""))
        rest = message[: most.start()] + message[most.end() :]
        asked = [int((found[1] or found[2]).replace(",", "")) for found in _ASKED.finditer(rest)]
        if larger := [number for number in asked if number > limit]:
            return f"{_TOO_LONG}: {larger[0]} tokens > {limit} maximum ({message})"
    return f"{_TOO_LONG}: {message}"
