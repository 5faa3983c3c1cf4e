"""Edits of the rules in a configuration's text, which leave every other character as it was. Pure.

Block lists, and flow lists on one line, are edited: text is cut and inserted at the places that the parser gives, so
comments, blank lines, order, quotes, indentation and line ends stay. Then the result is read again. Unless exactly the
intended rule has changed, the edit is refused, and the error shows the line to paste.

Rules stand under ``amp-model-mappings`` or under ``model-mappings`` in ``ampcode``. ``rule_file`` applies these edits.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import Any, NoReturn, TypeAlias

from ..errors import Complaint, ConfigError, Place
from ..routing.patterns import PatternRefused, compile_pattern
from ..routing.snapshot import fold
from ..settings import Rule, When
from . import yaml_tree as yamltree
from .keys import MAX_NAME_BYTES
from .nodes import Mapping, Node, Scalar, Sequence
from .reader import is_name
from .yaml_tree import Span, quoted

FLAT_KEY, BLOCK, BLOCK_KEY = "amp-model-mappings", "ampcode", "model-mappings"

Plain: TypeAlias = Any
"""A tree without places, to be compared: a scalar's kind and text, a list, or a mapping's entries by key."""

_LINE_END = re.compile(r"\r\n|\n|\r|\Z")
# Written unchanged; anything else is put in quotes. YAML 1.1, which some editors still read, has more words for truth.
_PLAIN = re.compile(r"(?!(?:true|false|yes|no|on|off|null|y|n)$)[A-Za-z][A-Za-z0-9_./+()-]*", re.IGNORECASE)


def add(text: str, source: str, target: str, *, regex: bool = False, file: str = "") -> str:
    """Return the text with a rule from ``source`` to ``target``; a rule from the same source gets the new target.

    Errors: ConfigError when a name cannot be one, the pattern is refused, the text is no configuration, or its rules
    have a form that is not edited. ``file`` is the name of the text in errors.
    """
    for name in (source, target):
        if name != name.strip() or not is_name(name):
            limits = f"1 to {MAX_NAME_BYTES} bytes, no blanks at its ends, no control characters"
            _refuse(f"{quoted(name)} is no model's name: {limits}")
    if regex:
        try:
            compile_pattern(source)
        except PatternRefused as exc:
            _refuse(f"the pattern {quoted(source)}: {exc}")
    rules, rest = _read(text, file)
    home = _home(text)
    plain = [_plain(rule) for rule in rules]
    fields = [f"from: {_scalar(source)}", f"to: {_scalar(target)}", *(["regex: true"] if regex else [])]
    same = [number for number, rule in enumerate(rules) if is_edited(_rule(rule), source, regex)]
    if not same:
        entry = _plain(yamltree.parse("\n".join(fields).encode(), ""))
        rule = _flow(fields)
        line = f"{FLAT_KEY}: [{rule}]" if home is None else f"{rule}," if home[1].style == "flow" else f"- {rule}"
        advice = f"these rules have a form that is not edited here; paste this line:\n  {line}"
        place = rules[-1].place if rules else Place(file, 1)
        return _verified(_inserted(text, home, fields), [*plain, entry], rest, Complaint(advice, place))
    number = same[0] if regex else same[-1]  # the one that holds: of patterns the first, of names the last
    to = _entry(home[1].parts[number], "to") if home else None
    edited = text[: to[1].start] + _scalar(target) + text[to[1].end :] if to else text
    advice = f"this rule has a form that is not edited here; give it this target by hand:\n  {fields[1]}"
    changed = {**plain[number], "to": ("str", _escaped(target))}
    wanted = [*plain[:number], changed, *plain[number + 1 :]]
    return _verified(edited, wanted, rest, Complaint(advice, rules[number].place))


def remove(text: str, source: str, *, file: str = "") -> str:
    """Return the text without the rules from ``source``. Errors: ConfigError when there is none, and as for add."""
    rules, rest = _read(text, file)
    gone = [number for number, rule in enumerate(rules) if is_from(_rule(rule), source)]
    if not gone:
        _refuse(f"no rule is from {quoted(source)}")
    left = [_plain(rule) for rule in rules]
    for number in reversed(gone):
        del left[number]
        advice = Complaint("this rule has a form that is not edited here; delete it by hand", rules[number].place)
        home = _home(text)
        text = _verified(_without(text, home[1], number) if home else text, left, rest, advice)
    return text


def listed(text: str, file: str = "") -> tuple[Rule, ...]:
    """Return the rules as they are written, variables unexpanded, each with its place. Errors: as for add."""
    return tuple(_rule(rule) for rule in _read(text, file)[0])


def is_from(rule: Rule, source: str) -> bool:
    """Tell whether a rule is from ``source``: a pattern as it is written, a name trimmed and in any case."""
    return rule.source == source.strip() if rule.regex else fold(rule.source) == fold(source)


def is_edited(rule: Rule, source: str, regex: bool) -> bool:
    """Tell whether :func:`add` gives this rule the new target: it has no conditions."""
    return rule.regex == regex and not rule.when and is_from(rule, source)


def has_rules(text: str) -> bool:
    """Tell whether the text, which is YAML, has a place for rules, filled or not."""
    return _home(text) is not None


def _refuse(what: str) -> NoReturn:
    raise ConfigError(Complaint(what))


# -- reading


def _read(text: str, file: str) -> tuple[tuple[Node, ...], Plain]:
    """Return the rules, and everything else."""
    tree = yamltree.parse(text.encode("utf-8", "surrogatepass"), file or "the configuration")
    if not isinstance(tree, Mapping):
        _refuse("this is no configuration: expected 'key: value' lines")
    fields = _fields(tree)
    rules = fields.get(FLAT_KEY) or _fields(fields.get(BLOCK)).get(BLOCK_KEY)
    if isinstance(rules, Sequence):
        return rules.items, _plain(tree, rules)
    if rules is not None and not yamltree.is_null(rules):
        _refuse("the rules are no list; put each on a line after '- '")
    return (), _plain(tree, rules)


def _fields(node: Node | None) -> dict[str, Node]:
    return {key.text: value for key, value in node.entries} if isinstance(node, Mapping) else {}


def _plain(node: Node, left_out: Node | None = None) -> Plain:
    if isinstance(node, Scalar):
        return node.kind, node.text
    if isinstance(node, Sequence):
        return [_plain(item) for item in node.items]
    return {key.text: _plain(value, left_out) for key, value in node.entries if value is not left_out}


def _rule(node: Node) -> Rule:
    fields = _fields(node)
    target = fields.get("to")
    return Rule(
        source=_text(fields.get("from")).strip(),
        targets=tuple(map(_text, target.items if isinstance(target, Sequence) else (target,))),
        regex=_text(fields.get("regex")).lower() == "true",
        when=When() if "when" in fields else None,
        place=node.place,
    )


def _text(node: Node | None) -> str:
    return node.text.replace("$${", "${") if isinstance(node, Scalar) else ""


def _home(text: str) -> tuple[Span, Span] | None:
    """Return the key of the rules and its value."""
    top = yamltree.outline(text)
    block = _entry(top, BLOCK)
    return _entry(top, FLAT_KEY) or (_entry(block[1], BLOCK_KEY) if block else None)


def _entry(span: Span | None, name: str) -> tuple[Span, Span] | None:
    parts = span.parts if span else ()
    return next((pair for pair in zip(parts[::2], parts[1::2], strict=False) if pair[0].text == name), None)


def _verified(edited: str, rules: list[Plain], rest: Plain, complaint: Complaint) -> str:
    """Return the edited text if it holds these rules and nothing else has changed. Errors: ConfigError."""
    with suppress(ConfigError):
        found, others = _read(edited, "")
        if ([_plain(rule) for rule in found], others) == (rules, rest):
            return edited
    raise ConfigError(complaint)


# -- writing; _verified refuses what breaks the text


def _escaped(name: str) -> str:
    return name.replace("${", "$${")


def _scalar(name: str) -> str:
    """Return a name as YAML, in quotes where it could be read as something else."""
    escaped = _escaped(name)
    return escaped if _PLAIN.fullmatch(escaped) else json.dumps(escaped, ensure_ascii=False)


def _flow(fields: list[str]) -> str:
    return f"{{{', '.join(fields)}}}"


def _inserted(text: str, home: tuple[Span, Span] | None, fields: list[str]) -> str:
    found = _LINE_END.search(text)
    newline = (found and found[0]) or "\n"
    flow = _flow(fields)
    if home is None:
        is_empty = not text.strip("\ufeff\r\n")
        gap = "" if is_empty or text.endswith(newline * 2) else newline if text.endswith(newline) else newline * 2
        return f"{text}{gap}{FLAT_KEY}:{newline}  - {flow}{newline if len(gap) <= len(newline) else ''}"
    key, rules = home
    if rules.style == "flow":
        at = rules.parts[-1].end if rules.parts else rules.start + 1
        return text[:at] + (", " if rules.parts else "") + flow + text[at:] if _is_line(text, rules) else text
    if rules.parts:
        last = rules.parts[-1]
        end, column, inner, lines = last.end, rules.column, last.column, [flow] if last.style == "flow" else fields
    else:
        end, column, inner, lines = key.end, key.column + 2, key.column + 4, [flow]
    at = _rest_of_line(text, end)[0]
    first = f"{newline}{' ' * column}-{' ' * (inner - column - 1)}"
    return text[:at] + first + f"{newline}{' ' * inner}".join(lines) + text[at:]


def _without(text: str, rules: Span, number: int) -> str:
    item, last = rules.parts[number], len(rules.parts) - 1
    if rules.style == "block":
        dash = text.rfind("-", 0, item.start)
        start = max(text.rfind("\n", 0, dash), text.rfind("\r", 0, dash)) + 1
        return text[:start] + text[_rest_of_line(text, item.end)[1] :]
    if not _is_line(text, rules):  # comments may stand in between
        return text
    if number < last:
        return text[: item.start] + text[rules.parts[number + 1].start :]
    start, end = (rules.parts[number - 1].end, item.end) if number else (rules.start + 1, rules.end - 1)
    return text[:start] + text[end:]


def _is_line(text: str, span: Span) -> bool:
    return _rest_of_line(text, span.start)[0] >= span.end


def _rest_of_line(text: str, at: int) -> tuple[int, int]:
    """Return where the line ends on which ``at`` stands, and where the next one begins."""
    found = _LINE_END.search(text, at)
    return found.span() if found else (len(text), len(text))
