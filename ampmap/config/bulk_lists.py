r"""Long lists of short items, read without the parser: a rule a line, or a few ``key: value`` lines each. Pure.

ruamel.yaml, which is pure Python, takes 0.1 milliseconds for a rule; what is here takes a tenth of that. It reads
nothing by itself, though. Where many items stand one below the other, all but the first and the last are taken out of
the text, and blank lines are left in their place. The parser reads that text; if it finds the first and the last to be
neighbours in one block list, at the places where they were seen here, then what stood between them are items of this
list as well, and are put back. In every other case (they were lines of a block of text, or something is wrong anywhere)
the parser reads the whole, and it alone complains.

That it comes to the same rests on two things:

* What is taken out is complete in itself and read alike by every YAML 1.2 parser: no anchor, alias, tag, escape, tab
  or line break in a value; plain scalars begin with a letter or ``^`` and hold nothing that has a meaning in YAML.
* Behind such an item, with the next line beginning a "- " in the same column, a parser is where it was before the item:
  in the same list. What could still go on (a plain scalar over several lines, a mapping with more keys) goes on behind
  the last item, and that one stays.

Texts with what changes the rules (directives, other line breaks than YAML's) are left alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache

from ..errors import Place
from .nodes import Kind, Mapping, Node, Scalar, Sequence

DEEPEST = 4  # levels that an item can have of its own: list, mapping, list of names, name
_FEW = 64  # items that the parser has read before the patterns below are even compiled

# Lines are counted at LF here. The parser counts a lone CR too, and takes some of the others for breaks here and there.
_BREAKS = "\x85\u2028\u2029\ufeff\ufffe\uffff"  # the last two are no characters
_FOREIGN = re.compile(r"^%|\r(?!\n)", re.MULTILINE)

_WORDS: dict[str, Kind] = {
    **dict.fromkeys(("true", "True", "TRUE", "false", "False", "FALSE"), "bool"),
    **dict.fromkeys(("null", "Null", "NULL"), "null"),
}

# Every repeat is possessive: no text, however hostile, makes one of these patterns try twice.
# Sets name what they leave out, for one with ranges beyond U+00FF takes milliseconds to compile.
_CONTROL = r"\x00-\x1f\x7f-\xa0"
_SAFE = r"[A-Za-z0-9_./@+*^$()|~-]"
_PLAIN = rf"[A-Za-z^]{_SAFE}{{0,128}}+(?::[A-Za-z0-9/]{_SAFE}{{0,128}}+){{0,3}}+"
_DOUBLE = rf'"[^"\\{_CONTROL}]{{0,256}}+"'
_SINGLE = rf"'[^'{_CONTROL}]{{0,256}}+'"
_SCALAR = rf"(?:{_PLAIN}|{_DOUBLE}|{_SINGLE})"
_NAMES = rf"\[ ?{_SCALAR}(?:, ?{_SCALAR}){{0,3}}+ ?\]"
_KEY = rf"(?!(?:{'|'.join(_WORDS)}):)(?:[A-Za-z][A-Za-z0-9_-]{{0,40}}+|\"[A-Za-z][A-Za-z0-9_-]{{0,40}}+\")"
_PAIR = rf"{_KEY}: {{1,8}}+(?:{_SCALAR}|{_NAMES})"
_END = rf"(?: ++\#[^{_CONTROL}]*+| *+)\r?\n"
_FLOW = rf"\{{ ?{_PAIR}(?:, ?{_PAIR}){{0,7}}+ ?\}}"

_DASH = re.compile(r"^ *- (?=[A-Za-z^\"'{])", re.MULTILINE)
_ITEM = (
    rf"(?P<indent> *+)- (?:(?P<flow>{_FLOW}){_END}|(?P<scalar>{_SCALAR}){_END}"
    rf"|(?P<block>{_PAIR}{_END}(?:(?P=indent)  {_PAIR}{_END})*+))"
)
_IDLE = re.compile(rf"(?: *+(?:\#[^{_CONTROL}]*+)?\r?\n)*+")
_VALUE = rf"(?P<key>{_KEY}): ++(?P<value>{_SCALAR}|(?P<names>{_NAMES}))"
_FLOW_PAIR = rf",? ?{_VALUE}"
_BLOCK_PAIR = rf" *+{_VALUE}{_END}"
_compiled = cache(re.compile)  # by whoever needs it: ten milliseconds that most starts are spared


class NotPlain(Exception):
    """What has been taken out should not have been: the parser has to read the whole text."""


@dataclass(slots=True)
class Run:
    """Items that follow each other. Lines count from 0, as the parser's do."""

    column: int  # of the items' values
    first: int  # the line of the first item
    last: int = 0
    nodes: list[Node] = field(default_factory=list)  # what stands between these two
    size: int = 0  # how many values that is
    is_used: bool = False


def may_be_many(text: str) -> bool:
    """Tell whether there may be so many items in a text that it is worth taking them out."""
    return text.count("- ") > _FEW


def take_out(text: str, file: str) -> tuple[str, dict[int, Run]]:
    """Return the text with blank lines for the items within runs, and the runs by the lines of their first items.

    Errors: NotPlain where an item gives a key twice.
    """
    runs: dict[int, Run] = {}
    if any(char in text for char in _BREAKS) or _FOREIGN.search(text):
        return text, runs
    kept: list[str] = []
    done = at = line = 0  # up to where the text is in ``kept``; where to look; the line there
    while dash := _DASH.search(text, at):
        line += text.count("\n", at, dash.start())
        at = dash.start()
        found = list(_items(text, at, line))
        if len(found) > 2:
            (first, first_line), *between, (last, last_line) = found
            run = runs[line] = Run(first.end("indent") - at + 2, first_line, last_line)
            run.nodes = [_node(item, Place(file, number + 1, run.column + 1), run) for item, number in between]
            gap = last_line - first_line - text.count("\n", at, first.end())
            kept += text[done : first.end()], "\n" * gap
            done = last.start()
        end = found[-1][0].end() if found else dash.end()
        line += text.count("\n", at, end)
        at = end
    kept.append(text[done:])
    return "".join(kept), runs


def _items(text: str, at: int, line: int) -> Iterator[tuple[re.Match[str], int]]:
    """Yield the items that stand one below the other from ``at`` on, each with its line."""
    indent = None
    matching = _compiled(_ITEM).match
    while (item := matching(text, at)) and indent in (None, item["indent"]):
        yield item, line
        indent = item["indent"]
        behind = _IDLE.match(text, item.end())
        assert behind is not None  # it can match nothing
        line += text.count("\n", at, behind.end())
        at = behind.end()


def _node(item: re.Match[str], place: Place, run: Run) -> Node:
    run.size += 1
    start, end = item.span("scalar")
    if start >= 0:
        return _scalar(item.string[start:end], place)
    entries: dict[str, tuple[Scalar, Node]] = {}
    is_flow = item["flow"] is not None
    line, base = place.line, item.end("indent") + 2 - (place.column - 1)  # ``base`` is where the line begins
    at, end = (item.end("indent") + 3, item.end("flow")) if is_flow else (item.end("indent") + 2, item.end())
    matching = _compiled(_FLOW_PAIR if is_flow else _BLOCK_PAIR).match
    while pair := matching(item.string, at, end):
        run.size += 2
        key = _scalar(pair["key"], Place(place.file, line, pair.start("key") - base + 1))
        if key.text in entries:
            raise NotPlain
        where = Place(place.file, line, pair.start("value") - base + 1)
        names = pair["names"]
        value = _scalar(pair["value"], where) if names is None else _sequence(names, where, run)
        entries[key.text] = key, value
        at = pair.end()
        if not is_flow:
            line, base = line + 1, at
    return Mapping(place, tuple(entries.values()))


def _sequence(text: str, place: Place, run: Run) -> Sequence:
    found = _compiled(_SCALAR).finditer(text)
    items = tuple([_scalar(one[0], Place(place.file, place.line, place.column + one.start())) for one in found])
    run.size += len(items)
    return Sequence(place, items)


def _scalar(text: str, place: Place) -> Scalar:
    if text[0] in "\"'":
        return Scalar(place, text[1:-1], "str")
    return Scalar(place, text, _WORDS.get(text, "str"))
