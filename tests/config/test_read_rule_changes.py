"""The ``set`` and ``drop`` of a rule, and conditions on bodies: YAML in, values out, complaints that show the form."""

from __future__ import annotations

import json

import pytest

from ampmap.config.file import parse
from ampmap.errors import ConfigError
from ampmap.settings import Rule, When


def rule(more: str, **env: str) -> Rule:
    [found] = parse(f"amp-model-mappings: [{{from: a, to: b, {more}}}]", "f.yaml", env).settings.amp.rules
    return found


def complaint(more: str) -> str:
    with pytest.raises(ConfigError) as caught:
        rule(more)
    [found] = caught.value.complaints
    return found.what


@pytest.mark.parametrize(
    ("yaml", "written"),
    [
        ("low", '"low"'), ("'0.2'", '"0.2"'), ("0.2", "0.2"), ("1.0", "1.0"), ("1e5", "1e5"), ("-3", "-3"),
        ("18446744073709551616", "18446744073709551616"), ("+7", "7"), ("0x1F", "31"), ("0o17", "15"), ("007", "7"),
        (".5", "0.5"), ("5.", "5.0"), ("true", "true"), ("FALSE", "false"), ("~", "null"),
        ("", "null"), ("null", "null"), ("yes", '"yes"'), ('"\\n\\n"', '"\\n\\n"'), ("' x '", '" x "'),
        ("[1, a, [true]]", '[1,"a",[true]]'), ("{a: {b: [~]}, 'ü': 1.50}", '{"a":{"b":[null]},"\\u00fc":1.50}'),
        ("[]", "[]"), ("{}", "{}"), ("'${X}'", '" of X"'), ("'${Y:-d}'", '"d"'), ("1" * 5000, "1" * 5000),
    ],
)  # fmt: skip
def test_values_become_json_of_the_same_type(yaml: str, written: str) -> None:
    found = rule(f"set: {{x: {yaml}}}", X=" of X")

    assert (("x", written),) == found.set
    json.loads(written if len(written) < 1000 else "1")


def test_names_keep_their_order_and_their_case() -> None:
    found = rule("set: {Z: 1, a: 2, 'b c': 3}, drop: [top_p, Top_P, top_p, '日']")

    assert (("Z", "1"), ("a", "2"), ("b c", "3")) == found.set
    assert ("top_p", "Top_P", "日") == found.drop


@pytest.mark.parametrize("more", ["set: {}, drop: []", "set: ~, drop: ~", "regex: false"])
def test_nothing_to_change_is_nothing(more: str) -> None:
    assert ((), ()) == (rule(more).set, rule(more).drop)


@pytest.mark.parametrize(
    ("more", "what"),
    [
        ("set: {model: x}", "'model' cannot be in 'set': the rule's 'to' says which model is asked for"),
        ("drop: [model]", "'model' cannot be in 'drop': the rule's 'to' says which model is asked for"),
        ("set: {stream: false}", "'stream' cannot be in 'set': the client reads the reply in the form that it asked"),
        ("set: {'': 1}", "a name in 'set' is empty"),
        ("set: {a: 1}, drop: [b, a]", "'a' is in 'set' and in 'drop'; keep one"),
        ("set: [a]", "expected a mapping, got a list; write 'key: value' lines"),
        ("drop: a", "expected a list, got a string; put the items in [ ]"),
        ("drop: [1]", "expected a string, got a whole number; put it in quotes"),
        ("set: {a: .inf}", "JSON has no such number; write it like 12, -0.5 or 1e9"),
        ("set: {a: [-.inf]}", "JSON has no such number; write it like 12, -0.5 or 1e9"),
        ("set: {a: {b: .NaN}}", "JSON has no such number; write it like 12, -0.5 or 1e9"),
        (f"set: {{a: +{'1' * 5000}}}", "JSON has no such number; write it like 12, -0.5 or 1e9"),
        ("set: {a: '${NONE}'}", "the variable NONE is not set; set it, or write ${NONE:-default}"),
        ("when: {body-over: 0}", "expected a number of bytes greater than 0, such as 400000, 400kB or 2MB"),
        ("when: {body-over: -1}", "expected a number of bytes greater than 0, such as 400000, 400kB or 2MB"),
        ("when: {body-over: 1.5}", "expected a number of bytes greater than 0, such as 400000, 400kB or 2MB"),
        ("when: {body-over: 400KiB}", "expected a number of bytes greater than 0, such as 400000, 400kB or 2MB"),
        ("when: {body-over: [1]}", "expected a number of bytes greater than 0, such as 400000, 400kB or 2MB"),
        ("when: {body-over: ''}", "expected a number of bytes greater than 0, such as 400000, 400kB or 2MB"),
        ("when: {body-over: true}", "expected a number of bytes greater than 0, such as 400000, 400kB or 2MB"),
        ("when: {image: 'yes'}", "expected true or false, got a string; write true or false, without quotes"),
        ("when: {tool: [a]}", "expected a string, got a list; write a string"),
    ],
)
def test_what_cannot_be_is_said(more: str, what: str) -> None:
    assert complaint(more).startswith(what)


@pytest.mark.parametrize(
    ("written", "count"),
    [("400000", 400_000), ("400k", 400_000), ("400kB", 400_000), ("'2 MB'", 2_000_000), ("2M", 2_000_000), ("1", 1)],
)
def test_sizes_are_read(written: str, count: int) -> None:
    assert When(body_over=count) == rule(f"when: {{body-over: {written}}}").when


def test_conditions_on_bodies_are_read() -> None:
    when = rule("when: {body-over: 400kB, image: false, tool: 'web_search*'}").when

    assert When(body_over=400_000, image=False, tool="web_search*") == when
    assert When(image=False).needs_body and When(tool="x").needs_body and not When(body_over=1).needs_body
