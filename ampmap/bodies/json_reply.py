"""Read the JSON of a large reply, or of a large event of one, in steps. Pure.

A value is what ``json`` makes of it, except that a string of more than TEXT_BYTES stays a
:class:`~ampmap.bodies.texts.Long`.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from ..errors import BadRequest, UpstreamProtocolError
from .json_scan import BLANKS
from .json_tree import Tree, Unreadable, skipped
from .json_walk import Walk
from .steps import Steps
from .texts import Long, Str, plain, stretches

TEXT_BYTES: Final = 1024 * 1024
"""The longest string that is decoded; the models of today write half of it in one reply."""

REPLY_VALUES: Final = 50_000
"""The most values: freeing them takes some milliseconds."""

_LEVELS: Final = 200


def read_reply(body: bytes, words: Collection[str]) -> Steps[Any]:
    """Return the value of a body that is one JSON value.

    Raises :class:`Unreadable` for a body that is no JSON, and :class:`UpstreamProtocolError` for one of too many
    values, or with a string of more than TEXT_BYTES under one of the keys ``words``.
    """
    tree, walk = _Reply(body), Walk(body)
    at = len(body) - len(body.lstrip(BLANKS))
    try:
        yield from skipped(walk, at)
        if body[walk.at :].strip(BLANKS):
            raise Unreadable(f"expected the end at {walk.at}")
        value = yield from tree.read(at, "its reply")
    except BadRequest as exc:
        raise UpstreamProtocolError(f"its reply has more than {REPLY_VALUES} values in one piece") from exc
    except (ValueError, IndexError) as exc:
        raise Unreadable(str(exc)) from exc
    yield from _refuse_long(value, words)
    return value


class _Reply(Tree):
    """Decodes strings, except the longest ones."""

    def __init__(self, body: bytes) -> None:
        super().__init__(body, ())
        self._depth, self._longest, self._most = _LEVELS, REPLY_VALUES, REPLY_VALUES

    def _end(self, at: int) -> Steps[int]:
        raise RecursionError(f"values are nested too deeply at {at}")

    def _string(self, at: int) -> tuple[Str, int] | None:
        found = super()._string(at)
        return (plain(found[0]), found[1]) if found else None

    def _long(self, at: int) -> Steps[tuple[Str, int]]:  # type: ignore[override]  # here, a str as well
        text, end = yield from super()._long(at)
        if len(text) > TEXT_BYTES:
            return text, end
        pieces = []
        for part in text.parts:
            assert isinstance(part, memoryview)
            for piece in stretches(part):
                pieces.append(piece)
                yield
        return "".join(pieces), end


def _refuse_long(value: Any, words: Collection[str]) -> Steps[None]:
    """Refuse a text that is too long to be translated in one piece; other strings, such as images, may be longer."""
    waiting = [value]
    seen = 0
    while waiting:
        each = waiting.pop()
        seen += 1
        if not seen % 1000:
            yield
        if isinstance(each, dict):
            for key, member in each.items():
                if isinstance(member, Long) and key in words:
                    raise UpstreamProtocolError(f"a text of its reply has more than {TEXT_BYTES} bytes in one piece")
                if isinstance(member, dict | list):
                    waiting.append(member)
        elif isinstance(each, list):
            waiting += [member for member in each if isinstance(member, dict | list)]
