"""JSON strings written fresh: what is quoted reads back as it was, from ASCII bytes."""

from __future__ import annotations

import json

import pytest

from ampmap.bodies.json_scan import BLANKS, quoted


@pytest.mark.parametrize("text", ["", "gpt-5", 'a"b\\c/d', "\n\x00\x7f", "modèle-语-😀", "\ud800"])
def test_quoted_text_reads_back_from_ascii(text: str) -> None:
    """RFC 8259 §7; a lone surrogate has no UTF-8 form, but an escaped one."""
    value = quoted(text)

    assert text == json.loads(value)
    assert value.isascii()


def test_blanks_are_those_of_json() -> None:
    """RFC 8259 §2: form feed and vertical tab are no white space."""
    assert sorted(b" \t\n\r") == sorted(BLANKS)
