"""YAML text as a tree in which every value knows where it stands. Only ``yaml_tabs`` and this import ruamel.yaml.

``file`` and the readers decide what the values mean. The tree has scalars, lists, and mappings with text for keys. A
scalar keeps its text beside the kind that YAML 1.2's core schema gives it; no object is ever constructed from a tag.
The bytes are untrusted: size, depth and the number of values are bounded, and any input gives a tree or
:class:`ConfigError`. A complaint never quotes a value, which may be a secret.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, NoReturn

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, StreamMark
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode
from ruamel.yaml.nodes import Node as RawNode
from ruamel.yaml.reader import ReaderError

from ..errors import Complaint, ConfigError, Place
from .nodes import Kind, Mapping, Node, Scalar, Sequence
from .yaml_tabs import TabScanner, indenting_tab

MAX_BYTES = 4 * 1024 * 1024  # ten thousand rules are 0.4 MiB, and take the parser, pure Python, two seconds
MAX_NODES = 200_000  # aliases expanded: nine lines of "billion laughs" would be 10^9
MAX_DEPTH = 100  # a real file has five levels; Python's stack holds about three hundred of the parser's


@dataclass(frozen=True, slots=True)
class Span:
    """The characters of one value, ``start`` up to ``end``, for who edits the text.

    The ``parts`` are a list's items, or a mapping's keys and values in turn. An absent value is empty and stands where
    the next thing begins. An alias has the span of its anchor.
    """

    start: int
    end: int
    column: int
    style: Literal["scalar", "flow", "block"]
    text: str = ""
    parts: tuple[Span, ...] = ()


# YAML 1.2.2 §10.3.2, tag resolution of the core schema.
_CORE: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    ("null", re.compile(r"~|null|Null|NULL|")),
    ("bool", re.compile(r"true|True|TRUE|false|False|FALSE")),
    ("int", re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")),
    ("float", re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")),
)

_TAG = "tag:yaml.org,2002:"
_SCALAR_TAGS = {_TAG + kind for kind in ("str", "int", "float", "bool", "null", "timestamp", "merge", "value")}

_SECRET = re.compile(r"(?<=[:=]).+|(?=[^\s:=]*[0-9])[^\s:=]{12,}.*", re.DOTALL)

_QUOTE_OPEN = "the quote that opens here is never closed"
_BAD_ESCAPE = "not an escape that double quotes know; use single quotes, or write each backslash twice"
_NO_ANCHOR = "this alias (*name) has no anchor (&name); if the value begins with '*', put it in quotes"
_NO_TAGS = "tags (!name) have no meaning here; if the value begins with '!', put it in quotes"
_TOO_DEEP = f"nested more than {MAX_DEPTH} levels deep"

# The parser's words, by their beginning, and ours. Some of its own quote the text, so nothing of them is passed on.
_SENTENCES = (
    ("found character '\\t'", "a tab cannot indent YAML; indent with spaces"),
    ("found character", "a value cannot begin with this character; put the value in quotes"),
    ("could not find expected ':'", "this line is not 'key: value'; a key needs a colon and a blank after it"),
    ("mapping values are not", "'key: value' is not expected here; check the indentation, or put the text in quotes"),
    ("sequence entries are not", "a list cannot begin here; put its '- ' on a line of its own"),
    ("found unexpected end of stream", _QUOTE_OPEN),
    ("found unexpected document separator", _QUOTE_OPEN),
    ("found unknown escape", _BAD_ESCAPE),
    ("expected escape sequence", _BAD_ESCAPE),
    ("found undefined alias", _NO_ANCHOR),
    ("found undefined tag handle", _NO_TAGS),
    ("but found another document", "a second document begins here; keep one document in a file"),
    ("expected ',' or", "a comma or the closing bracket is missing before this"),
    ("expected <block end>", "this does not line up with what stands above it; check the indentation"),
    ("maximum depth", _TOO_DEEP),
    ("more indented follow up line", "a blank line above this text has blanks in it; take them out"),
)
# Where the parser notices these is far from where they went wrong; its context says where they began.
_BLAME_CONTEXT = ("could not find expected ':'", "found unexpected end of stream", "found unexpected document")

# Beside its own errors ruamel.yaml 0.19 lets these out: AssertionError for "%YAML 1.9", ValueError and OverflowError
# for "\UFFFFFFFF", RecursionError (a RuntimeError) before it knew max_depth.
_FOREIGN = (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
_FOREIGN_CAUSE = re.compile(r"^%.*|\\U(?!000|0010)", re.MULTILINE)


def parse(data: bytes, file: str, found: list[Complaint] | None = None) -> Node:
    """Return the tree of the one document in ``data``; an empty file, or one of comments alone, is an empty mapping.

    What can be read past (duplicate keys, keys that are not strings, tags, bad merges) is appended to ``found`` where
    that is given, and raised together at the end where it is not.

    Errors: ConfigError when it is larger than 4 MiB, not UTF-8, not YAML, more than one document, nested too deeply,
    contains itself, or expands to more than 200,000 values.
    """
    if len(data) > MAX_BYTES:
        _fail(f"larger than {MAX_BYTES >> 20} MiB; split the file and give ampmap the directory", Place(file, 1))
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        place = _place_at(file, data[: exc.start].decode("utf-8", "replace"), exc.start)
        raise ConfigError(Complaint("this is not UTF-8; save the file as UTF-8", place)) from exc
    raw = _compose(text, file)
    builder = _Builder(file)
    tree = Mapping(Place(file, 1), ()) if raw is None else builder.node(raw)
    if is_null(tree):  # "---" and nothing after it
        tree = Mapping(tree.place, ())
    if found is not None:
        found += builder.complaints
    elif builder.complaints:
        raise ConfigError(*builder.complaints)
    return tree


def outline(text: str) -> Span | None:
    """Return where everything in ``text`` stands, which :func:`parse` has read without complaint; None if it is empty.

    A byte order mark counts as the first character where ``text`` still has it.
    """
    mark = len(text) - len(text.removeprefix("\ufeff"))
    raw = _compose(text[mark:], "")
    return None if raw is None else _span(raw, text, mark)


def _span(raw: RawNode, text: str, offset: int) -> Span:
    start, end = raw.start_mark.index + offset, raw.end_mark.index + offset
    if isinstance(raw, ScalarNode):
        if start < end:  # the mark at a block scalar's end is behind blank lines
            end = start + len(text[start:end].rstrip())
        return Span(start, end, raw.start_mark.column, "scalar", raw.value)
    assert isinstance(raw, MappingNode | SequenceNode)  # there is no fourth kind of node
    children = [part for pair in raw.value for part in pair] if isinstance(raw, MappingNode) else raw.value
    parts = tuple([_span(child, text, offset) for child in children])
    if raw.flow_style:
        return Span(start, end, raw.start_mark.column, "flow", parts=parts)
    # The mark at a block's end is at the next token, behind comments.
    end = max((part.end for part in parts if part.start < part.end), default=start)
    return Span(start, end, raw.start_mark.column, "block", parts=parts)


def merge(first: Mapping, second: Mapping, found: list[Complaint]) -> Mapping:
    """Return both in one: lists are joined, mappings merged, and a key without a value gives way.

    Anything else given twice is appended to ``found``, with both places; the first stays.
    """
    entries = {key.text: (key, value) for key, value in first.entries}
    for key, value in second.entries:
        old_key, old = entries.get(key.text, (key, None))
        match old, value:
            case (None, _) | (Scalar(kind="null"), _):
                entries[key.text] = (key, value)
            case _, Scalar(kind="null"):
                pass
            case Mapping(), Mapping():
                entries[key.text] = (old_key, merge(old, value, found))
            case Sequence(), Sequence():
                entries[key.text] = (old_key, Sequence(old.place, old.items + value.items))
            case _:
                what = f"{guarded(key.text)} is already given at {old_key.place}; keep one of them"
                found.append(Complaint(what, key.place))
    return Mapping(first.place, tuple(entries.values()))


def is_null(node: Node) -> bool:
    """Whether a key was given no value."""
    return isinstance(node, Scalar) and node.kind == "null"


def quoted(text: str) -> str:
    """Return ``text`` in quotes for a complaint: shortened, and with whatever does not print escaped."""
    return repr(text if len(text) <= 80 else text[:77] + "...")


def guarded(text: str) -> str:
    """Return ``text`` as :func:`quoted` does, without what may be a secret in it, for where a word was expected.

    A secret gets there by a slip: ``api-key:sk-1`` without the blank is one key, ``auth: sk-1`` is no way to log in.
    Left out is what follows ``:`` or ``=``, and whatever begins with a long word that has a digit.
    """
    return quoted(_SECRET.sub("...", text[:200], count=1))


def _fail(what: str, place: Place) -> NoReturn:
    raise ConfigError(Complaint(what, place))


def _place_at(file: str, text: str, index: int) -> Place:
    """Return the place of the character at ``index``; lines end as YAML 1.2 §5.4 says."""
    lines = re.split(r"\r\n|\r|\n", text[:index])
    return Place(file, len(lines), len(lines[-1]) + 1)


def _place(file: str, mark: StreamMark) -> Place:
    return Place(file, mark.line + 1, mark.column + 1)


def _compose(text: str, file: str) -> RawNode | None:
    yaml = YAML(typ="safe", pure=True)
    if "\t" in text:
        yaml.Scanner = TabScanner
    yaml.max_depth = MAX_DEPTH
    yaml.composer.warn_double_anchors = False  # YAML 1.2 §3.2.2.2 lets an anchor be used again
    try:
        root: RawNode | None = yaml.compose(text)
    except MarkedYAMLError as exc:
        raise ConfigError(_syntax_error(exc, text, file)) from None  # it quotes the text, and so may a traceback
    except ReaderError as exc:
        what = f"the control character U+{ord(text[exc.position]):04X} is not allowed; in double quotes, escape it"
        raise ConfigError(Complaint(what, _place_at(file, text, exc.position))) from exc
    except _FOREIGN as exc:
        cause = _FOREIGN_CAUSE.search(text)
        place = _place_at(file, text, cause.start() if cause else 0)
        raise ConfigError(Complaint("this is not YAML 1.2", place)) from exc
    return root


def _syntax_error(exc: MarkedYAMLError, text: str, file: str) -> Complaint:
    """Say in one sentence what the parser found, where a person would look for it."""
    problem, mark = str(exc.problem), exc.problem_mark
    if mark is None:  # for one kind of error ruamel gives these two the other way round
        problem, mark = str(exc.context), exc.context_mark
    if exc.context_mark is not None and problem.startswith(_BLAME_CONTEXT):
        mark = exc.context_mark
    line = ([*re.split(r"\r\n|\r|\n", text), ""])[mark.line]
    if (tab := indenting_tab(line, problem)) >= 0:
        return Complaint(_SENTENCES[0][1], Place(file, mark.line + 1, tab + 1))
    what = next((ours for theirs, ours in _SENTENCES if problem.startswith(theirs)), "this is not valid YAML")
    if "${" in line and problem.startswith("expected ',' or"):
        what += "; within [ ] and { } a ${NAME} needs quotes"
    elif re.search(r"\s\[[0-9A-Fa-f:.]+\]:[0-9]", line):
        what = "an address that begins with '[' needs quotes"
    return Complaint(what, _place(file, mark))


class _Builder:
    """Turns the parser's graph into a tree, counting on the way; ``complaints`` is what it could read past."""

    def __init__(self, file: str) -> None:
        self.complaints: list[Complaint] = []
        self._file = file
        self._count = 0
        self._open: set[int] = set()  # the nodes around the one at hand, by identity

    def node(self, raw: RawNode) -> Node:
        """Return the tree of ``raw``. Errors: ConfigError where it is too large, too deep, or within itself."""
        place = _place(self._file, raw.start_mark)
        self._count += 1
        if self._count > MAX_NODES:
            _fail(f"more than {MAX_NODES} values, counting each use of an alias; use fewer aliases", place)
        if isinstance(raw, ScalarNode):
            return self._scalar(raw, place)
        if id(raw) in self._open:
            _fail("this anchor contains an alias to itself", place)
        if len(self._open) >= MAX_DEPTH:
            _fail(_TOO_DEEP, place)
        self._open.add(id(raw))
        try:
            if isinstance(raw, MappingNode):
                return self._mapping(raw, place)
            assert isinstance(raw, SequenceNode)  # there is no fourth kind of node
            return self._sequence(raw, place)
        finally:
            self._open.discard(id(raw))

    def _scalar(self, raw: ScalarNode, place: Place) -> Scalar:
        text: str = raw.value
        if str(raw.tag) not in _SCALAR_TAGS:
            self.complaints.append(Complaint(_NO_TAGS, place))
        elif any("\ud800" <= char <= "\udfff" for char in text):
            self.complaints.append(Complaint("half of a surrogate pair is not a character; write \\U0001F600", place))
        elif raw.style is None and raw.tag != _TAG + "str":
            return Scalar(place, text, next((kind for kind, form in _CORE if form.fullmatch(text)), "str"))
        return Scalar(place, text, "str")

    def _sequence(self, raw: SequenceNode, place: Place) -> Sequence:
        if raw.tag != _TAG + "seq":
            self.complaints.append(Complaint(_NO_TAGS, place))
        return Sequence(place, tuple([self.node(item) for item in raw.value]))

    def _mapping(self, raw: MappingNode, place: Place) -> Mapping:
        if raw.tag != _TAG + "map":
            self.complaints.append(Complaint(_NO_TAGS, place))
        own: dict[str, tuple[Scalar, Node]] = {}
        merged: dict[str, tuple[Scalar, Node]] = {}
        for raw_key, raw_value in raw.value:
            is_merge = isinstance(raw_key, ScalarNode) and raw_key.tag == _TAG + "merge"
            key, value = self.node(raw_key), self.node(raw_value)
            if is_merge:
                for inherited in self._inherited(value):
                    merged.setdefault(inherited[0].text, inherited)
            elif not isinstance(key, Scalar) or key.kind != "str":
                self.complaints.append(Complaint("a key must be a string; put it in quotes", key.place))
            elif key.text in own:
                first = own[key.text][0].place.line
                what = f"{guarded(key.text)} is given twice, on line {first} and on line {key.place.line}; keep one"
                self.complaints.append(Complaint(what, key.place))
            else:
                own[key.text] = (key, value)
        return Mapping(place, tuple({**own, **{k: v for k, v in merged.items() if k not in own}}.values()))

    def _inherited(self, value: Node) -> list[tuple[Scalar, Node]]:
        """Return what ``<<`` brings in; of several mappings, an earlier one's keys come before a later one's."""
        sources = value.items if isinstance(value, Sequence) else (value,)
        entries: list[tuple[Scalar, Node]] = []
        for source in sources:
            if isinstance(source, Mapping):
                entries += source.entries
            else:
                what = "'<<' takes in a mapping, or a list of mappings; write '<<: *name'"
                self.complaints.append(Complaint(what, source.place))
        return entries
