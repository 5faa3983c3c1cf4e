"""A request's body taken in whole, within its limit, and looked into without holding up anybody else."""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

from anyio.lowlevel import checkpoint

from ..amp.listed_tools import holds, scan_advertised
from ..amp.repairs import (
    scan_repairs,
)
from ..bodies.edits import Edit
from ..bodies.find_model import ModelSpan, scan_model
from ..bodies.members import scan_members
from ..errors import BodyTooLarge
from ..escaping import counted
from ..http.client_connection import ClientWire
from ..http.decoding import scan_decoded
from ..http.headers import Length
from ..routing.conditions import Facts, scan_facts
from ..settings import Rule

_T = TypeVar("_T")


async def whole_body(client: ClientWire, limit: int) -> bytearray:
    """Return the request's body, asking for it if the client waits to be asked.

    Raises :class:`BodyTooLarge` as soon as it is known to have more than ``limit`` bytes, and what
    :meth:`ClientWire.read` raises.
    """
    too_large = f"the body is larger than {counted(limit, 'byte')} (limits.model-body-bytes)"
    if isinstance(client.framing, Length) and client.framing.count > limit:
        raise BodyTooLarge(too_large)
    if isinstance(client.framing, Length):
        if (whole := client.whole_now()) is not None:
            return whole
        await client.send_continue()
        return await client.read_whole()
    await client.send_continue()
    body = bytearray()
    while (piece := await client.read()) is not None:
        body += piece
        if len(body) > limit:
            client.closing = True  # nobody knows how much is still to come (RFC 9112 §9.3)
            raise BodyTooLarge(too_large)
    return body


async def decoded(body: bytearray, coding: str, limit: int) -> bytearray:
    """Decode a body whose ``coding`` is not empty; ``limit`` and errors are those of ``scan_decoded``."""
    return await _in_turns(scan_decoded(body, coding, limit)) if body else body


async def find_model(body: bytearray) -> ModelSpan | None:
    """Find the model's name in a body. Raises :class:`BadRequest` as ``bodies.find_model`` does."""
    return await _in_turns(scan_model(body))


async def find_facts(body: bytearray) -> Facts:
    """Find what rules with a ``when`` may look at."""
    return await _in_turns(scan_facts(body))


async def find_edits(body: bytearray, rule: Rule | None, *, repairs: bool) -> list[Edit]:
    """Find what a provider gets otherwise than it came, besides the model's name.

    ``rule`` is the one that maps the request, whose ``set`` and ``drop`` are found; raises as ``scan_members`` does.
    ``repairs`` asks for what is to be cut out of an Anthropic request's body.
    """
    edits: list[Edit] = []
    changes = rule is not None and (rule.set or rule.drop)
    if repairs and not (rule and changes and "messages" in (*rule.drop, *dict(rule.set))):  # where repairs lie
        edits += [(start, end, b"") for start, end in await _in_turns(scan_repairs(body))]
    if rule and changes:
        edits += await _in_turns(scan_members(body, rule.set, rule.drop))
    return edits


async def may_list_tools(body: bytearray) -> bool:
    """Whether a request may list tools, by the plain spelling of that key: a search costs less than to read them."""
    return await _in_turns(holds(body, b'"tools"'))


async def find_tools(body: bytearray) -> dict[str, str]:
    """Find the tools that an Anthropic request lists, by their folded names."""
    return await _in_turns(scan_advertised(body))


async def _in_turns(steps: Generator[None, None, _T]) -> _T:
    """Run ``steps`` to its end and return its result, letting other connections have their turn between two steps."""
    while True:
        try:
            next(steps)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]  # what a generator returns has no type in StopIteration
        await checkpoint()
