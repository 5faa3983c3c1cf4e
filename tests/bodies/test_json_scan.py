"""JSON strings written fresh: what is quoted reads back as it was, from ASCII bytes; and paths."""

from __future__ import annotations

import json

import pytest

from ampmap.bodies.json_scan import BLANKS, ELEMENT, Paths, quoted


@pytest.mark.parametrize("text", ["", "gpt-5", 'a"b\\c/d', "\n\x00\x7f", "modèle-语-😀", "\ud800"])
def test_quoted_text_reads_back_from_ascii(text: str) -> None:
    """RFC 8259 §7; a lone surrogate has no UTF-8 form, but an escaped one."""
    value = quoted(text)

    assert text == json.loads(value)
    assert value.isascii()


def test_blanks_are_those_of_json() -> None:
    """RFC 8259 §2: form feed and vertical tab are no white space."""
    assert sorted(b" \t\n\r") == sorted(BLANKS)


def test_paths_lead_through_objects_and_arrays() -> None:
    paths = Paths(["model", "[].model", "message.model", "content[].name"])

    assert {b"model": {}, b"message": {b"model": {}}, b"content": {ELEMENT: {b"name": {}}}} == paths.root
    assert {ELEMENT: {b"model": {}}} == paths.array
    assert {} == Paths(["model"]).array


@pytest.mark.parametrize(
    ("paths", "hint"),
    [(["model"], b'"model'), (["model", "a.modelVersion"], b'"model'), (["name", "a[].type"], b'"')],
)
def test_a_hint_begins_each_last_key(paths: list[str], hint: bytes) -> None:
    assert hint == Paths(paths).hint
