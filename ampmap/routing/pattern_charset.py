"""Which characters a part of a pattern can take, and how near to each other the words of a pattern can end. Pure.

A set of characters is a number whose bits stand for ASCII, for the four other letters that fold to ASCII ones, and for
all the rest together. Sets may be too large, never too small: they are only asked whether they have a character in
common. ``pattern_cost`` is the only caller.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from typing import Any, TypeAlias

Items: TypeAlias = Iterable[tuple[Any, Any]]  # of re's parser: an operation, whose text is its name, and its argument

MAX_CHAINS = 24  # alternatives whose words are compared with each other

_FOLDED = {"s": "\u017f", "k": "\u212a", "i": "\u0130\u0131"}  # long s, Kelvin, I with a dot, i without
_LETTERS = [chr(code) for code in range(128)] + list("".join(_FOLDED.values()))
_REST = 1 << len(_LETTERS)
_BEYOND_ASCII = sum(1 << index for index in range(128, len(_LETTERS))) | _REST
ANYTHING = (1 << len(_LETTERS)) - 1 | _REST
_CATEGORIES = {
    "CATEGORY_DIGIT": re.compile(r"\d"),
    "CATEGORY_SPACE": re.compile(r"\s"),
    "CATEGORY_WORD": re.compile(r"\w"),
    "CATEGORY_NOT_DIGIT": re.compile(r"\D"),
    "CATEGORY_NOT_SPACE": re.compile(r"\S"),
    "CATEGORY_NOT_WORD": re.compile(r"\W"),
}


def _variants(char: str) -> str:
    """Return every character that is the same as this one where case does not count."""
    for letter, others in _FOLDED.items():
        if char.lower() == letter or char in others:
            return letter + letter.upper() + others
    return char.lower() + char.upper() if char.isascii() else char


_VARIANTS = [_variants(letter) for letter in _LETTERS]


def ignores_case(subpattern: Any, ignore_case: bool) -> bool:
    """Tell whether case counts for nothing within a group, which may say so for itself."""
    _, added, removed, _ = subpattern
    return bool((ignore_case or added & re.IGNORECASE) and not removed & re.IGNORECASE)


def mask(op: str, value: Any, ignore_case: bool) -> int | None:
    """Return which characters an operation can take; None where it is not about one character."""
    match op:
        case "LITERAL":
            return _set([(op, value)], ignore_case)
        case "NOT_LITERAL":
            return _complement([("LITERAL", value)], ignore_case)
        case "ANY":
            return ANYTHING
        case "IN" if value and str(value[0][0]) == "NEGATE":
            return _complement(value[1:], ignore_case)
        case "IN":
            return _set(value, ignore_case)
    return None


def _set(items: Items, ignore_case: bool) -> int:
    found = 0
    for op, value in items:
        name = str(op)
        if name == "CATEGORY":
            form = _CATEGORIES[str(value)]
            found |= sum(1 << index for index in range(128) if form.match(_LETTERS[index])) | _BEYOND_ASCII
        else:
            low, high = _ends(value)
            found |= _span(low, high, ignore_case)
    return found


@functools.lru_cache(maxsize=1024)
def _span(low: int, high: int, ignore_case: bool) -> int:
    forms = _VARIANTS if ignore_case else _LETTERS
    found = sum(1 << index for index, form in enumerate(forms) if any(low <= ord(one) <= high for one in form))
    return found | _BEYOND_ASCII if high > 127 else found


def _complement(items: Items, ignore_case: bool) -> int:
    """Return all but the ASCII that is surely meant; a special letter's ASCII relatives may still be in it."""
    plain = [(op, value) for op, value in items if str(op) == "CATEGORY" or _ends(value)[1] < 128]
    return ANYTHING & ~_set(plain, ignore_case) | _BEYOND_ASCII


def _ends(value: Any) -> tuple[int, int]:
    """Return the first and last of the characters that a literal or a range stands for."""
    low, high = value if isinstance(value, tuple) else (value, value)
    return low, high


def chains(items: Items, ignore_case: bool) -> list[list[int]] | None:
    """Return the words, as rows of sets, that fixed parts stand for; None where they repeat, test or are too many."""
    rows: list[list[int]] = [[]]
    for op, value in items:
        name = str(op)
        taken = mask(name, value, ignore_case)
        found: list[list[int]] | None
        if taken is not None:
            found = [[taken]]
        elif name == "SUBPATTERN":
            found = chains(value[3], ignores_case(value, ignore_case))
        elif name == "BRANCH":
            branches = [chains(branch, ignore_case) for branch in value[1]]
            found = [row for branch in branches if branch for row in branch] if all(branches) else None
        else:
            found = None
        if found is None or len(rows) * len(found) > MAX_CHAINS:
            return None
        rows = [row + more for row in rows for more in found]
    return rows


def gap(rows: list[list[int]]) -> int:
    """Return how many characters lie at least between the ends of two of these words in one name."""
    return min((_distance(one, two) for one in rows for two in rows), default=1)


def _distance(first: list[int], second: list[int]) -> int:
    """Return the least distance, 1 or more, at which ``second`` can end after ``first`` did."""
    one, two = first[::-1], second[::-1]
    for distance in range(1, len(two)):
        if all(mine & theirs for mine, theirs in zip(one, two[distance:], strict=False)):
            return distance
    return max(1, len(two))
