"""What a reload changes, one line for each change, for people who read a log.

Pure; ``proxy.reload`` logs the lines. The fields of the dataclasses in ``settings`` are compared one by one, so that
none is forgotten. A field without ``repr`` is a secret: its line says only that it changed. So it is for the paths of
URLs and the conditions of rules, because users write keys there. A rule that only moved in its file has not changed.
"""

from __future__ import annotations

import dataclasses
from bisect import bisect_left
from collections import defaultdict, deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TypeAlias, TypeVar

from ..escaping import printable
from ..routing.snapshot import fold
from ..settings import Amp, Endpoint, Limits, Log, ModelEntry, Origin, Provider, Rule, Settings, Timeouts

Item = TypeVar("Item", Provider, Rule)
Section: TypeAlias = Settings | Amp | Timeouts | Limits | Log

_RESTART = "; needs a restart"
_AT_START = ("listen", "limits.connections", "admin.enabled")
_NAMES = {
    "admin": "admin.enabled",
    "amp.origin": "amp-upstream-url",
    "amp.base-path": "path of amp-upstream-url",
    "amp.api-key": "amp-upstream-api-key",
    "amp.api-keys": "amp-upstream-api-keys",
    "base-path": "path of base-url",
    "origin": "base-url",
    "endpoints": "protocols",
}
_HIDDEN = ("amp.base-path", "amp.api-keys", "when", "set")
_APART = ("place", "source", "providers", "amp.rules")  # compared by themselves, or not at all


def differences(old: Settings, new: Settings) -> list[str]:
    """Return the differences of ``new``: settings first, then providers, then rules, each in the new file's order.

    A move is told where the order has a meaning: among providers, among patterns, among rules for one name.
    """
    return [
        *_settings(old, new),
        *_providers(old.providers, new.providers),
        *_rules(old.amp.rules, new.amp.rules),
    ]


def _settings(old: Section, new: Section, prefix: str = "") -> list[str]:
    lines: list[str] = []
    for field in dataclasses.fields(old):
        key = prefix + field.name.replace("_", "-")
        before, after = getattr(old, field.name), getattr(new, field.name)
        if before == after or key in _APART:
            continue
        if isinstance(before, Section):
            lines += _settings(before, after, key + ".")
        else:
            name = _NAMES.get(key, key.replace("amp.", "amp-"))
            restart = _RESTART if name in _AT_START else ""
            lines.append(_change(name, before, after, field.repr and key not in _HIDDEN) + restart)
    return lines


def _change(name: str, before: object, after: object, is_shown: bool = True) -> str:
    return f"{name}: {_shown(before)} -> {_shown(after)}" if is_shown else f"{name} changed"


def _shown(value: object) -> str:
    match value:
        case None | "" | ():
            return "none"
        case bool():
            return str(value).lower()
        case float():
            return f"{value:g}"
        case tuple() if not isinstance(value, Origin):
            return ", ".join(map(_shown, value))
        case ModelEntry():
            return printable(f"{value.id} (there {value.upstream})" if value.upstream else value.id)
        case Endpoint():
            return f"{value.protocol} ({value.auth})"
        case _:
            return printable(str(value))


def _providers(old: Sequence[Provider], new: Sequence[Provider]) -> list[str]:
    pairs = _paired(old, new, [lambda provider: provider.name])
    kept = set(pairs.values())
    lines = [f"provider {_shown(provider.name)} removed" for i, provider in enumerate(old) if i not in kept]
    for j, provider in enumerate(new):
        name = f"provider {_shown(provider.name)}"
        if j not in pairs:
            models = f", models {_shown(provider.models)}" if provider.models else ""
            lines.append(f"{name} added: {_shown(provider.origin)}{models}")
        elif changed := _fields(old[pairs[j]], provider):
            lines.append(f"{name}: {'; '.join(changed)}")
    moved = _moved(pairs.values())
    return lines + [f"provider {_shown(old[i].name)} moved: tried in another order now" for i in moved]


def _fields(old: Item, new: Item) -> list[str]:
    """Return the fields in which two providers or rules differ."""
    found: list[str] = []
    for field in dataclasses.fields(old):
        key = field.name.replace("_", "-")
        before, after = getattr(old, field.name), getattr(new, field.name)
        if key in ("place", "source") or before == after:
            continue
        if key == "models":
            found.append(_list_change(key, before, after))
        elif key == "endpoints" and _shown(before) == _shown(after):
            same = [each.base_path for each in before] == [each.base_path for each in after]
            found.append("profile or version-path changed" if same else "path of base-url changed")
        else:
            found.append(_change(_NAMES.get(key, key), before, after, field.repr and key not in _HIDDEN))
    return found


def _list_change(name: str, before: Sequence[ModelEntry], after: Sequence[ModelEntry]) -> str:
    old, new = set(before), set(after)
    signs = [f"+{_shown(item)}" for item in after if item not in old]
    signs += [f"-{_shown(item)}" for item in before if item not in new]
    return f"{name}: {' '.join(signs)}" if signs else f"{name} in another order"


def _rules(old: Sequence[Rule], new: Sequence[Rule]) -> list[str]:
    # What is alike is paired first, then what is nearly so: of two rules for one name, neither is taken for the other.
    pairs = _paired(
        old,
        new,
        [
            lambda rule: dataclasses.replace(rule, place=None),
            lambda rule: (_folded(rule), rule.regex, rule.when),
            lambda rule: (_folded(rule), rule.regex),
            _folded,
        ],
    )
    kept = set(pairs.values())
    lines = [f"{_title(rule)} removed (to {_shown(rule.targets)})" for i, rule in enumerate(old) if i not in kept]
    for j, rule in enumerate(new):
        if j not in pairs:
            extra = f", credits {rule.credits}" if rule.credits else ""
            lines.append(f"{_title(rule)} added: to {_shown(rule.targets)}{extra}{', with when' if rule.when else ''}")
        elif changed := _fields(old[pairs[j]], rule):
            lines.append(f"{_title(rule)}: {'; '.join(changed).replace('targets: ', 'to: ', 1)}")
    groups: defaultdict[object, list[int]] = defaultdict(list)  # within which the order has a meaning
    for j, i in sorted(pairs.items()):
        groups["regex" if new[j].regex else (_folded(new[j]),)].append(i)
    moved = sorted(i for group in groups.values() for i in _moved(group))
    return lines + [f"{_title(old[i])} moved: tried in another order now" for i in moved]


def _folded(rule: Rule) -> str:
    return rule.source.strip() if rule.regex else fold(rule.source)


def _title(rule: Rule) -> str:
    return f"rule {_shown(rule.source)}{' (regex)' if rule.regex else ''}"


def _paired(old: Sequence[Item], new: Sequence[Item], keys: Iterable[Callable[[Item], Hashable]]) -> dict[int, int]:
    """Return the indices in ``old`` of what is the same thing as an item of ``new``, by each key in turn."""
    pairs: dict[int, int] = {}
    for key in keys:
        taken = set(pairs.values())
        waiting: defaultdict[Hashable, deque[int]] = defaultdict(deque)
        for i, item in enumerate(old):
            if i not in taken:
                waiting[key(item)].append(i)
        for j, item in enumerate(new):
            if j not in pairs and (same := waiting.get(key(item))):
                pairs[j] = same.popleft()
    return dict(sorted(pairs.items()))


def _moved(order: Iterable[int]) -> list[int]:
    """Return the fewest numbers without which ``order`` ascends: what a person would say has been moved."""
    numbers = list(order)
    tails: list[int] = []  # patience sorting: the last numbers of the best ascending runs, by their length
    lengths: list[int] = []
    for number in numbers:
        at = bisect_left(tails, number)
        tails[at : at + 1] = [number]
        lengths.append(at)
    moved: list[int] = []
    wanted = len(tails) - 1
    for number, length in zip(reversed(numbers), reversed(lengths), strict=True):
        if length == wanted:
            wanted -= 1
        else:
            moved.append(number)
    return moved[::-1]
