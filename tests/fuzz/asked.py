"""A client's request in one wire format, translated into every other.

The first line steers: its first byte is the format that the client speaks (``a``, ``c``, ``r``, ``g``), a second one
asks for what matters in that format besides (a stream, a count), a third lets providers take all that one may take.
Held to it:

* no error but those by which a request is refused, and each of them says something
* what is written is JSON in UTF-8, the same each time, and not much larger than what was read
* what is lost has a name
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

import hub

from ampmap.bodies.steps import finished
from ampmap.errors import BadRequest, Untranslatable
from ampmap.formats import counting
from ampmap.formats.base import Asked
from ampmap.formats.conversation import Conversation
from ampmap.formats.profile import UNKNOWN, Profile, Target
from ampmap.formats.registry import FORMATS
from ampmap.formats.translate import read_request

from . import control

LETTERS = {b"a": "anthropic", b"c": "openai-chat", b"r": "openai-responses", b"g": "gemini"}

_GENEROUS = Profile(
    max_output=100, effort=("none", "low", "high"), reasoning_field="reasoning_details", files=True,
    strict_schemas=True, mid_system="keep", developer_role=True, tool_content_parts=True, prompt_cache_key=True,
    cache_control=True, custom_tools=True, web_search=True, verbosity=True, top_k=True, prefill="prefix",
    tool_id="nine", json_schema=False,
)  # fmt: skip
_MODELS = {"anthropic": ("claude-opus-4-8", "claude-3-haiku"), "gemini": ("gemini-3-pro", "gemini-2.5-flash")}
_GROWTH = 64  # a character may become an escape, and a namespace's description stands with each of its tools
_ADDED = 16 * 1024


def check(data: bytes) -> None:
    """Read a request, and write it for each provider."""
    steer, body = control(data)
    format = LETTERS.get(steer[:1], "anthropic")
    conversation = _read(format, body, steer[1:2] != b"-")
    if conversation is None:
        return
    assert conversation == _read(format, body, steer[1:2] != b"-")
    assert all(isinstance(name, str) and name for name in conversation.lost)
    assert finished(counting.estimate(conversation)) > 0
    profile = _GENEROUS if steer[2:3] else UNKNOWN
    for provider in FORMATS:
        written = _written(provider, conversation, profile)
        assert written == _written(provider, conversation, profile)
        assert written is None or len(written) <= _GROWTH * len(body) + _ADDED


def _read(format: str, body: bytes, streams: bool) -> Conversation | None:
    path = min(hub.dialect(format).paths)
    query = ""
    if format == "gemini" and streams:
        path, query = path.replace(":generate", ":streamGenerate"), "alt=sse"
    try:
        return finished(read_request(hub.dialect(format), Asked(body=body, model="m", path=path, query=query)))
    except (BadRequest, Untranslatable) as exc:
        assert str(exc)
        return None


def _written(provider: str, conversation: Conversation, profile: Profile) -> bytes | None:
    model = _MODELS.get(provider, ("m", "m"))[profile is UNKNOWN]
    target = Target(model=model, profile=profile, maker=hub.MAKER)
    try:
        written = hub.write(provider, conversation, target)
    except (BadRequest, Untranslatable) as exc:
        assert str(exc)
        return None
    body = b"".join(written.pieces)
    found: Any = json.loads(body.decode("utf-8"), parse_constant=_refuse)
    assert isinstance(found, dict)
    assert all(isinstance(name, str) and name for name in written.lost)
    return body


def _refuse(constant: str) -> NoReturn:
    raise AssertionError(f"{constant} is no JSON")
