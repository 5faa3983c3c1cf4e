"""Edits of rules change the rules that they are meant to change, and not one other byte."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ampmap.config import file as configfile
from ampmap.config.rule_edit import add, has_rules, listed, remove
from ampmap.errors import ConfigError, Place

FLOW = "{from: new, to: target}"


def rules(text: str) -> list[tuple[str, tuple[str, ...], bool]]:
    """The rules as the configuration's own reader sees them."""
    loaded = configfile.parse(text, "/config.yaml", {})
    return [(rule.source, rule.targets, rule.regex) for rule in loaded.settings.amp.rules]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", f"amp-model-mappings:\n  - {FLOW}\n"),
        ("# notes\n", f"# notes\n\namp-model-mappings:\n  - {FLOW}\n"),
        ("admin: {}", f"admin: {{}}\n\namp-model-mappings:\n  - {FLOW}"),
        ("admin: {}\r\n\r\n", f"admin: {{}}\r\n\r\namp-model-mappings:\r\n  - {FLOW}\r\n"),
        ("ampcode:\n  force-model-mappings: true\n", None),
        ("amp-model-mappings: []\n", f"amp-model-mappings: [{FLOW}]\n"),
        ("amp-model-mappings: # why\n# more\nlog: {}\n", f"amp-model-mappings: # why\n  - {FLOW}\n# more\nlog: {{}}\n"),
        ("ampcode:\n  model-mappings:\n\nlog: {}\n", f"ampcode:\n  model-mappings:\n    - {FLOW}\n\nlog: {{}}\n"),
        (
            "amp-model-mappings:\n- {from: a, to: b} # c\n\n# tail\nlog: {}\n",
            f"amp-model-mappings:\n- {{from: a, to: b}} # c\n- {FLOW}\n\n# tail\nlog: {{}}\n",
        ),
        (
            "ampcode:\r\n  model-mappings:\r\n    -   from: a\r\n        to: [b,\r\n          c]  # d\r\nlog: {}",
            "ampcode:\r\n  model-mappings:\r\n    -   from: a\r\n        to: [b,\r\n          c]  # d\r\n"
            "    -   from: new\r\n        to: target\r\nlog: {}",
        ),
        ("amp-model-mappings:\n  - {from: a, to: b}", f"amp-model-mappings:\n  - {{from: a, to: b}}\n  - {FLOW}"),
        (
            "amp-model-mappings:\n  - from: a\n    to: >\n      b\n\nlog: {}\n",
            "amp-model-mappings:\n  - from: a\n    to: >\n      b\n  - from: new\n    to: target\n\nlog: {}\n",
        ),
        ("amp-model-mappings: [{from: a, to: b}]\n", f"amp-model-mappings: [{{from: a, to: b}}, {FLOW}]\n"),
        ("amp-model-mappings: [{from: a, to: b}, ]\n", f"amp-model-mappings: [{{from: a, to: b}}, {FLOW}, ]\n"),
        ("\ufeffamp-model-mappings:\n  - {from: a, to: b}\n...\n", None),
    ],
)
def test_a_rule_is_added_in_the_style_of_the_others(before: str, after: str | None) -> None:
    edited = add(before, "new", "target")

    assert ("new", ("target",), False) == rules(edited)[-1]
    if after is not None:
        assert after == edited


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("amp-model-mappings:\n  - {from: New, to: b, credits: refuse} # c\n", "to: b|to: target"),
        ("amp-model-mappings:\n  - from: ' NEW '  # x\n    to: b # c\n", "to: b|to: target"),
        ("amp-model-mappings:\n  - from: new\n    to: [b,\n      c] # c\n", "[b,\n      c]|target"),
        ("amp-model-mappings: [{from: new, to: 'b'}, {from: c, to: d}]\n", "'b'|target"),
        ("amp-model-mappings: [{from: new, to: b}, {from: new, to: c}]\n", "to: c|to: target"),
        ("amp-model-mappings:\n  - from: new\n    to: |\n      b\n\n# tail\n", "|\n      b|target"),
    ],
)
def test_an_existing_rule_gets_the_new_target_and_keeps_the_rest(before: str, after: str) -> None:
    old, new = after.rsplit("|", 1)

    assert before.replace(old, new) == add(before, "new", "target")


def test_a_rule_is_added_after_one_that_lacks_a_value() -> None:
    text = "amp-model-mappings:\n  - from: a\n    to:  # later\n\n# tail\nlog: {}\n"

    assert text.replace("# later\n", "# later\n  - from: new\n    to: target\n") == add(text, "new", "target")


@pytest.mark.parametrize(
    "text",
    [
        "amp-model-mappings: [\n  {from: old, to: b} # c\n  , {from: a, to: b}]\n",
        "amp-model-mappings: [\n  {from: old, to: b}, # O\n  # a\n  {from: a, to: b}]\n",
        "amp-model-mappings:\n  -\n    # x - y\n    from: old\n    to: b\n",
        "amp-model-mappings:\n  - &r {from: old, to: b}\n  - {from: a, to: b, credits: *r}\n",
    ],
)
def test_a_rule_that_cannot_be_taken_out_cleanly_stays(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^c\.yaml:[1-4]:[0-9]+: this rule has .* delete it by hand$"):
        remove(text, "old", file="c.yaml")


def test_conditional_rules_and_patterns_are_left_alone() -> None:
    text = "amp-model-mappings:\n  - {from: new, to: b, when: {tool-choice: x}}\n  - {from: new, to: c, regex: true}\n"

    assert text + f"  - {FLOW}\n" == add(text, "new", "target")
    assert text.replace("to: c", "to: d") == add(text, "new", "d", regex=True)
    assert text + "  - {from: NEW, to: d, regex: true}\n" == add(text, "NEW", "d", regex=True)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("amp-model-mappings:\n  - {from: Old, to: b} # c\nlog: {}\n", "amp-model-mappings:\nlog: {}\n"),
        (
            "amp-model-mappings:\r\n# above\r\n- from: old\r\n  # in\r\n  to: b\r\n\r\n# next\r\n- {from: a, to: b}",
            "amp-model-mappings:\r\n# above\r\n\r\n# next\r\n- {from: a, to: b}",
        ),
        (
            "amp-model-mappings:\n  - {from: a, to: b}\n  - {from: old, to: b}",
            "amp-model-mappings:\n  - {from: a, to: b}\n",
        ),
        ("amp-model-mappings: [{from: old, to: b}]\n", "amp-model-mappings: []\n"),
        ("amp-model-mappings: [{from: old, to: b}, {from: a, to: b}]\n", "amp-model-mappings: [{from: a, to: b}]\n"),
        ("amp-model-mappings: [{from: a, to: b}, {from: old, to: b}]\n", "amp-model-mappings: [{from: a, to: b}]\n"),
        ("amp-model-mappings: [{from: a, to: b}, {from: old, to: b},]\n", "amp-model-mappings: [{from: a, to: b},]\n"),
        (
            "ampcode: {model-mappings: [{from: old, to: b}, {from: a, to: b}, {from: OLD, to: c}]}\n",
            "ampcode: {model-mappings: [{from: a, to: b}]}\n",
        ),
        ("amp-model-mappings:\n  -\n    from: old\n    to: b\nlog: {}\n", "amp-model-mappings:\nlog: {}\n"),
        ("amp-model-mappings:\n  - # old - c\n    from: old\n    to: b\n", "amp-model-mappings:\n"),
    ],
)
def test_a_rule_is_removed_with_its_own_lines_only(before: str, after: str) -> None:
    assert after == remove(before, "old")


@pytest.mark.parametrize("text", ["", "log: {}\n", "amp-model-mappings: []\n", "amp-model-mappings:\n  - {from: a}\n"])
def test_removing_what_is_not_there_is_an_error(text: str) -> None:
    with pytest.raises(ConfigError, match="no rule is from 'old'"):
        remove(text, "old")


@pytest.mark.parametrize(
    "text",
    [
        "{log: {}}\n",
        "amp-model-mappings: &x\n  - &r {from: a, to: b}\n  - *r\n",
        "amp-model-mappings: !!seq x\n",
        "amp-model-mappings: x\n",
        "amp-model-mappings: &a\nlog: *a\n",
        "log: &l {}\namp-model-mappings: &m [{from: a, to: b}]\nampcode: {upstream-api-keys: *m}\n",
    ],
)
def test_what_cannot_be_edited_safely_is_not_edited(text: str) -> None:
    with pytest.raises(ConfigError):
        add(text, "new", "target")


@pytest.mark.parametrize(
    ("text", "place", "line"),
    [
        ("amp-model-mappings: [\n  {from: a, to: b} # c\n]\n", "2:3", f"{FLOW},"),
        ("amp-model-mappings: [ # none\n]\n", "1:1", f"{FLOW},"),
        ("amp-model-mappings: ~\n", "1:1", f"- {FLOW}"),
        ("x: &r {from: a, to: b}\namp-model-mappings:\n  - *r\n", "1:4", f"- {FLOW}"),
        ("{log: {}}\n", "1:1", f"amp-model-mappings: [{FLOW}]"),
        ("amp-model-mappings: [\n  {from: new, credits: warn}]\n", "2:3", "to: target"),
        ("amp-model-mappings:\n  - {from: new}\n", "2:5", "to: target"),
        ("amp-model-mappings:\n  - from: new\n    to:\n", "2:5", "to: target"),
        ("amp-model-mappings:\n  - from: new\n    to:\n    - b\n    - c\n", "2:5", "to: target"),
    ],
)
def test_the_line_to_paste_is_shown_where_the_rules_are_not_edited(text: str, place: str, line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        add(text, "new", "target", file="c.yaml")

    said, shown = str(caught.value).split("\n")
    assert said.startswith(f"c.yaml:{place}: ") and "not edited here" in said
    assert line == shown.strip()


@pytest.mark.parametrize(
    ("text", "source", "advice"),
    [
        ("- a\n", "old", "expected 'key: value'"),
        ("a: [\n", "old", "configuration:"),
        ("", " old", "no blanks at its ends"),
        ("", "", "no blanks"),
        ("", "a\nb", "no control characters"),
        ("", "x" * 257, "256 bytes"),
    ],
)
def test_what_is_wrong_is_said(text: str, source: str, advice: str) -> None:
    with pytest.raises(ConfigError, match=advice):
        add(text, source, "target")


def test_a_pattern_that_would_be_skipped_is_not_added() -> None:
    with pytest.raises(ConfigError, match="repeat once"):
        add("", "(a+)+", "target", regex=True)


@pytest.mark.parametrize(
    "name", ["4.5", "on", "Y", "null", "true", "a: b", "#x", "a #b", "'q'", '"', "a,b", "[a]", "${X}", "$${", "é", "\\"]
)
@pytest.mark.parametrize("text", ["", "amp-model-mappings: []\n", "amp-model-mappings:\n  - from: a\n    to: b\n"])
def test_any_name_is_read_back_as_it_was_given(text: str, name: str) -> None:
    assert (name, (name,), False) == rules(add(text, name, name))[-1]


def test_the_list_has_places_and_unexpanded_variables() -> None:
    text = "amp-model-mappings:\r\n  - {from: a, to: '${X}'}\r\n  - from: b\r\n    to: [c, d]\r\n    regex: true\r\n"

    first, second = listed(text, "f.yaml")

    assert ("a", ("${X}",), False, Place("f.yaml", 2, 5)) == (first.source, first.targets, first.regex, first.place)
    assert ("b", ("c", "d"), True, Place("f.yaml", 3, 5)) == (second.source, second.targets, second.regex, second.place)
    assert has_rules(text) and not has_rules("log: {}\n")


# -- any document

NAMES = st.sampled_from(["gpt-5", "GPT-4", "a", "b.1", "4.5", "x: y", "'q'"])
COMMENTS = st.sampled_from(["", "  # why", " #"])
LINES = st.lists(st.sampled_from(["", "# above", "  # deeper"]), max_size=2)


@st.composite
def documents(draw: st.DrawFn) -> tuple[str, list[str]]:
    """A configuration with rules in some style, and the pieces of it that belong to no rule."""
    newline = draw(st.sampled_from(["\n", "\r\n"]))
    before = draw(st.sampled_from([[], ["log: {level: info}  # log", ""], ["# head", "api-keys: [k]"]]))
    after = draw(st.sampled_from([[], ["", "# tail"], ["timeouts: {head-s: 5}", "# end"]]))
    pairs = draw(st.lists(st.tuples(NAMES, NAMES), max_size=4))
    written = [tuple(written_as(name) for name in pair) for pair in pairs]
    style = draw(st.sampled_from(["flow items", "block items", "flow list"]))
    kept = [*before, *after]
    body: list[str] = []
    for source, target in written if style.endswith("items") else ():
        above, comment = draw(LINES), draw(COMMENTS)
        kept += above
        item = (
            [f"- {{from: {source}, to: {target}}}"]
            if style == "flow items"
            else [f"- from: {source}", f"  to: {target}"]
        )
        body += [*above, *(f"  {line}" for line in item[:-1]), f"  {item[-1]}{comment}"]
    items = [f"{{from: {source}, to: {target}}}" for source, target in written]
    if style == "flow list":
        key = [f"amp-model-mappings: [{', '.join(items)}]"]
    else:
        key = ["amp-model-mappings:", *body]
    end = draw(st.sampled_from([newline, ""]))
    return newline.join([*before, *key, *after]) + end, [line.strip() for line in kept if line.strip()]


def written_as(name: str) -> str:
    return name if name[0].isalpha() and ":" not in name else '"' + name + '"'


@given(documents(), NAMES, NAMES)
def test_in_any_document_only_the_rule_changes(document: tuple[str, list[str]], source: str, target: str) -> None:
    text, kept = document
    before = rules(text)
    known = [number for number, rule in enumerate(before) if rule[0].lower() == source.lower()]

    edited = add(text, source, target)

    if known:
        expected = [*before[: known[-1]], (before[known[-1]][0], (target,), False), *before[known[-1] + 1 :]]
    else:
        expected = [*before, (source, (target,), False)]
        assert is_left_of(text, edited)
    assert expected == rules(edited)
    assert all(line in edited for line in kept)
    assert ("\r" in text) == ("\r" in edited) or "\n" not in text


@given(documents(), NAMES)
def test_in_any_document_only_the_rule_goes(document: tuple[str, list[str]], source: str) -> None:
    text, kept = document
    before = rules(text)
    remaining = [rule for rule in before if rule[0].lower() != source.lower()]
    if remaining == before:
        with pytest.raises(ConfigError):
            remove(text, source)
        return

    edited = remove(text, source)

    assert remaining == rules(edited)
    assert all(line in edited for line in kept)
    assert is_left_of(edited, text)


@given(documents())
def test_what_is_added_and_removed_leaves_the_text_as_it_was(document: tuple[str, list[str]]) -> None:
    text, _ = document
    if not text.endswith("\n"):
        text += "\r\n" if "\r" in text else "\n"

    assert text == remove(add(text, "never-there", "target"), "never-there")


def is_left_of(shorter: str, longer: str) -> bool:
    """Tell whether ``shorter`` is what is left of ``longer`` when characters are taken out of it."""
    rest = iter(longer)
    return all(char in rest for char in shorter)
