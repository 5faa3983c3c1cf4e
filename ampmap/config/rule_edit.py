"""Edits of the rules in a configuration's text, which leave every other character as it was. Pure.

Nothing is written anew but what is added: text is cut and inserted at the places that the parser gives. So comments,
blank lines, order, quotes, indentation and line ends stay. After each edit the result is read again, and unless exactly
the intended rule has changed, the edit is refused. ``rule_file`` applies these edits to files.

Rules stand in a block list (``- {from: a, to: b}``, or ``- from: a`` and ``to: b`` below it) or in a flow list
(``[{from: a, to: b}]``), under ``amp-model-mappings`` or under ``model-mappings`` in ``ampcode``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import NoReturn, TypeAlias

from ..errors import Complaint, ConfigError, Place
from ..routing.patterns import PatternRefused, compile_pattern
from ..routing.snapshot import fold
from ..settings import Rule
from . import yaml_tree as yamltree
from .nodes import Mapping, Node, Scalar, Sequence
from .reader import MAX_NAME_BYTES
from .yaml_tree import Span, quoted

FLAT_KEY, BLOCK, BLOCK_KEY = "amp-model-mappings", "ampcode", "model-mappings"

Plain: TypeAlias = object
"""A tree without places, to be compared: a scalar's kind and text, a list, or a mapping's entries by key."""

_NOTHING = Span(0, 0, 0, "scalar")
_LINE_END = re.compile(r"\r\n|\n|\r")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
# Written as it is; anything else is put in quotes. YAML 1.1, which some editors still read, has more words for truth.
_PLAIN = re.compile(r"(?!(?:true|false|yes|no|on|off|null|y|n)$)[A-Za-z][A-Za-z0-9_./+()-]*", re.IGNORECASE)
_KEY_LINE = re.compile(rf"^( *)(?:{FLAT_KEY}|{BLOCK_KEY}):", re.MULTILINE)
_REST_OF_LINE = re.compile(r"[ \t]*(?:[:,][ \t]*)?(?:(?<=[ \t])#[^\r\n]*)?(\r\n|\n|\r|\Z)")
_TO_COMMA = re.compile(r"(?:\s|(?<=\s)#[^\r\n]*)*(,?)")


def add(text: str, source: str, target: str, *, regex: bool = False) -> str:
    """Return the text with a rule from ``source`` to ``target``; a rule from the same source gets the new target.

    Errors: ConfigError when a name cannot be one, the pattern is refused, the text is no configuration, or it is
    written in a way that cannot be edited safely.
    """
    for name in (source, target):
        _check(name)
    if regex:
        try:
            compile_pattern(source)
        except PatternRefused as exc:
            _refuse(f"the pattern {quoted(source)}: {exc}")
    tree, rules = _read(text)
    items = list(enumerate(_items(text, rules)))
    same = [n for n, (rule, at) in items if rule.regex == regex and is_from(rule, source) and "when" not in at]
    if not same:
        fields = [f"from: {_scalar(source)}", f"to: {_scalar(target)}", *(["regex: true"] if regex else [])]
        entry = _plain(yamltree.parse("\n".join(fields).encode(), ""))
        return _verified(tree, _inserted(text, rules, fields), lambda found: [*found, entry])
    number = same[0] if regex else same[-1]  # the one that holds: of patterns the first, of names the last
    span = items[number][1][1].get("to", _NOTHING)
    if span.start == span.end:
        _refuse(f"the rule from {quoted(source)} has no 'to'; correct it by hand first")
    indent = "  " if span.style == "block" else ""  # a list may stand as far left as its key, a name may not
    edited = text[: span.start] + indent + _scalar(target) + text[_end(text, span) :]
    return _verified(tree, edited, lambda found: _retargeted(found, number, target))


def remove(text: str, source: str) -> str:
    """Return the text without the rules from ``source``. Errors: ConfigError when there is none, and as for add."""
    tree, rules = _read(text)
    gone = [number for number, (rule, _) in enumerate(_items(text, rules)) if is_from(rule, source)]
    if rules is None or not gone:
        _refuse(f"no rule is from {quoted(source)}")
    for number in reversed(gone):  # what stands before a rule does not move when the rule goes
        text = _without(text, rules, number)
    return _verified(tree, text, lambda found: [one for number, one in enumerate(found) if number not in gone])


def listed(text: str, file: str = "") -> tuple[Rule, ...]:
    """Return the rules as they are written, variables unexpanded, each with its place. Errors: as for add."""
    return tuple(rule for rule, _ in _items(text, _read(text)[1], file))


def is_from(rule: Rule, source: str) -> bool:
    """Tell whether a rule is from ``source``: a pattern as it is written, a name trimmed and in any case."""
    return rule.source == source.strip() if rule.regex else fold(rule.source) == fold(source)


def has_rules(text: str) -> bool:
    """Tell whether the text has a place for rules, filled or not. Errors: as for add."""
    return _read(text)[1] is not None


def _refuse(what: str) -> NoReturn:
    raise ConfigError(Complaint(what))


def _check(name: str) -> None:
    if not name or name != name.strip() or _CONTROL.search(name):
        _refuse(f"{quoted(name)} is no model's name: no blanks at its ends, no control characters")
    if len(name.encode("utf-8", "surrogatepass")) > MAX_NAME_BYTES:
        _refuse(f"a model's name has at most {MAX_NAME_BYTES} bytes")


# -- reading


def _read(text: str) -> tuple[Node, Span | None]:
    """Return the tree, and the span of the value that holds the rules where there is one."""
    tree = yamltree.parse(text.encode("utf-8", "surrogatepass"), "the configuration")
    if not isinstance(tree, Mapping):
        _refuse("this is no configuration: expected 'key: value' lines")
    _apart(tree)  # refuses rules that are no list
    top = yamltree.outline(text)
    fields = dict(_pairs(top)) if top else {}
    if FLAT_KEY in fields:
        return tree, fields[FLAT_KEY]
    return tree, dict(_pairs(fields[BLOCK])).get(BLOCK_KEY) if BLOCK in fields else None


def _pairs(span: Span) -> Iterator[tuple[str, Span]]:
    if span.style != "scalar":
        for key, value in zip(span.parts[::2], span.parts[1::2], strict=False):
            yield key.text, value


def _items(text: str, rules: Span | None, file: str = "") -> list[tuple[Rule, dict[str, Span]]]:
    """Return the rules with the spans of their values."""
    found: list[tuple[Rule, dict[str, Span]]] = []
    for span in rules.parts if rules else ():
        fields = dict(_pairs(span))
        source, target = (fields.get(key, _NOTHING) for key in ("from", "to"))
        rule = Rule(
            source=_unescaped(source.text).strip(),
            targets=tuple(_unescaped(part.text) for part in target.parts or (target,)),
            regex=fields.get("regex", _NOTHING).text.lower() == "true",
            place=Place(file, len(_LINE_END.findall(text, 0, span.start)) + 1, span.column + 1),
        )
        found.append((rule, fields))
    return found


def _unescaped(text: str) -> str:
    return text.replace("$${", "${")


def _plain(node: Node) -> Plain:
    if isinstance(node, Scalar):
        return node.kind, node.text
    if isinstance(node, Sequence):
        return [_plain(item) for item in node.items]
    return {key.text: _plain(value) for key, value in node.entries}


def _verified(before: Node, edited: str, change: Callable[[list[Plain]], list[Plain]]) -> str:
    """Return the edited text if nothing but the rules has changed, and they as ``change`` says."""
    rules, rest = _apart(before)
    try:
        is_right = _apart(_read(edited)[0]) == (change(rules), rest)
    except ConfigError:
        is_right = False
    if not is_right:
        _refuse("the rules are written in a way that cannot be edited safely here; edit the file by hand")
    return edited


def _apart(tree: Node) -> tuple[list[Plain], Plain]:
    """Return the rules, and everything else."""
    rules: list[Plain] = []
    rest: dict[str, Plain] = {}
    for key, value in tree.entries if isinstance(tree, Mapping) else ():
        if key.text == FLAT_KEY:
            rules += _rules(value)
        elif key.text == BLOCK and isinstance(value, Mapping):
            inner = {k.text: v for k, v in value.entries}
            rules += _rules(inner[BLOCK_KEY]) if BLOCK_KEY in inner else []
            rest[BLOCK] = {name: _plain(node) for name, node in inner.items() if name != BLOCK_KEY}
        else:
            rest[key.text] = _plain(value)
    return rules, rest


def _rules(node: Node) -> list[Plain]:
    if not isinstance(node, Sequence) and not yamltree.is_null(node):
        _refuse("the rules are no list; put each on a line after '- '")
    return [_plain(item) for item in node.items] if isinstance(node, Sequence) else []


def _retargeted(rules: list[Plain], number: int, target: str) -> list[Plain]:
    rule = rules[number]
    assert isinstance(rule, dict)  # a rule that has a 'to' is a mapping
    return [*rules[:number], {**rule, "to": ("str", _escaped(target))}, *rules[number + 1 :]]


# -- writing


def _escaped(name: str) -> str:
    return name.replace("${", "$${")


def _scalar(name: str) -> str:
    """Return a name as YAML, in quotes where it could be read as something else."""
    escaped = _escaped(name)
    return escaped if _PLAIN.fullmatch(escaped) else json.dumps(escaped, ensure_ascii=False)


def _end(text: str, span: Span) -> int:
    """Return where a value really ends: what closes nothing is followed up to its last part."""
    if span.style == "block":
        return max((_end(text, part) for part in span.parts), default=span.start)
    if span.start == span.end:
        return 0  # an absent value stands at whatever comes next; the key before it ends the pair
    return len(text[: span.end].rstrip())


def _line_end(text: str, at: int) -> tuple[int, str]:
    """Return where the line ends on which ``at`` stands, and with what; only a comma and a comment may follow it."""
    rest = _REST_OF_LINE.match(text, at)
    if rest is None:
        _refuse("something else follows on the rule's line; edit the file by hand")
    return rest.start(1), rest[1]


def _newline(text: str) -> str:
    found = _LINE_END.search(text)
    return found[0] if found else "\n"


def _inserted(text: str, rules: Span | None, fields: list[str]) -> str:
    flow = "{" + ", ".join(fields) + "}"
    newline = _newline(text)
    if rules is None:
        return _appended(text, [f"{FLAT_KEY}:", f"  - {flow}"], newline)
    if rules.style == "flow":
        return _inserted_in_flow(text, rules, flow, newline)
    if rules.style == "scalar":  # the key has no value yet
        if rules.start < rules.end:
            return text[: rules.start] + f"[{flow}]" + text[rules.end :]
        *_, key = _KEY_LINE.finditer(text, 0, rules.start)
        at, _ = _line_end(text, key.end())
        return text[:at] + newline + key[1] + f"  - {flow}" + text[at:]
    last = rules.parts[-1]
    lines = [flow] if last.style == "flow" else fields
    indent = " " * rules.column
    at, _ = _line_end(text, _end(text, last))
    added = f"{indent}-{' ' * (last.column - rules.column - 1)}" + f"{newline}{' ' * last.column}".join(lines)
    return text[:at] + newline + added + text[at:]


def _appended(text: str, lines: list[str], newline: str) -> str:
    added = newline.join(lines)
    if not text.strip("\ufeff\r\n"):
        return text + added + newline
    if text.endswith(("\n", "\r")):
        is_blank = re.search(r"(\r\n|\n|\r)[ \t]*(\r\n|\n|\r)\Z", text)
        return text + ("" if is_blank else newline) + added + newline
    return text + newline * 2 + added


def _inserted_in_flow(text: str, rules: Span, flow: str, newline: str) -> str:
    """Add at the list's end; on a line of its own where the last one has one, with a comma after it where that has."""
    if not rules.parts:
        at = rules.start + 1
        return text[:at] + flow + (" " if text[at] == "#" else "") + text[at:]
    last = rules.parts[-1]
    end = _end(text, last)
    indent = text[_line_start(text, last.start) : last.start]
    if indent.strip():
        return text[:end] + ", " + flow + text[end:]
    comma = _TO_COMMA.match(text, end)
    has_comma = bool(comma and comma[1])
    rest = _REST_OF_LINE.match(text, end)
    at = rest.start(1) if rest else comma.end() if comma and has_comma else end  # a bracket may follow on the line
    return (
        text[:end]
        + ("" if has_comma else ",")
        + text[end:at]
        + newline
        + indent
        + flow
        + ("," if has_comma else "")
        + text[at:]
    )


def _line_start(text: str, at: int) -> int:
    return max(text.rfind("\n", 0, at), text.rfind("\r", 0, at)) + 1


def _without(text: str, rules: Span, number: int) -> str:
    item = rules.parts[number]
    if rules.style == "flow":
        return _without_in_flow(text, rules, number)
    dash = text.rfind("-", 0, item.start)
    start = _line_start(text, dash)
    if text[start:dash].strip() or text[dash + 1 : item.start].strip():
        _refuse("the rule does not stand on lines of its own; edit the file by hand")
    at, newline = _line_end(text, _end(text, item))
    return text[:start] + text[at + len(newline) :]


def _without_in_flow(text: str, rules: Span, number: int) -> str:
    """Take out one item and one comma, and the line where nothing else is left on it but its comment."""
    item = rules.parts[number]
    start, end = item.start, _end(text, item)
    comma = _TO_COMMA.match(text, end)
    if comma and comma[1]:
        if text[end : comma.start(1)].strip():
            _refuse("a comment stands between a rule and its comma; edit the file by hand")
        end = comma.end()
    elif number:  # the last: the comma before it goes
        comma = _TO_COMMA.match(text, _end(text, rules.parts[number - 1]))
        assert comma is not None and comma[1]  # two items have a comma between them
        text = text[: comma.start(1)] + text[comma.end() :]
        start, end = start - 1, end - 1
    line = _line_start(text, start)
    rest = _REST_OF_LINE.match(text, end)
    if rest and line > rules.start and not text[line:start].strip():
        return text[:line] + text[rest.end() :]
    after = text[end:]
    if after.startswith(" "):
        return text[:start] + after.lstrip(" ")
    return text[:start].rstrip(" ") + after if number and not text[line:start].isspace() else text[:start] + after
