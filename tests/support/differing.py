"""Differences between what two translators make of the same: spelling, order, defaults and the choice of ids aside."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

README = Path(__file__).parents[1] / "README.md"

DEFAULTS = [("stream", False), ("detail", "auto"), ("strict", False), ("type", "custom"), ("index", 0)]
"""Members that say what their absence says, too."""


def covers(known: str, path: str) -> bool:
    return path == known or path.startswith((f"{known}.", f"{known}["))


def compared(known: Collection[str], found: Iterable[tuple[str, str, Any, Any]]) -> None:
    """Compare pairs of values, each with the name of a case and a kind of it; fail for any change in what is known.

    A difference is found by its path, or by the name or the kind and the path; all below it is covered.
    """
    seen: dict[str, str] = {}
    for name, kind, ours, theirs in found:
        for path, sides in differences(ours, theirs):
            lines = [path, f"{name}: {path}", f"{kind}: {path}", f"{name}, {kind}: {path}"]
            met = next((each for each in known if any(covers(each, line) for line in lines)), lines[-1])
            seen.setdefault(met, f"{lines[-1]}: {sides}")

    new = [seen[path] for path in seen if path not in known]
    assert not new, "ampmap's value, the other's value:\n" + "\n".join(new)
    gone = {*known} - seen.keys()
    assert not gone, f"these differences are gone: delete them here and in tests/README.md: {gone}"


def explained(known: Iterable[str]) -> bool:
    """Tell whether tests/README.md names the last member of each path."""
    [section] = re.findall(r"^## Beside LiteLLM\n(.*?)(?=^## |\Z)", README.read_text(), re.M | re.S)
    words = {camel(word) for code in re.findall(r"`([^`]+)`", section) for word in re.findall(r"\w+", code)}
    missing = {re.findall(r"\w+", path)[-1] for path in known} - words
    assert not missing, missing
    return True


def differences(ours: Any, theirs: Any) -> Iterator[tuple[str, str]]:
    """Yield the paths, without indices, at which two values differ, and both values."""
    left, right = (dict(leaves(plain(side, {}))) for side in (ours, theirs))
    for path in [*left, *(right.keys() - left.keys())]:
        if left.get(path) != right.get(path):
            yield re.sub(r"\[\d+\]", "[]", path), f"{left.get(path)!r}, {right.get(path)!r}"


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key, each in value.items():
            yield from leaves(each, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and value:
        for at, each in enumerate(value):
            yield from leaves(each, f"{path}[{at}]")
    else:
        yield path, value


def plain(value: Any, ids: dict[str, str], key: str = "") -> Any:
    """Return a value in the spelling that both sides have in common: what it says stays."""
    if isinstance(value, dict):
        known = {camel(name): plain(each, ids, camel(name)) for name, each in value.items() if each is not None}
        return {name: each for name, each in known.items() if (name, each) not in DEFAULTS}
    if isinstance(value, list):
        return [plain(each, ids) for each in value]
    if key == "content" and isinstance(value, str):
        return [{"type": "text", "text": value}]
    if key == "arguments":
        return json.loads(value or "{}")
    if key in ("id", "toolCallId", "callId"):
        return ids.setdefault(value, f"id {len(ids)}")
    return value


def camel(name: str) -> str:
    """Google takes both spellings."""
    return re.sub(r"(?<=[a-z])_([a-z])", lambda found: found[1].upper(), name)
