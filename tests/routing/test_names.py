"""Forms of a model's name: suffixes, context marks, dates, and what of them moves to a rule's target."""

from __future__ import annotations

import pytest

from ampmap.routing.names import compile_glob, forms, is_glob, split_date, split_suffix, target_name

# Thinking suffixes.


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("a", ("a", None)),
        ("a(8192)", ("a", "8192")),
        ("a(high)", ("a", "high")),
        ("a(-1)", ("a", "-1")),
        ("a(HiGh!)", ("a", "HiGh!")),
        ("a()", ("a", "")),
        ("a(x)(y)", ("a(x)", "y")),
        ("a(b(c)", ("a(b", "c")),
        ("a(x", ("a(x", None)),
        ("a)", ("a)", None)),
        ("a(x) ", ("a(x) ", None)),
        ("(x)", ("(x)", None)),
        ("()", ("()", None)),
        ("", ("", None)),
    ],
)
def test_a_suffix_is_split_once_at_the_last_bracket(name: str, parts: tuple[str, str | None]) -> None:
    assert parts == split_suffix(name)


@pytest.mark.parametrize(
    ("requested", "target", "name"),
    [
        ("a", "b", "b"),
        ("a(8192)", "b", "b(8192)"),
        ("a(8192)", "b(high)", "b(high)"),
        ("a", "b(high)", "b(high)"),
        ("a()", "b", "b"),
        ("a()", "b(high)", "b(high)"),
        ("a(8192)", "b()", "b(8192)"),
        ("a", "b()", "b"),
        ("a(x)(y)", "b", "b(y)"),
        (" a(x) ", "b", "b(x)"),
        ("a[1m]", " b ", "b[1m]"),
        ("a(x)[1m]", "b", "b[1m](x)"),
        ("a[1m](x)", "b[200k]", "b[200k](x)"),
        ("a[1m](x)", "b(y)", "b[1m](y)"),
    ],
)
def test_the_clients_suffix_moves_to_the_target_unless_that_has_one(requested: str, target: str, name: str) -> None:
    assert name == target_name(requested, target)


# Forms.


def test_forms_go_from_the_name_as_it_came_to_what_is_left_of_it() -> None:
    assert [
        (0, " Claude-X-20250101[1m](high)", ""),
        (1, "Claude-X-20250101[1m](high)", ""),
        (2, "Claude-X-20250101[1m](high)", ""),
        (4, "Claude-X-20250101[1m]", "high"),
        (3, "Claude-X-20250101(high)", ""),
        (4, "Claude-X-20250101", "high"),
        (5, "Claude-X", "high"),
        (6, "Claude-X:latest", "high"),
    ] == [(form.rank, form.text, form.suffix) for form in forms(" Claude-X-20250101[1m](high)")]
    assert [(0, "m"), (2, "m"), (6, "m:latest")] == [(form.rank, form.text) for form in forms("m")]


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("m-20251101", ("m", "20251101")),
        ("m-2025-11-01", ("m", "20251101")),
        ("m-20240229", ("m", "20240229")),
        ("m-20251131", ("m-20251131", "")),
        ("m-20251301", ("m-20251301", "")),
        ("m-2025-1101", ("m-2025-1101", "")),
        ("m-19991101", ("m-19991101", "")),
        ("m-1234", ("m-1234", "")),
        ("20251101", ("20251101", "")),
        ("", ("", "")),
    ],
)
def test_a_date_is_one_that_a_calendar_has(name: str, parts: tuple[str, str]) -> None:
    assert parts == split_date(name)


@pytest.mark.parametrize(("name", "glob"), [("a", False), ("a*", True), ("?", True), ("[ab]", False), ("a(b)", False)])
def test_a_glob_is_known_by_its_marks(name: str, glob: bool) -> None:
    assert glob == is_glob(name)


def test_brackets_in_a_glob_are_themselves() -> None:
    glob = compile_glob("claude-*[1m]")

    assert glob.match("claude-opus[1m]")
    assert not glob.match("claude-opus1")
    assert not glob.match("claude-opus[1m]x")


@pytest.mark.parametrize("name", ["xgpt-5", "openai/gpt-5", "gpt", "\ngpt-5"])
def test_a_glob_matches_whole_names_only(name: str) -> None:
    assert compile_glob("gpt-*").search("gpt-5")
    assert not compile_glob("gpt-*").search(name)
    assert not compile_glob("gpt-?").search(name + "0")


def test_a_glob_with_many_stars_is_fast_on_a_name_that_almost_matches() -> None:
    assert not compile_glob("*a" * 100 + "b").match("a" * 256)
