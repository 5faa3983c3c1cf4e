"""Write a conversation as a request of the Messages API, for a provider. Pure."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import Any, Final

from ...bodies.texts import dump, dump_in_steps, is_blank, plain
from ...errors import Untranslatable
from ..base import Json, Lost, Steps, Written
from ..conversation import Conversation, Format, Mark, Text, Turn
from ..identifiers import Names
from ..marks import limit_marks, written_mark
from ..profile import Target
from ..schemas import instruction
from ..tools import tools_and_choice
from ..turns import folded
from .blocks_out import Blocks
from .models import Model, model_of
from .requests_in import COUNT_PATH, opaque_user
from .thinking_out import written_thinking
from .tools_out import written_choice, written_tool

PATH: Final = "/v1/messages"

_MAX_TOKENS: Final = 32000  # every Claude from the fourth generation on takes it
_NEVER_TAKEN: Final = ("presence_penalty", "frequency_penalty", "verbosity", "cache_key")
_CONTINUE: Final[Json] = {"type": "text", "text": "Continue."}
_TURN_BLOCKS: Final = 100  # between two yields


def write_request(conversation: Conversation, target: Target) -> Steps[Written]:
    """Write a request. Its second piece holds the members that :func:`write_count` leaves out."""
    lost: Lost = {}
    model = model_of(target)
    profile = target.profile
    names = Names(profile.tool_name_max)
    if not conversation.turns:  # Codex warms up with its developer message alone
        conversation = replace(conversation, turns=(Turn("user", conversation.system),), system=())
    conversation, own = yield from limit_marks(conversation, lost)
    tools, choice = tools_and_choice(conversation, lost, ("web_search",) if profile.web_search else ())
    if own and not profile.cache_control:
        lost["cache_control"] = None
    lost.update({name: None for name in _NEVER_TAKEN if getattr(conversation, name)})
    if conversation.seed is not None:
        lost["seed"] = None

    limit = _max_tokens(conversation, model, lost)
    forced = choice is not None and choice.mode in ("required", "tool")
    thinking, effort = written_thinking(conversation, model, target, limit, lost, forced=forced)
    system = list(conversation.system)
    output: Json = {"effort": effort} if effort else {}
    if conversation.format:
        _add_format(conversation.format, model, output, system, lost)

    marked = written_mark(conversation.mark if own else Mark(), profile)
    rest: Json = dict(marked) if profile.top_level_cache_control else {}
    if thinking:
        rest["thinking"] = thinking
    if output:
        rest["output_config"] = output
    if tools:
        strict = model.structured and profile.strict_schemas
        rest["tools"] = sent = list[Json]()
        for tool in tools:
            sent.append(written_tool(tool, names, lost, strict=strict, mark=written_mark(tool.mark, profile)))
            yield
        if found := written_choice(choice, conversation.parallel_calls, tools, names):
            rest["tool_choice"] = found
    yield
    blocks = Blocks(target, names, lost)
    if system:
        rest["system"] = blocks.texts(system)
    if not (own and profile.top_level_cache_control) and (last := rest.get("system") or rest.get("tools")):
        last[-1] |= marked

    pieces: list[bytes | memoryview] = [
        b'{"model":%b' % b"".join(dump(target.model)),
        _members(_generation(conversation, model, limit, thinking, lost)),
        b"".join((yield from dump_in_steps(rest))),
        b',"messages":[',
    ]
    pieces[2] = b"," + pieces[2][1:-1] if rest else b""
    begun = len(pieces)
    for message in _messages((yield from _placed(conversation.turns, model, target)), blocks, model):
        if message is None:
            yield
            continue
        role, content = message
        comma = b"," if len(pieces) > begun else b""
        pieces.append(b'%b{"role":"%b","content":[' % (comma, role.encode()))
        for at in range(0, len(content), _TURN_BLOCKS):
            if at:
                pieces.append(b",")
            pieces += _elements(content[at : at + _TURN_BLOCKS])
            yield
        pieces.append(b"]}")
    if len(pieces) == begun:
        raise Untranslatable("messages: at least one message is required", "messages", "invalid_request")
    pieces.append(b"]}")
    return Written(path=PATH, pieces=pieces, names=names.back, lost=tuple(lost))


def write_count(written: Written, target: Target) -> Written:
    """Return the request that asks how many tokens a written one has."""
    del target
    first, _, *rest = written.pieces
    return replace(written, path=COUNT_PATH, pieces=[first, *rest])


def _members(found: Json) -> bytes:
    return b"," + b"".join(dump(found))[1:-1] if found else b""


def _elements(found: list[Json]) -> list[bytes | memoryview]:
    """Return the JSON of an array without its brackets."""
    first, *others = dump(found)
    if not others:
        return [first[1:-1]]
    return [first[1:], *others[:-1], others[-1][:-1]]


def _max_tokens(conversation: Conversation, model: Model, lost: Lost) -> int:
    asked = conversation.max_output
    if asked is None or asked < 1:
        return model.max_tokens or _MAX_TOKENS
    if model.max_tokens and asked > model.max_tokens:
        lost["max_output"] = None
        return model.max_tokens
    return asked


def _generation(conversation: Conversation, model: Model, limit: int, thinking: Json | None, lost: Lost) -> Json:
    """Return the members that have no influence on the number of the prompt's tokens."""
    found: Json = {"max_tokens": limit}
    if conversation.stream:
        found["stream"] = True
    if stops := [stop for stop in conversation.stop if stop.strip()]:
        found["stop_sequences"] = stops
    thinks = thinking is not None and thinking["type"] in ("enabled", "adaptive")
    temperature, top_p, top_k = conversation.temperature, conversation.top_p, conversation.top_k
    sampling: Json = {}
    if temperature is not None and model.sampling != "none" and not (thinks and temperature != 1):
        sampling["temperature"] = min(temperature, 1)
    if top_p is not None and model.sampling != "none" and not (thinks and top_p < 0.95):
        if model.sampling == "all" or "temperature" not in sampling:
            sampling["top_p"] = top_p
    if top_k is not None and model.sampling != "none" and not thinks:
        sampling["top_k"] = top_k
    for key, asked in (("temperature", temperature), ("top_p", top_p), ("top_k", top_k)):
        if asked is not None and sampling.get(key) != asked:
            lost[key] = None
    found |= sampling
    if conversation.user:
        found["metadata"] = {"user_id": opaque_user(conversation.user)}
    return found


def _add_format(wanted: Format, model: Model, output: Json, system: list[Text], lost: Lost) -> None:
    if wanted.schema is not None and model.structured:
        output["format"] = {"type": "json_schema", "schema": wanted.schema}
        for key in ("description", "strict"):
            if getattr(wanted, key):
                lost[f"format.{key}"] = None
        return
    lost["response_format"] = None
    system.append(Text(instruction(wanted)))


def _placed(turns: Sequence[Turn], model: Model, target: Target) -> Steps[list[Turn]]:
    """Return turns with system turns only where the model takes them; the others are folded.

    Such a turn has to follow a user's turn, to be the last one or to precede an assistant's, and to have no other
    system turn beside it.
    """
    joined: list[Turn] = []
    for turn in turns:
        if joined and turn.role == "system" == joined[-1].role:
            joined[-1] = Turn("system", (*joined[-1].parts, *turn.parts))
        else:
            joined.append(turn)
    if not model.mid_system or target.profile.mid_system != "keep":
        return (yield from folded(joined))
    out: list[Turn] = []
    begun = 0
    for at, turn in enumerate(joined):
        follows = at and joined[at - 1].role == "user"
        if turn.role == "system" and follows and (at + 1 == len(joined) or joined[at + 1].role == "assistant"):
            out += [*(yield from folded(joined[begun:at])), turn]
            begun = at + 1
    return out + (yield from folded(joined[begun:]))


def _messages(
    turns: Sequence[Turn], blocks: Blocks, model: Model
) -> Generator[tuple[str, list[Json]] | None, None, None]:
    """Yield the roles and contents of messages, and None between steps.

    If a turn is lost, its neighbours of one role become one.
    """
    role, held = "", list[Json]()
    for turn in turns:
        content = yield from blocks.of(turn)
        if not content:
            continue
        if turn.role != role and held:
            yield role, held
            held = []
        role = turn.role
        held += content
    if role == "assistant" and not any(block["type"] == "tool_use" for block in held):
        if not model.prefill:  # the model would refuse to continue the assistant's text
            yield role, held
            role, held = "user", [_CONTINUE]
        else:
            _trim(held)
    if held:
        yield role, held


def _trim(blocks: list[Json]) -> None:
    """Take reasoning and blanks off the end of a prefill, the only place where the API refuses them."""
    # https://github.com/router-for-me/CLIProxyAPI/issues/5321
    while blocks and blocks[-1]["type"] in ("thinking", "redacted_thinking"):
        blocks.pop()
    last: Any = blocks[-1] if blocks else {"type": ""}
    if last["type"] == "text" and not is_blank(last["text"]):
        last["text"] = plain(last["text"]).rstrip()
