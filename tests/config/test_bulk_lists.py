"""Lists that are read without the parser: the same trees, places and complaints as with it, and little work for it."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML
from samples import examples

from ampmap.config import bulk_lists as plainitems
from ampmap.config import yaml_tree as yamltree
from ampmap.config.nodes import Mapping, Node, Sequence
from ampmap.errors import Complaint, ConfigError

FILE = "f.yaml"


def as_read(read: Callable[[str, str], tuple[Node, list[Complaint]]], text: str) -> object:
    """All that comes out: the tree with its places and the complaints, or what it fails with."""
    try:
        return read(text, FILE)
    except ConfigError as exc:
        return exc.complaints


def by_both(text: str, file: str) -> tuple[Node, list[Complaint]]:
    return yamltree._quickly(text, file) or yamltree._wholly(text, file)


def agree(text: str) -> None:
    """Reading the text with and without the shortcut comes to the same."""
    assert as_read(yamltree._wholly, text) == as_read(by_both, text)


def flow(count: int, indent: str = "  ") -> str:
    return "".join(f"{indent}- {{from: claude-opus-{i}, to: gpt-5-{i}}}\n" for i in range(count))


def block(count: int, indent: str = "  ") -> str:
    return "".join(f"{indent}- from: claude-opus-{i}\n{indent}  to: 'gpt-5-{i}'\n" for i in range(count))


SHAPES: dict[str, Callable[[int], str]] = {
    "flow": flow,
    "block": block,
    "names": lambda count: "".join(f"  - openai/gpt-5:{i}x\n" for i in range(count)),
    "json": lambda count: "".join(
        f'  - {{ "from": "a-{i}", "to": ["b", "c d"], "regex": true }}\n' for i in range(count)
    ),
    "commented": lambda count: "".join(f"  # no {i}\n\n  - {{from: a-{i}, to: b}}  # — why?\n" for i in range(count)),
    "crlf": lambda count: flow(count).replace("\n", "\r\n"),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_what_people_write_a_thousand_times_costs_the_parser_two_items(shape: str) -> None:
    """Work is counted, not time: the parser's tokens are as many for a thousand items as for three."""

    def tokens(count: int) -> int:
        thin, runs = plainitems.take_out("list:\n" + SHAPES[shape](count) + "more: 1\n", FILE)
        assert len(runs) == 1
        return len(list(YAML(typ="safe", pure=True).scan(thin)))

    assert tokens(3) == tokens(1000)


def test_a_short_list_is_not_worth_it_and_a_long_one_is() -> None:
    assert not plainitems.may_be_many("list:\n" + flow(20))
    assert plainitems.may_be_many("list:\n" + flow(100))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "around", ["list:\n{}", "list: &a\n{}other: *a\n", "a:\n  b:\n    c:\n{}", "# x\n---\nl:\n{}...\n"]
)
def test_what_is_taken_out_is_put_back(shape: str, around: str) -> None:
    text = around.format(SHAPES[shape](5).replace("  -", "      -").replace("    to:", "        to:"))

    assert yamltree._quickly(text, FILE) == yamltree._wholly(text, FILE)
    assert yamltree._quickly(text, FILE) is not None


def test_a_list_may_stand_at_its_keys_indentation() -> None:
    text = "rules:\n" + flow(4, "") + "more:\n" + block(4, "")

    assert yamltree._quickly(text, FILE) == yamltree._wholly(text, FILE)


@pytest.mark.parametrize(
    "word", ["true", "False", "NULL", "yes", "on", "nan", "inf", "e5", "y", "trueish", "^a|b$", "a:b", "a:/x"]
)
def test_words_have_the_kinds_that_the_parser_gives_them(word: str) -> None:
    text = "".join(f"- {{a{i}: {word}, b: '{word}', c: \"{word}\", d: [{word}]}}\n" for i in range(4))

    assert yamltree._quickly(text, FILE) == yamltree._wholly(text, FILE)


@pytest.mark.parametrize(
    "text",
    [
        "text: |\n" + flow(5),
        "text: >\n" + flow(5, "   ") + "list:\n" + flow(5),
        "text: 'begins\n" + flow(5).replace("'", "") + "  ends'\n",
        "text: begins\n" + flow(5),
        "text: [\n" + flow(5) + "]\n",
        "- - a\n" + flow(5, "  "),
        "? a\n: " + flow(5, ""),
        flow(5) + "   x\n",
        flow(5) + "    x: 1\n",
        flow(5) + " - {from: a, to: b}\n",
        block(5) + "      continued\n",
        block(5) + "    to: again\n",
        flow(3) + "- {from: a, from: b}\n" + flow(3),
        flow(2) + "  - {from: a, from: b}\n" + flow(2),
        flow(5) + "x: @\n",
        flow(5) + "--- \n" + flow(5),
        "%YAML 1.1\n---\n" + flow(5).replace("gpt", "yes"),
        flow(5).replace("\n", "\r"),
        flow(2) + "  - a\u2028\n" + flow(3),
        "a: &x\n" + flow(5) + "b: [*x, *x]\nc: *y\n",
        "a: &x\n" + flow(5) + "b:\n  <<: *x\n",
        "x: {a: 1,\n" + flow(5),
        "- &a\n" + flow(4, "  ") + "- *a\n" + flow(4, ""),
        flow(5) + "  - {from: a, to: b}: c\n",
        flow(5) + "  \t- {from: a, to: b}\n",
        "a: 1\n" + flow(5, ""),
        flow(5, "") + "a: 1\n",
        "true:\n" + flow(5).replace("from", "true"),
    ],
)
def test_odd_surroundings_make_no_difference(text: str) -> None:
    agree(text)


@pytest.mark.parametrize("depth", range(94, 103))
def test_the_depth_that_is_too_much_is_the_same(depth: int) -> None:
    for items in ("- a\n- {b: [c]}\n- {b: [c]}\n- a\n", flow(4, "")):
        agree("- " * (depth - 4) + "\n" + "".join("  " * (depth - 4) + line + "\n" for line in items.splitlines()))


def test_the_number_of_values_that_is_too_much_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "a: &x\n" + flow(5) + "b: [*x, *x, *x]\nc: 1\n"
    for limit in range(20, 120):
        monkeypatch.setattr(yamltree, "MAX_NODES", limit)
        agree(text)


# Lines that go together in every way, most of them fit for a shortcut, and what must keep it from being taken.
LINES = [
    "- {from: a, to: b}",
    "- {from: a.b/c:free, to: [d, 'e f'], regex: true}  # why",
    '- { "from": "a", "to": "b" }',
    "- from: a",
    "  to: b",
    "- name",
    "- 'na # me'",
    "# comment",
    "",
    "  ",
    "- {from: a, from: b}",
    "- {true: a}",
    "- {from: 5, to: ~}",
    "- &x {from: a, to: b}",
    "- *x",
    "- !t {from: a, to: b}",
    "- from: |",
    "- 'open",
    '- "open',
    "close'",
    'close"',
    "- a: b: c",
    "- - a",
    "- a #b",
    "- a#b",
    "- a:",
    "- {a: [b, c}",
    "- [a,",
    "]",
    "key:",
    "key: |",
    "key: >-",
    "key: &x",
    "<<: *x",
    "? a",
    ": b",
    "---",
    "...",
    "%YAML 1.1",
]
ENDS = ["\n", "\n", "\n", "\n", "\r\n", "\r", "\u2028\n", "\t\n", " \n"]


@st.composite
def documents(draw: st.DrawFn) -> str:
    """A file of a few lists, each of lines of one kind for the most part."""
    text = draw(st.sampled_from(["", "", "", "list:\n", "a:\n  b:\n", "\ufeff", "k: |\n", "- ", "[", "{a:\n"]))
    for _ in range(draw(st.integers(1, 3))):
        indent = " " * draw(st.sampled_from([0, 0, 2, 2, 4]))
        usual = draw(st.sampled_from([LINES[:1], LINES[1:3], LINES[3:5], LINES[5:7], LINES[:10]]))
        pick = draw(st.lists(st.integers(0, 200), min_size=1, max_size=12))
        end = draw(st.sampled_from(ENDS))
        turns = itertools.cycle(usual)
        for number in pick:
            line = LINES[number] if number < len(LINES) else next(turns)
            text += indent + line + (end if number % 7 else "\n")
        text += draw(st.sampled_from(["", "", "key: v\n", "  x\n", "      x\n", ": y\n", "]\n"]))
    return text


@settings(max_examples=examples(600))
@given(documents())
@example("- name\n- name\n- name\n")
def test_generated_files_are_read_alike(text: str) -> None:
    agree(text)


SPOILERS = [
    *list(" \t\n\r'\"#:,-[]{}&*!|>%@`?~^\\\x85\ufeff\u2028\x00aé0."),
    "- ",
    ": ",
    " #",
    "\n\n",
    "  ",
    "...",
    "---",
]


@settings(max_examples=examples(600))
@given(
    st.sampled_from([flow(6), block(6), SHAPES["json"](5), SHAPES["commented"](5), SHAPES["names"](6)]),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 3), st.sampled_from(SPOILERS)), min_size=1, max_size=3),
)
def test_spoilt_files_are_read_alike(text: str, changes: list[tuple[float, int, str]]) -> None:
    for where, cut, put in changes:
        at = int(where * len(text))
        text = text[:at] + put + text[at + cut :]
    agree("list:\n" + text + "more: 1\n")


def test_a_run_is_no_more_than_its_items() -> None:
    """What stands between two lists belongs to neither."""
    tree, _ = by_both("a:\n" + flow(4) + "b:\n" + flow(4), FILE)

    assert isinstance(tree, Mapping)
    assert [4, 4] == [len(value.items) for _, value in tree.entries if isinstance(value, Sequence)]
