"""Turns in the order that a :class:`~ampmap.formats.conversation.Conversation` promises. Pure.

Readers of requests fill :class:`Turns`; writers call :func:`folded` where a provider takes no later system messages.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from ..bodies.json_bounds import refuse_more
from ..bodies.steps import Steps
from ..bodies.texts import is_blank, joined
from ..errors import Untranslatable
from .conversation import Call, Part, Result, Role, Text, Turn

STEP_PARTS: Final = 200
"""How many parts of turns are looked at in one step."""
_PACE: Final = 100
TURN_PARTS: Final = 2560
"""The most parts in one turn, after neighbours of one role have become one: a writer frees them at once."""
_REMINDER: Final = ("<system-reminder>\n", "\n</system-reminder>")


@dataclass(slots=True, eq=False)
class _Called:
    """A call, and the result that has been found for it."""

    call: Call  # with an id of its own
    client_id: str
    turn: int  # its place: a reference to the turn would be a cycle, which keeps the body until it is collected
    result: Result | None = None


@dataclass(slots=True, eq=False)
class _Building:
    """A turn that more messages may be added to."""

    role: Role
    parts: list[Part] = field(default_factory=list)
    calls: list[_Called] = field(default_factory=list)
    orphans: list[Result] = field(default_factory=list)  # of a user's turn: results without a call


class Turns:
    """Takes messages in the client's order and puts them into the order of turns, in linear time.

    Neighbours of one role become one turn. A result moves right behind the turn that holds its call, in the order of
    the calls; the last of two results for one call counts. A call whose id was used before gets a new id, and the
    results that follow get the same.
    """

    def __init__(self) -> None:
        self._system: list[Text] = []
        self._turns: list[_Building] = []
        self._open: dict[str, deque[_Called]] = {}  # calls without a result, by the client's id
        self._waiting: deque[_Called] = deque()  # calls in their order; some may have a result by now
        self._named: dict[str, deque[_Called]] = {}  # the same by name
        self._last: dict[str, _Called] = {}  # the last call with a client's id
        self._ids: set[str] = set()
        self._uses: dict[str, int] = {}  # of a client's id

    def system(self, text: Text) -> None:
        """Add a system text. Before the first turn it is part of the system prompt."""
        if is_blank(text.text):
            return
        if self._turns:
            self._add("system", [text])
        else:
            self._system.append(text)

    def user(self, parts: Iterable[Part]) -> None:
        """Add parts of the user; results among them come first."""
        others = []
        for part in parts:
            if isinstance(part, Result):
                self.result(part)
            else:
                others.append(part)
        self._add("user", others)

    def assistant(self, parts: Iterable[Part]) -> None:
        """Add parts of the assistant."""
        self._add("assistant", list(parts))

    def in_steps(self, role: Role, parts: Sequence[Part]) -> Steps[None]:
        """Add many parts of the user or the assistant."""
        add = self.user if role == "user" else self.assistant
        for at in range(0, len(parts), STEP_PARTS):
            if at:
                yield
            add(parts[at : at + STEP_PARTS])

    def result(self, result: Result) -> None:
        """Add a tool's result."""
        called = self._next_open(result.id) or self._last.get(result.id)
        if called is None:
            self._turn_of("user").orphans.append(result)
            return
        called.result = Result(called.call.id, result.parts, result.is_error, called.call.name, result.mark)
        if called.turn == len(self._turns) - 1:
            self._begin("user")

    def first_open(self, name: str = "") -> str | None:
        """Return the client's id of the first call without a result, preferably one of a tool of that name."""
        for waiting in (self._named.get(name), self._waiting):
            while waiting:
                if waiting[0].result is None:
                    return waiting[0].client_id
                waiting.popleft()
        return None

    def done(self) -> Steps[tuple[tuple[Text, ...], tuple[Turn, ...]]]:
        """Return the system prompt and the turns."""
        found: list[Turn] = []
        results: list[Part] = []  # for the calls in the turn before
        seen = 0
        turns, self._turns = deque(self._turns), []  # freed one by one: all at once would take long
        while turns:
            turn = turns.popleft()
            seen += 1 + len(turn.parts)
            if seen > STEP_PARTS:
                seen = 0
                yield
            if results and turn.role != "user":
                found.append(Turn("user", tuple(results)))
                results = []
            if parts := (*results, *turn.orphans, *turn.parts):
                found.append(Turn(turn.role, parts))
            results = [called.result for called in turn.calls if called.result is not None]
        return tuple(self._system), tuple(found)

    def _next_open(self, id_: str) -> _Called | None:
        calls = self._open.get(id_)
        if not calls:
            return None
        called = calls.popleft()
        if not calls:
            del self._open[id_]
        return called

    def _add(self, role: Role, parts: Sequence[Part]) -> None:
        kept = [part for part in parts if not (isinstance(part, Text) and is_blank(part.text))]
        if not kept:
            return
        turn = self._turn_of(role)
        for part in kept:
            turn.parts.append(self._with_own_id(part, turn) if isinstance(part, Call) else part)
        refuse_more(len(turn.parts), f"messages of the role {role} in a row", TURN_PARTS)

    def _turn_of(self, role: Role) -> _Building:
        """Return the last turn if it has this role, or a new one."""
        return self._turns[-1] if self._turns and self._turns[-1].role == role else self._begin(role)

    def _begin(self, role: Role) -> _Building:
        self._turns.append(_Building(role))
        return self._turns[-1]

    def _with_own_id(self, call: Call, turn: _Building) -> Call:
        """Return a call under an id that no other call has, and expect its result."""
        client_id, count = call.id, self._uses.get(call.id, 0) + 1
        id_ = client_id if count == 1 else f"{client_id}-{count}"
        while id_ in self._ids:
            count += 1
            id_ = f"{client_id}-{count}"
        self._uses[client_id] = count
        self._ids.add(id_)
        call = call if id_ == client_id else replace(call, id=id_)
        called = self._last[client_id] = _Called(call, client_id, len(self._turns) - 1)
        turn.calls.append(called)
        for waiting in (
            self._open.setdefault(client_id, deque()),
            self._named.setdefault(call.name, deque()),
            self._waiting,
        ):
            waiting.append(called)
        return call


class Joined:
    """A list of turns, of which the last one may grow. A turn that does not grow stays the same object."""

    def __init__(self) -> None:
        self._turns: list[Turn] = []
        self._parts: list[Part] | None = None  # of the last turn, once it has grown

    @property
    def role(self) -> str:
        """The role of the last turn, empty before the first."""
        return self._turns[-1].role if self._turns else ""

    def begin(self, turn: Turn) -> None:
        """Add a turn."""
        self._close()
        self._turns.append(turn)

    def grow(self, parts: Iterable[Part]) -> None:
        """Add parts to the last turn."""
        self.parts.extend(parts)

    @property
    def parts(self) -> list[Part]:
        """The parts of the last turn; the caller may change the list."""
        if self._parts is None:
            self._parts = [*self._turns[-1].parts]
        return self._parts

    def turns(self) -> list[Turn]:
        """Return all turns."""
        self._close()
        return self._turns

    def _close(self) -> None:
        if self._parts is not None:
            self._turns[-1] = Turn(self._turns[-1].role, tuple(self._parts))
            self._parts = None


def paced(parts: Iterable[Part]) -> Iterator[Part | None]:
    """Yield parts, and None between steps; a result counts as all of its parts."""
    seen = 0
    for part in parts:
        seen += 1 + len(part.parts) if isinstance(part, Result) else 1
        if seen > _PACE:
            seen = 0
            yield None
        yield part


def folded(turns: Iterable[Turn]) -> Steps[list[Turn]]:
    """Return turns without the role ``system``, for providers that take system messages only in front.

    A system text becomes a reminder at the end of the user's turn before it, within the last result if that turn ends
    with one. Behind an assistant's turn it goes to the front of the user's next turn. It never joins the system prompt,
    which has to stay the same from request to request, or no prompt cache is hit.
    """
    out = Joined()
    waiting: list[Part] = []
    seen = 0
    for turn in turns:
        seen += 1 + len(turn.parts)
        if seen > STEP_PARTS:
            seen = 0
            yield
        if turn.role == "system":
            reminders = [_reminder(part) for part in turn.parts if isinstance(part, Text)]
            if out.role != "user":
                waiting += reminders
            elif isinstance(last := out.parts[-1], Result):
                out.parts[-1] = replace(last, parts=(*last.parts, *reminders))
            else:
                out.grow(reminders)
        elif turn.role == "user" and out.role == "user":
            out.grow(turn.parts)
        elif turn.role == "user" and waiting:
            results = sum(isinstance(part, Result) for part in turn.parts)
            out.begin(Turn("user", (*turn.parts[:results], *waiting, *turn.parts[results:])))
            waiting = []
        else:
            out.begin(turn)
    if waiting:
        out.begin(Turn("user", tuple(waiting)))
    return out.turns()


def no_prefill() -> Untranslatable:
    """Return the error for a provider that cannot continue the assistant's last text, in Anthropic's words."""
    return Untranslatable(
        "messages: this model does not support assistant message prefill; the conversation must end with a user "
        "message",
        "messages",
    )


def _reminder(text: Text) -> Text:
    return replace(text, text=joined("", [_REMINDER[0], text.text, _REMINDER[1]]))
