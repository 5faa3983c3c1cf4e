"""Text for people: what would not show, or would steer a terminal, is escaped. Every package may use it."""

from __future__ import annotations


def text(raw: bytes) -> str:
    """Show bytes of a peer to a person: control characters and stray bytes become escapes, so no line is forged."""
    return printable(raw.decode("utf-8", "backslashreplace"))


def printable(shown: str) -> str:
    """Escape what would not show, or would steer a terminal: ``\\n``, ``\\x1b``, ``\\u202e`` and their like."""
    if shown.isprintable():
        return shown
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in shown)


def counted(number: int, noun: str) -> str:
    """Return a number and its noun, such as ``1 rule`` and ``2 rules``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
