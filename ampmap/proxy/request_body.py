"""Read a request's whole body, within its limit, and find the edits that a provider needs in it."""

from __future__ import annotations

from ..bodies.edits import Edit
from ..bodies.members import scan_members
from ..errors import BodyTooLarge
from ..escaping import counted
from ..formats.base import Repairs
from ..http.client_connection import ClientConnection, End
from ..http.headers import Length
from ..settings import Rule
from .turns import in_turns


async def whole_body(client: ClientConnection, limit: int) -> bytearray:
    """Return the request's body; sends a 100 first if the client expects one.

    Raises :class:`BodyTooLarge` as soon as the body is known to have more than ``limit`` bytes, and what
    :meth:`ClientConnection.read` raises.
    """
    if isinstance(client.framing, Length) and client.framing.count > limit:
        raise _too_large(limit)
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
            client.end_with(End.CLOSE)  # the rest, of unknown length, stays unread (RFC 9112 §9.3)
            raise _too_large(limit)
    return body


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"the body is larger than {counted(limit, 'byte')} (limits.model-body-bytes)")


async def find_edits(body: bytes | bytearray, rule: Rule | None, repairs: Repairs | None) -> list[Edit]:
    """Return the edits of a body for a provider of its own format, except that of the model's name.

    They are the ``set`` and ``drop`` of ``rule``, which maps the request, and ``repairs``. Raises as ``scan_members``
    does.
    """
    edits: list[Edit] = []
    changed = {*rule.drop, *dict(rule.set)} if rule else set()
    if repairs and repairs.member not in changed:  # two edits must not overlap
        edits += [(start, end, b"") for start, end in await in_turns(repairs.scan(body))]
    if rule and changed:
        edits += await in_turns(scan_members(body, rule.set, rule.drop))
    return edits
