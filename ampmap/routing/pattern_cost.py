"""How much work a pattern can make of the worst name: a bound on the steps of :mod:`re`, which backtracks. Pure.

The parse tree becomes a graph of characters and choices, and the bound is the number of ways in which some name could
lead through it, counted step by step along the name, as if every attempt failed at its very end. It is never less than
what :mod:`re` does, and not much more where that matters:

* two ways into one place are added up only if one name can take both (``_together``);
* a word such as ``opus`` cannot end at two characters side by side, so what follows it is entered once in four
  characters at most (``_gap``);
* once a place is reached from which the pattern matches whatever follows, the search is over (``Move.is_final``).

``patterns`` is the only caller: it asks ``search_cost`` and says in words what is wrong.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from .pattern_charset import ANYTHING, chains, gap, ignores_case, mask

LENGTH = 256  # characters: a model's name has no more bytes
MAX_NODES = 2_000
MAX_EFFORT = 400_000  # steps of the analysis itself: half a second
MAX_COPIES = 16  # a{1,20} counts as a+, which can only be more work
HOPELESS = 10**12


class TooCostly(ValueError):
    """No bound, or none that could be found; ``why`` is "nested", "wide", "empty", "size", "flags" or the
    name of an operation that is not known here."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


@dataclass(slots=True)
class _Node:
    """A place in the graph. A ``word`` ends a word that cannot end again within ``gap`` characters."""

    kind: Literal["char", "choice", "start", "end", "test", "word", "accept"]
    next: list[int]
    mask: int = 0
    work: int = 1
    gap: int = 1
    swallows: bool = False  # repeats "." without end, so that the end of the name can be reached from here


@dataclass(frozen=True, slots=True)
class Move:
    """What can be tried next from a place: how often each character or word, at which cost for trying all."""

    targets: dict[int, int]
    work: int
    is_final: bool = False


def search_cost(items: Sequence[tuple[Any, Any]], ignore_case: bool, groups: int) -> int:
    """Return a bound on the steps of one search in a name of 256 characters. Errors: :class:`TooCostly`."""
    graph = _Graph(items, ignore_case)
    anchored, floating = graph.tree(-1), graph.tree(-2)
    total = anchored.total(LENGTH) + graph.endings
    total += sum(floating.own[: LENGTH + 1])
    for word, arrivals in floating.arrivals.items():
        if word == graph.opening:  # the attempts that get past the first word begin a gap apart
            lefts = range(LENGTH, -1, -graph.nodes[word].gap)
            total += sum(arrivals) * sum(graph.tree(word).total(left) for left in lefts)
        else:
            total += sum(graph.through(word, arrivals, left) for left in range(LENGTH))
    return total * (1 + groups // 8)  # a choice saves the marks of the groups before it


@dataclass(slots=True)
class _Tree:
    """The attempts that begin at one place: ``own[n]`` steps within ``n`` characters, up to the next words' ends."""

    graph: _Graph
    own: list[int]
    arrivals: dict[int, list[int]]  # for each word, how many ways can end it after so many characters
    _totals: dict[int, int] = field(default_factory=dict)

    def total(self, left: int) -> int:
        """Return the steps within ``left`` characters, those behind the words included."""
        if left not in self._totals:
            behind = sum(self.graph.through(word, ways, left) for word, ways in self.arrivals.items())
            self._totals[left] = self.own[left] + behind
        return self._totals[left]


class _Graph:
    """One pattern's graph, or one look-around's. Places -1 and -2 are its beginning, at the name's and further on."""

    def __init__(self, items: Sequence[tuple[Any, Any]], ignore_case: bool) -> None:
        self.nodes = [_Node("accept", [])]
        self.opening = 0  # the word with which the pattern begins
        self._effort = 0
        self._step: tuple[dict[int, int], dict[int, int]] = {}, {}  # the last step along the name: from where, to where
        self._trees: dict[int, _Tree] = {}
        self.entry = self._pattern(items, ignore_case)
        self.moves = {-1: self._move(self.entry, True), -2: self._move(self.entry, False)}
        for place, node in enumerate(self.nodes):
            if node.kind in ("char", "word"):
                self.moves[place] = self._move(node.next[0], False)

    # -- from the parse tree to the graph, last things first

    def _add(self, kind: Any, after: list[int], **more: Any) -> int:
        if len(self.nodes) >= MAX_NODES:
            raise TooCostly("size")
        self.nodes.append(_Node(kind, after, **more))
        return len(self.nodes) - 1

    def _pattern(self, items: Sequence[tuple[Any, Any]], ignore_case: bool) -> int:
        """Add the whole, and mark where the words of its outermost level end."""
        after = 0
        runs = [
            (fixed, list(run))
            for fixed, run in itertools.groupby(items, lambda item: chains([item], ignore_case) is not None)
        ]
        for number, (fixed, run) in reversed(list(enumerate(runs))):
            apart = gap(chains(run, ignore_case) or []) if fixed else 1
            if apart > 1:
                after = self._add("word", [after], gap=apart)
                self.opening = after if number == 0 else 0
            after = self._row(run, after, ignore_case)
        return after

    def _row(self, items: Iterable[tuple[Any, Any]], after: int, ignore_case: bool) -> int:
        for op, value in reversed(list(items)):
            after = self._item(str(op), value, after, ignore_case)
        return after

    def _item(self, op: str, value: Any, after: int, ignore_case: bool) -> int:
        if (taken := mask(op, value, ignore_case)) is not None:
            return self._add("char", [after], mask=taken, work=len(value) if op == "IN" else 1)
        match op:
            case "SUBPATTERN":
                if value[1] & (re.MULTILINE | re.VERBOSE) or value[2] & re.DOTALL:
                    raise TooCostly("flags")
                return self._row(value[3], after, ignores_case(value, ignore_case))
            case "ATOMIC_GROUP":  # takes the first way and no other: never more work than the plain group
                return self._row(value, after, ignore_case)
            case "BRANCH":
                return self._add("choice", [self._row(branch, after, ignore_case) for branch in value[1]])
            case "GROUPREF_EXISTS":
                return self._add("choice", [self._row(branch or (), after, ignore_case) for branch in value[1:]])
            case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
                return self._repeat(value, after, ignore_case)
            case "ASSERT" | "ASSERT_NOT":
                return self._add("test", [after], work=1 + _look_cost(value, ignore_case))
            case "AT":
                kind = {"AT_BEGINNING": "start", "AT_BEGINNING_STRING": "start", "AT_END_STRING": "end"}
                return self._add(kind.get(str(value), "test"), [after])
            case "FAILURE":  # how some versions parse (?!)
                return self._add("choice", [])
        raise TooCostly(op)

    def _repeat(self, value: Any, after: int, ignore_case: bool) -> int:
        low, high, body = value
        if high > MAX_COPIES:
            low = min(low, MAX_COPIES)
            if body.getwidth()[0] == 0:
                raise TooCostly("empty")
            loop = self._add("choice", [], work=2)
            entry = self._row(body, loop, ignore_case)
            is_dot = high >= LENGTH and self.nodes[entry].mask == ANYTHING and self.nodes[entry].next == [loop]
            self.nodes[loop].next, self.nodes[loop].swallows = [entry, after], is_dot
            first, low = (entry, low - 1) if low else (loop, 0)
        else:
            first = after
            for _ in range(high - low):
                first = self._add("choice", [self._row(body, first, ignore_case), after])
        for _ in range(low):
            first = self._row(body, first, ignore_case)
        return first

    def _move(self, place: int, at_start: bool) -> Move:
        """Walk from a place over everything that takes no character, in every way that there is."""
        targets: Counter[int] = Counter()
        work, is_final = 0, False
        ways = [(place, True, False)]  # a place, whether no test was passed on the way, whether "." can take the rest
        while ways:
            at, certain, swallowed = ways.pop()
            node = self.nodes[at]
            work += node.work
            self._spend(1)
            if node.kind in ("char", "word"):
                targets[at] += 1
            elif node.kind == "accept":
                is_final |= certain
            elif node.kind != "start" or at_start:
                certain &= node.kind in ("choice", "start") or (node.kind == "end" and swallowed)
                ways += [(after, certain, swallowed or node.swallows) for after in node.next]
        return Move(dict(targets), work, is_final)

    def _spend(self, effort: int) -> None:
        self._effort += effort
        if self._effort > MAX_EFFORT:
            raise TooCostly("size")

    # -- from the graph to the bound

    @cached_property
    def _together(self) -> set[tuple[int, int]]:
        """The pairs of places in which two attempts that began together can be after the same characters."""
        found = {(place, place) for place in self.moves}
        queue = list(found)
        while queue:
            one, other = queue.pop()
            mine, theirs = self.moves[one].targets, self.moves[other].targets
            self._spend(len(mine) * len(theirs))
            for pair in itertools.product(mine, theirs):
                if pair not in found and self.nodes[pair[0]].mask & self.nodes[pair[1]].mask:
                    found.add(pair)
                    queue.append(pair)
        return found

    @cached_property
    def _groups(self) -> dict[int, list[dict[int, int]]]:
        """For each place, the groups of places before it that can be occupied at the same time, with their ways."""
        before: dict[int, dict[int, int]] = {}
        for place, move in self.moves.items():
            for target, ways in move.targets.items() if place >= 0 else ():
                before.setdefault(target, {})[place] = ways
        groups: dict[int, list[dict[int, int]]] = {}
        for target, sources in before.items():
            self._spend(len(sources) ** 2)
            found = [{two: n for two, n in sources.items() if (one, two) in self._together} for one in sources]
            groups[target] = [group for number, group in enumerate(found) if group not in found[:number]]
        return groups

    def tree(self, place: int) -> _Tree:
        """Return the attempts that begin at a place, followed along the worst name."""
        if place not in self._trees:
            self._refuse_doubling(place)
            self._trees[place] = self._grown(place)
        return self._trees[place]

    def _grown(self, place: int) -> _Tree:
        move = self.moves[place]
        own, arrivals = [move.work], dict[int, list[int]]()
        ways = dict(move.targets)
        for taken in range(LENGTH + 1):
            for word in [at for at in ways if self.nodes[at].kind == "word"]:
                arrivals.setdefault(word, [0] * (LENGTH + 1))[taken] = ways.pop(word)
            if not ways:  # all attempts have ended
                own += own[-1:] * (LENGTH + 1 - taken)
                break
            own.append(own[-1] + sum(count * self.moves[at].work for at, count in ways.items()))
            if own[-1] > HOPELESS:
                raise TooCostly("wide")
            ways = self._next({at: count for at, count in ways.items() if not self.moves[at].is_final})
        return _Tree(self, own, arrivals)

    def _next(self, ways: dict[int, int]) -> dict[int, int]:
        """Return how many ways can lead to each place one character on."""
        self._spend(len(ways))
        before, found = self._step
        if ways != before:  # mostly it is the same all along the name: no way is left, or a loop has been entered
            reached = {after for at in ways for after in self.moves[at].targets}
            found = {
                at: max(sum(n * ways.get(one, 0) for one, n in group.items()) for group in self._groups[at])
                for at in reached
            }
            self._step = ways, found
        return found.copy()

    def _refuse_doubling(self, place: int) -> None:
        """Raise where the ways from a place grow exponentially, whether or not the search could still fail there.

        In twice the length, what grows as a power n^d gets 2^d times as much, which its logarithm hardly notices; the
        logarithm of what grows exponentially doubles.
        """
        counts = []
        ways = dict(self.moves[place].targets)
        for _ in range(LENGTH):
            ways = self._next({at: count for at, count in ways.items() if self.nodes[at].kind == "char"})
            if not ways:
                return
            counts.append(max(1, sum(ways.values())))
        half, whole = (counts[index].bit_length() for index in (LENGTH // 2, -1))
        if whole > 10 and whole > 1.4 * half:
            raise TooCostly("nested")

    def through(self, word: int, arrivals: list[int], left: int) -> int:
        """Return the steps behind a word that ``arrivals`` end: once in each gap, each time at its worst."""
        if self.moves[word].is_final:
            return self.moves[word].work
        gap = self.nodes[word].gap
        behind = self.tree(word)
        return sum(
            most * behind.total(left - at) for at in range(0, left + 1, gap) if (most := max(arrivals[at : at + gap]))
        )

    @cached_property
    def endings(self) -> int:
        """The steps that a search can still make when it is sure to succeed: once, or in a loop for each character."""
        finals = [place for place, move in self.moves.items() if move.is_final]
        return sum(self.tree(place).total(LENGTH) * (LENGTH if self._returns(place) else 1) for place in finals)

    def _returns(self, place: int) -> bool:
        seen: set[int] = set()
        queue = list(self.moves[place].targets)
        while queue:
            at = queue.pop()
            if at not in seen:
                seen.add(at)
                queue += self.moves[at].targets
        return place in seen


def _look_cost(value: Any, ignore_case: bool) -> int:
    """Return the steps of one look ahead or behind: a search that begins at one place only."""
    direction, body = value
    graph = _Graph(body, ignore_case)
    length = LENGTH if direction > 0 else min(LENGTH, body.getwidth()[1])
    return graph.tree(-1).total(length) + graph.endings
