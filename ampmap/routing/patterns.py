"""Regular expressions out of the configuration, compiled only if no name of a model can make them slow. Pure.

A pattern is a regular expression of Python's :mod:`re`. It is searched for anywhere in a name of at most 256
characters, in any case. :mod:`re` backtracks and cannot be interrupted, and the client chooses the name, so the cost of
a pattern is bounded beforehand: ``pattern_cost`` counts the steps of the worst name, of which :data:`MAX_STEPS` are
allowed.

What differs from ``re.compile(source, re.IGNORECASE)``, only for names that no model has: ``$`` is the very end, not
also the place before a final line feed, and ``.`` stands for a line feed too. The flags ``m`` and ``x`` are refused
(a name has one line; blanks and ``#`` stand for themselves), and so are back-references.
"""

from __future__ import annotations

import functools
import importlib
import re
from typing import Any

from .pattern_cost import TooCostly, search_cost

MAX_SOURCE = 2_000  # characters
MAX_STEPS = 1_700_000  # 5 ns each at worst: of 7,000 random patterns within it, the slowest took 5 ms

_FLAGS = re.IGNORECASE | re.DOTALL
_TOKEN = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\(\?#[^)]*\)|\$", re.DOTALL)
_IDLE_START = re.compile(r"\A((?:\(\?[aisu]+\))?)(?:\.\*\??)+(?![?+*{])")  # a search needs no ".*" before it
_FUTURE_SET = re.compile(r"\[\^?\[|--|&&|~~|\|\|")  # what re warns of: a later Python may read sets of sets there

_WHY = {
    "nested": "a repeat within a repeat could take forever on a long name; repeat once, as [a-z0-9.-]+ does, or put "
    "between the parts a character that neither of them takes, as in (-[a-z]+)*",
    "wide": "too many parts that take any length could take long on a long name; begin with ^, write [^-]* instead of "
    ".* where no '-' is meant, or make two rules of it",
    "empty": "the repeated part can be empty, which could take forever; let it take at least one character: "
    "(-[a-z]+)* instead of (-?[a-z]*)*",
    "size": "the pattern is too large to be checked; make several rules of it",
    "flags": "the flags m, x and -s are not offered: a name has one line, and blanks count",
    "GROUPREF": "a back-reference (\\1, (?P=name)) could take long on a long name; write out what it stands for, or "
    "make one rule for each case",
}
# What re says of a pattern, by its beginning, and what to do about it.
_ADVICE = (
    ("global flags not at the start", "put (?i) and its like at the very beginning; (?i) itself is not needed"),
    ("nothing to repeat", "'*', '+' and '?' repeat what stands before them; '.*' stands for any text"),
    ("multiple repeat", "one of '*', '+' and '?' follows another; put what is repeated in ( )"),
    ("look-behind requires fixed-width", "what stands in (?<=…) or (?<!…) must have one length"),
    ("unterminated character set", "a '[' is not closed; for the character itself write \\["),
    ("missing ), unterminated subpattern", "a '(' is not closed; for the character itself write \\("),
    ("unbalanced parenthesis", "a ')' was never opened; for the character itself write \\)"),
    ("bad escape", "no such escape; for a backslash itself write \\\\"),
)


class PatternRefused(ValueError):
    """A pattern that is no regular expression, or that some name could make slow; the text says what to write."""


@functools.lru_cache(maxsize=4096)
def compile_pattern(source: str) -> re.Pattern[str]:
    """Return ``source`` compiled, for ``search`` alone: a full match costs more than was counted.

    Errors: :class:`PatternRefused`, with a sentence for the user.
    """
    if len(source) > MAX_SOURCE:
        raise PatternRefused(f"longer than {MAX_SOURCE} characters; make several rules of it")
    ended = _IDLE_START.sub(r"\1", _TOKEN.sub(_with_true_end, source))
    try:
        compiled = re.compile(ended, _FLAGS)
        if compiled.flags & (re.MULTILINE | re.VERBOSE):
            raise TooCostly("flags")
        if search_cost(parsed(ended), True, compiled.groups) > MAX_STEPS:
            raise TooCostly("wide")
        return compiled
    except re.error as exc:
        advice = next((ours for theirs, ours in _ADVICE if exc.msg.startswith(theirs)), exc.msg)
        raise PatternRefused(f"this is no regular expression: {advice}") from exc
    except TooCostly as exc:
        unknown = f"{exc.why} is not offered here; write it with characters, [ ], ( ), |, *, + and ?"
        raise PatternRefused(_WHY.get(exc.why, unknown)) from exc
    except (RecursionError, OverflowError) as exc:
        raise PatternRefused(_WHY["size"]) from exc


def _with_true_end(token: re.Match[str]) -> str:
    text = token[0]
    if text[0] == "[" and _FUTURE_SET.search(text):
        raise PatternRefused("within [ ], write \\[ for '[', and a backslash before the second of --, &&, || and ~~")
    return r"\Z" if text == "$" else text


def parsed(source: str, parser: str = "re._parser") -> list[tuple[Any, Any]]:
    """Return the items of a valid pattern, as :mod:`re` itself parses it.

    The parser is private to :mod:`re`, the same since Python 2, and was moved in 3.11. A Python that has none, or
    whose tree has another shape, gets no patterns rather than unchecked ones.

    Errors: PatternRefused without a parser.
    """
    try:
        return list(importlib.import_module(parser).parse(source, int(_FLAGS)))
    except (ImportError, AttributeError, TypeError) as exc:
        raise PatternRefused("this Python cannot tell how long a pattern takes; write exact rules") from exc
