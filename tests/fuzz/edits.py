"""Edits of the rules in a configuration's text: add, add again with another target, remove.

The first line steers: the rule's source and its target with a ``>`` between them, and ``~`` before them for a pattern;
the rest is the text. Held to it: an edit is refused with a ConfigError, or the rule is there afterwards (or gone),
every other rule is as it was, and no character that is not the rule's own has changed.
"""

from __future__ import annotations

from ampmap.config import rule_edit as ruleedit
from ampmap.errors import ConfigError
from ampmap.settings import Rule

from . import control


def check(data: bytes) -> None:
    """Edit a text."""
    steer, raw = control(data)
    try:
        text, names = raw.decode(), steer.decode()
    except UnicodeDecodeError:
        return
    regex = names.startswith("~")
    source, _, target = names.removeprefix("~").partition(">")
    try:
        before = ruleedit.listed(text)
    except ConfigError as exc:
        _said(exc)
        _refused(text, source, target)
        return
    added = _edited(text, source, target, regex)
    if added is not None:
        _added(text, added, before, Rule(source=source, targets=(target,), regex=regex))
        again = _edited(added, source, target, regex)
        assert again is None or ruleedit.listed(again) == ruleedit.listed(added)
        other = _edited(added, source, "another", regex)
        if other is not None:
            assert len(ruleedit.listed(other)) == len(ruleedit.listed(added))
        _removed(added, source)
    _removed(text, source)


def _said(exc: ConfigError) -> None:
    assert exc.complaints and all(complaint.what for complaint in exc.complaints)


def _refused(text: str, source: str, target: str) -> None:
    """Hold a text that cannot be read to being left alone by every edit."""
    assert _edited(text, source, target, False) is None
    try:
        ruleedit.remove(text, source)
    except ConfigError as exc:
        _said(exc)
    else:
        raise AssertionError("edited what cannot be read")


def _edited(text: str, source: str, target: str, regex: bool) -> str | None:
    try:
        return ruleedit.add(text, source, target, regex=regex)
    except ConfigError as exc:
        _said(exc)
        return None


def _added(text: str, added: str, before: tuple[Rule, ...], rule: Rule) -> None:
    after = ruleedit.listed(added)
    same = [one for one in after if one.regex == rule.regex and ruleedit.is_from(one, rule.source)]
    assert any(one.targets == rule.targets for one in same), same
    assert _others(before, rule) == _others(after, rule)
    if len(after) > len(before):
        assert _is_within(text, added)
    else:
        _one_stretch(text, added, rule)


def _others(rules: tuple[Rule, ...], rule: Rule) -> list[tuple[str, tuple[str, ...], bool]]:
    return [
        (one.source, one.targets, one.regex)
        for one in rules
        if one.regex != rule.regex or not ruleedit.is_from(one, rule.source)
    ]


def _one_stretch(text: str, edited: str, rule: Rule) -> None:
    """Hold an edit to one stretch of the text, and what stands there now to the new target."""
    start = next((n for n, (one, two) in enumerate(zip(text, edited, strict=False)) if one != two), len(text))
    end = 0
    while end < min(len(text), len(edited)) - start and text[len(text) - 1 - end] == edited[len(edited) - 1 - end]:
        end += 1
    written = edited[start : len(edited) - end]
    assert "\n" not in written.strip() or "\n" in rule.targets[0]


def _removed(text: str, source: str) -> None:
    try:
        left = ruleedit.remove(text, source)
    except ConfigError as exc:
        _said(exc)
        return
    rules = [one for one in ruleedit.listed(text) if not ruleedit.is_from(one, source)]
    remaining = ruleedit.listed(left)
    assert [(one.source, one.targets, one.regex) for one in rules] == [
        (one.source, one.targets, one.regex) for one in remaining
    ]
    assert len(left) < len(text)
    assert _is_within(left, text)


def _is_within(shorter: str, longer: str) -> bool:
    """Whether the shorter text is left when characters are taken out of the longer one."""
    rest = iter(longer)
    return all(any(char == other for other in rest) for char in shorter)
