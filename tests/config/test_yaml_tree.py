"""YAML text becomes a tree whose every value knows its place, or a complaint that knows where a person should look."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ampmap.config import yaml_tree as yamltree
from ampmap.config.nodes import Mapping, Node, Scalar, Sequence
from ampmap.errors import Complaint, ConfigError, Place


def parse(text: str) -> Node:
    return yamltree.parse(text.encode(), "f.yaml")


def plain(node: Node) -> object:
    """The node without its places."""
    match node:
        case Scalar():
            return (node.kind, node.text)
        case Sequence():
            return [plain(item) for item in node.items]
        case Mapping():
            return {key.text: plain(value) for key, value in node.entries}


def complaints(data: str | bytes) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        yamltree.parse(data.encode() if isinstance(data, str) else data, "f.yaml")
    return [str(complaint) for complaint in caught.value.complaints]


def test_every_value_knows_its_line_and_column() -> None:
    tree = parse("# first\nkey: value\nlist:\n  - 1\n  - {a: b}\n")

    assert tree == Mapping(
        Place("f.yaml", 2, 1),
        (
            (Scalar(Place("f.yaml", 2, 1), "key", "str"), Scalar(Place("f.yaml", 2, 6), "value", "str")),
            (
                Scalar(Place("f.yaml", 3, 1), "list", "str"),
                Sequence(
                    Place("f.yaml", 4, 3),
                    (
                        Scalar(Place("f.yaml", 4, 5), "1", "int"),
                        Mapping(
                            Place("f.yaml", 5, 5),
                            (
                                (
                                    Scalar(Place("f.yaml", 5, 6), "a", "str"),
                                    Scalar(Place("f.yaml", 5, 9), "b", "str"),
                                ),
                            ),
                        ),
                    ),
                ),
            ),
        ),
    )


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("null", "~ null Null NULL"),
        ("bool", "true True TRUE false False FALSE"),
        ("int", "0 12 -7 +7 010 0o17 0x1F"),
        ("float", "1.5 .5 5. 1e5 -1.5E+3 .inf -.INF +.Inf .nan .NaN"),
        # What YAML 1.1 reads as something else, and what only looks like a number.
        ("str", "yes no on off Y n 1_000 0b1 0o8 1:30 12:30:00 2001-01-01 = << 1.2.3 tRUE nUll e5 ."),
    ],
)
def test_plain_scalars_have_the_kinds_of_the_core_schema(kind: str, words: str) -> None:
    """YAML 1.2.2 §10.3.2."""
    tree = parse("".join(f"- {word}\n" for word in words.split()))

    assert [(kind, word) for word in words.split()] == plain(tree)


def test_no_value_at_all_is_null() -> None:
    assert {"a": ("null", ""), "b": ("null", "")} == plain(parse("a:\nb:\n"))


@pytest.mark.parametrize("text", ["'5'", '"5"', "!!str 5", "|-\n  5"])
def test_what_is_quoted_is_a_string(text: str) -> None:
    assert {"a": ("str", "5")} == plain(parse(f"a: {text}\n"))


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing here\n", "---\n", "---\n...\n", "\ufeff", "~"])
def test_an_empty_document_is_an_empty_mapping(text: str) -> None:
    assert {} == plain(parse(text))


def test_a_byte_order_mark_moves_no_column() -> None:
    tree = parse("\ufeffkey: 1")

    assert isinstance(tree, Mapping)
    assert Place("f.yaml", 1, 1) == tree.entries[0][0].place


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_every_line_end_counts_once(line_end: str) -> None:
    assert ["f.yaml:3:1: 'a' is given twice, on line 1 and on line 3; keep one"] == complaints(
        line_end.join(["a: 1", "b: 2", "a: 3"])
    )


def test_an_alias_repeats_its_anchor() -> None:
    assert {"a": [("int", "1")], "b": [("int", "1")]} == plain(parse("a: &x [1]\nb: *x\n"))


def test_an_anchor_may_be_used_again() -> None:
    """YAML 1.2.2 §3.2.2.2: an alias means the last anchor of its name."""
    assert {"a": ("int", "1"), "b": ("int", "2"), "c": ("int", "2")} == plain(parse("a: &x 1\nb: &x 2\nc: *x\n"))


def test_merge_keys_take_in_what_is_not_written() -> None:
    tree = parse("base: &base {a: 1, b: 2}\nmine:\n  b: 3\n  <<: *base\n")

    assert isinstance(tree, Mapping)
    assert {"b": ("int", "3"), "a": ("int", "1")} == plain(tree.entries[1][1])


def test_of_several_merged_mappings_an_earlier_one_wins() -> None:
    assert {"a": ("int", "1"), "b": ("int", "3")} == plain(parse("<<: [{a: 1}, {a: 2, b: 3}]\n"))


def test_a_quoted_merge_key_is_a_key() -> None:
    assert {"<<": ("int", "1")} == plain(parse("'<<': 1\n"))


UNQUOTED = "tags (!name) have no meaning here; if the value begins with '!', put it in quotes"
ESCAPE = "not an escape that double quotes know; use single quotes, or write each backslash twice"
UNCLOSED = "the quote that opens here is never closed"
BAD_MERGE = "'<<' takes in a mapping, or a list of mappings; write '<<: *name'"
BAD_KEY = "a key must be a string; put it in quotes"
BAD_START = "a value cannot begin with this character; put the value in quotes"
BAD_TAB = "a tab cannot indent YAML; indent with spaces"
MISALIGNED = "this does not line up with what stands above it; check the indentation"
NO_COMMA = "a comma or the closing bracket is missing before this"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a:\n\t- b\n", f"2:1: {BAD_TAB}"),
        ("a: |\n  \n    b\n", "3:5: a blank line above this text has blanks in it; take them out"),
        ("a: 1\n \tb: 2\n", f"2:2: {BAD_TAB}"),
        ("a: @x\n", f"1:4: {BAD_START}"),
        ("a: 1\nb\nc: 2\n", "2:1: this line is not 'key: value'; a key needs a colon and a blank after it"),
        ("a: b: c", "1:5: 'key: value' is not expected here; check the indentation, or put the text in quotes"),
        ("a: - b", "1:4: a list cannot begin here; put its '- ' on a line of its own"),
        ("a: 1\nb: 'x\n\n", f"2:4: {UNCLOSED}"),
        ("a: 'b\n---\nc'", f"1:4: {UNCLOSED}"),
        (r'a: "\q"', f"1:6: {ESCAPE}"),
        (r'a: "\xZZ"', f"1:7: {ESCAPE}"),
        ("a: *x", "1:4: this alias (*name) has no anchor (&name); if the value begins with '*', put it in quotes"),
        ("a: 1\n---\nb: 2", "2:1: a second document begins here; keep one document in a file"),
        ("a: [1, 2", f"1:9: {NO_COMMA}"),
        ("a: {b: ${C}}", f"1:9: {NO_COMMA}; within [ ] and {{ }} a ${{NAME}} needs quotes"),
        ("- a\nb: c", f"2:1: {MISALIGNED}"),
        ("listen: [::1]:8267", "1:14: an address that begins with '[' needs quotes"),
        ("a: !foo 5", f"1:4: {UNQUOTED}"),
        ("a: !e!foo 5", f"1:4: {UNQUOTED}"),
        ("a: !!binary aGk=", f"1:4: {UNQUOTED}"),
        ("!!set {a}", f"1:1: {UNQUOTED}"),
        ("a: !!omap [b: 1]", f"1:4: {UNQUOTED}"),
        ("a: 1\n5: 2", f"2:1: {BAD_KEY}"),
        ("true: 2", f"1:1: {BAD_KEY}"),
        (": 2", f"1:1: {BAD_KEY}"),
        ("{? {a: b} : c}", f"1:4: {BAD_KEY}"),
        ("<<: 5", f"1:5: {BAD_MERGE}"),
        ("<<: [{a: 1}, 5]", f"1:14: {BAD_MERGE}"),
        (r'a: "\ud800"', r"1:4: half of a surrogate pair is not a character; write \U0001F600"),
        ("a: 1\nb: \x07", "2:4: the control character U+0007 is not allowed; in double quotes, escape it"),
        ("a: \x00", "1:4: the control character U+0000 is not allowed; in double quotes, escape it"),
        ("x: &a\n  y: *a", "1:4: this anchor contains an alias to itself"),
        ("a: &a [*a]", "1:4: this anchor contains an alias to itself"),
        ("[" * 200, "1:101: nested more than 100 levels deep"),
        ("a: |x", "1:5: this is not valid YAML"),
        ("# c\n%YAML 1.9\n---\na: 1", "2:1: this is not YAML 1.2"),
        ('a: 1\nb: "\\U99999999"', "2:5: this is not YAML 1.2"),
    ],
)
def test_what_cannot_be_read_is_said_in_a_sentence_where_it_stands(text: str, complaint: str) -> None:
    assert [f"f.yaml:{complaint}"] == complaints(text)


def test_bytes_that_are_not_utf_8_are_named_by_line() -> None:
    assert ["f.yaml:2:4: this is not UTF-8; save the file as UTF-8"] == complaints(b"a: 1\nb: \xff\xfe\n")


def test_the_column_of_bytes_that_are_not_utf_8_counts_characters() -> None:
    assert ["f.yaml:1:6: this is not UTF-8; save the file as UTF-8"] == complaints("äöü: ".encode() + b"\xff")


def test_a_file_of_over_4_mib_is_refused_unread() -> None:
    assert ["f.yaml:1:1: larger than 4 MiB; split the file and give ampmap the directory"] == complaints(
        b"#" * (4 * 1024 * 1024 + 1)
    )


def test_a_file_of_4_mib_is_read() -> None:
    assert {} == plain(yamltree.parse(b"#" * (4 * 1024 * 1024), "f.yaml"))


def test_aliases_that_explode_are_refused() -> None:
    lines = ["a: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]

    [complaint] = complaints("\n".join(lines))

    assert "f.yaml:1:15: more than 200000 values, counting each use of an alias; use fewer aliases" == complaint


def test_aliases_of_aliases_are_not_deeper_than_lists_may_be() -> None:
    lines = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 120)]

    assert ["f.yaml:1:5: nested more than 100 levels deep"] == complaints("\n".join(lines))


def test_all_that_can_be_read_past_is_reported_together() -> None:
    assert [
        "f.yaml:2:1: 'a' is given twice, on line 1 and on line 2; keep one",
        f"f.yaml:3:1: {BAD_KEY}",
        f"f.yaml:4:4: {UNQUOTED}",
    ] == complaints("a: 1\na: 2\n7: 3\nb: !x 4\n")


def test_what_can_be_read_past_is_left_to_a_caller_who_asks_for_it() -> None:
    found: list[Complaint] = []

    tree = yamltree.parse(b"a: 1\na: 2\nb: 3\n", "f.yaml", found)

    assert {"a": ("int", "1"), "b": ("int", "3")} == plain(tree)
    assert ["f.yaml:2:1: 'a' is given twice, on line 1 and on line 2; keep one"] == list(map(str, found))


def merged(first: str, second: str) -> tuple[object, list[str]]:
    found: list[Complaint] = []
    trees = [yamltree.parse(text.encode(), file, found) for text, file in ((first, "1.yaml"), (second, "2.yaml"))]
    assert isinstance(trees[0], Mapping) and isinstance(trees[1], Mapping)
    return plain(yamltree.merge(trees[0], trees[1], found)), list(map(str, found))


@pytest.mark.parametrize(
    ("first", "second", "both"),
    [
        ("a: 1", "b: 2", {"a": ("int", "1"), "b": ("int", "2")}),
        ("a: [1]", "a: [2]", {"a": [("int", "1"), ("int", "2")]}),
        ("a: {b: 1}", "a: {c: 2}", {"a": {"b": ("int", "1"), "c": ("int", "2")}}),
        ("a:", "a: 1", {"a": ("int", "1")}),
        ("a: 1", "a:", {"a": ("int", "1")}),
        ("", "a: 1", {"a": ("int", "1")}),
    ],
)
def test_two_files_become_one(first: str, second: str, both: object) -> None:
    assert (both, []) == merged(first, second)


@pytest.mark.parametrize(
    ("first", "second", "complaint"),
    [
        ("a: 1", "\na: 1", "2.yaml:2:1: 'a' is already given at 1.yaml:1:1; keep one of them"),
        ("a: [1]", "a: {b: 1}", "2.yaml:1:1: 'a' is already given at 1.yaml:1:1; keep one of them"),
        ("a: {b: 1}", "a: {b: 2}", "2.yaml:1:5: 'b' is already given at 1.yaml:1:5; keep one of them"),
    ],
)
def test_what_two_files_say_differently_is_refused_with_both_places(first: str, second: str, complaint: str) -> None:
    assert [complaint] == merged(first, second)[1]


def test_a_quoted_text_is_short_and_printable() -> None:
    assert r"'a\nb'" == yamltree.quoted("a\nb")
    assert "'" + "x" * 77 + "...'" == yamltree.quoted("x" * 81)


@pytest.mark.parametrize(
    "secret", ["*sk-secret", "!sk-secret", "!sk-secret!x", '"sk-secret', "@sk-secret", "sk: secret: x"]
)
def test_no_complaint_quotes_a_value(secret: str) -> None:
    [complaint] = complaints(f"api-key: {secret}")

    assert "secret" not in complaint


@given(st.binary(max_size=200) | st.text(alphabet="ab:-[]{}&*!|>'\"%#@`,? \t\n\\U0", max_size=60).map(str.encode))
def test_any_bytes_give_a_tree_or_a_complaint(data: bytes) -> None:
    try:
        yamltree.parse(data, "f.yaml")
    except ConfigError as exc:
        assert exc.complaints
