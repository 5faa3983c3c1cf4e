"""Tabs between tokens, which YAML 1.2 allows (§6.2) and ruamel.yaml's scanner refuses outside of brackets.

A tab stays an error wherever it would indent: before the first token of a line, and between ``-`` and a key.
"""

from __future__ import annotations

import re
from typing import Any

from ruamel.yaml.scanner import Scanner

_ENDS = "\0\r\n\x85\u2028\u2029"
_BLANKS, _INDICATORS = re.compile(r"[ \t]*"), re.compile(r"[ \t]*(?:[-?][ \t]+)*")


def indenting_tab(line: str, problem: str) -> int:
    """Return where in ``line`` a tab indents what the parser's ``problem`` is about; -1 where none does."""
    begins_block = problem.startswith(("mapping values are not", "sequence entries are not"))
    found = (_INDICATORS if begins_block else _BLANKS).match(line)
    return found[0].find("\t") if found else -1


class TabScanner(Scanner):
    """ruamel.yaml's scanner for text with tabs."""

    def scan_to_next_token(self) -> Any:
        """Skip blanks, comments and line breaks, and tabs that do not indent."""
        super().scan_to_next_token()
        while self.reader.peek() == "\t" and self._may_be_skipped():
            self.reader.forward(self._white())
            # What follows on this line can begin no block: its column would depend on the width of the tab.
            self.allow_simple_key = False
            super().scan_to_next_token()

    def scan_plain_spaces(self, indent: Any, start_mark: Any) -> Any:
        """Return the blanks within a plain scalar, tabs included (§7.3.3); those behind it are dropped."""
        length = self._white()
        text = self.reader.prefix(length)
        if "\t" not in text:
            return super().scan_plain_spaces(indent, start_mark)
        self.reader.forward(length)
        if self.reader.peek() in _ENDS + "#":
            return super().scan_plain_spaces(indent, start_mark)
        return [text]

    def _white(self) -> int:
        length = 0
        while self.reader.peek(length) in " \t":
            length += 1
        return length

    def _may_be_skipped(self) -> bool:
        before = self.reader.buffer[self.reader.pointer - self.reader.column : self.reader.pointer]
        return bool(before.strip(" \t")) or self.reader.peek(self._white()) in _ENDS + "#"
