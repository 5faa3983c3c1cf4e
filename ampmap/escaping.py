"""Text for logs, pages and terminals, with every character escaped that is invisible or would steer a terminal."""

from __future__ import annotations


def text(raw: bytes) -> str:
    """Return a peer's bytes as text; control characters and invalid UTF-8 become escapes, so they forge no log line."""
    return printable(raw.decode("utf-8", "backslashreplace"))


def printable(raw: str) -> str:
    """Escape characters that are invisible or would steer a terminal, such as ``\\n``, ``\\x1b`` and ``\\u202e``."""
    if raw.isprintable():
        return raw
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in raw)


def printable_lines(raw: str) -> str:
    """Do as :func:`printable`, but keep the ends of lines."""
    return "\n".join(map(printable, raw.split("\n")))


def counted(number: int, noun: str) -> str:
    """Return a number and its noun, such as ``1 rule`` and ``2 rules``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
