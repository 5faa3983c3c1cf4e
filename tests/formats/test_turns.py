"""Turns in the order that a conversation promises, and system texts folded into them."""

from __future__ import annotations

import json

import pytest

from ampmap.bodies.steps import finished
from ampmap.bodies.texts import Long, Raw, Unquoted, dump
from ampmap.errors import Untranslatable
from ampmap.formats.arguments import arguments_of
from ampmap.formats.conversation import Call, Choice, Conversation, Part, Result, Text, Tool, Turn
from ampmap.formats.identifiers import Names, fit_id
from ampmap.formats.tools import tools_and_choice
from ampmap.formats.turns import Turns, folded


def call(id_: str, name: str = "f") -> Call:
    return Call(id_, name, Raw(b"{}"))


def result(id_: str, text: str = "r", name: str = "") -> Result:
    return Result(id_, (Text(text),), name=name)


def built(*said: tuple[str, object]) -> tuple[Turn, ...]:
    turns = Turns()
    for method, value in said:
        getattr(turns, method)(value)
    return finished(turns.done())[1]


def test_results_follow_the_turn_with_their_calls_in_its_order() -> None:
    found = built(
        ("user", [Text("go")]),
        ("assistant", [call("a"), call("b")]),
        ("assistant", [Text("meanwhile")]),
        ("system", Text("note")),
        ("result", result("b")),
        ("user", [Text("more")]),
        ("result", result("a")),
    )

    assert ["user", "assistant", "user", "system", "user"] == [turn.role for turn in found]
    assert (result("a", name="f"), result("b", name="f")) == found[2].parts
    assert (Text("more"),) == found[4].parts


def test_results_come_before_what_the_user_says_in_the_same_turn() -> None:
    found = built(("assistant", [call("a")]), ("user", [Text("x"), result("a")]))

    assert (result("a", name="f"), Text("x")) == found[1].parts


def test_the_last_of_two_results_counts_and_ids_are_made_unique() -> None:
    found = built(
        ("assistant", [call("a")]), ("result", result("a", "1")), ("result", result("a", "2")),
        ("assistant", [call("a")]), ("result", result("a", "3")),
    )  # fmt: skip

    assert (result("a", "2", "f"),) == found[1].parts
    assert (call("a-2"),) == found[2].parts
    assert (result("a-2", "3", "f"),) == found[3].parts


def test_many_calls_of_one_id_take_linear_time() -> None:
    turns = Turns()
    for _ in range(20_000):
        turns.assistant([call("a")])
        turns.result(result("a"))
    found = finished(turns.done())[1]

    ids = [part.id for turn in found for part in turn.parts if isinstance(part, Call)]
    assert len(set(ids)) == len(ids) == 20_000
    assert ids == [part.id for turn in found for part in turn.parts if isinstance(part, Result)]


def test_empty_texts_and_turns_are_left_out() -> None:
    assert () == built(("user", [Text(" \n")]), ("assistant", []), ("system", Text("")))


def test_a_result_without_a_call_stays_where_it_came() -> None:
    assert (Turn("user", (result("z"), Text("x"))),) == built(("user", [Text("x")]), ("result", result("z")))


@pytest.mark.parametrize(
    ("turns", "wanted"),
    [
        (["user", "system"], [["u", "S"]]),
        (["user", "assistant", "system", "user"], [["u"], ["a"], ["S", "u"]]),
        (["user", "assistant", "system"], [["u"], ["a"], ["S"]]),
        (["user", "system", "user"], [["u", "S", "u"]]),
    ],
)
def test_system_texts_are_folded_into_the_users(turns: list[str], wanted: list[list[str]]) -> None:
    said = {"user": "u", "assistant": "a", "system": "s"}
    found = finished(folded(Turn(role, (Text(said[role]),)) for role in turns))  # type: ignore[arg-type]
    reminder = "<system-reminder>\ns\n</system-reminder>"

    assert wanted == [["S" if part.text == reminder else part.text for part in turn.parts] for turn in found]  # type: ignore[union-attr]


def test_a_system_text_behind_results_alone_goes_into_the_last_of_them() -> None:
    parts: tuple[Part, ...] = (result("a"), result("b"))
    [turn] = finished(folded([Turn("user", parts), Turn("system", (Text("s"),))]))

    assert result("a") == turn.parts[0]
    assert isinstance(turn.parts[1], Result)
    assert (Text("r"), Text("<system-reminder>\ns\n</system-reminder>")) == turn.parts[1].parts


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (None, {}), ("", {}), ({"a": 1.0}, {"a": 1.0}), (Raw(b'{"a" : 1e400}'), '{"a" : 1e400}'),
        ('{"a":1,"a":2}', '{"a":1,"a":2}'), ('"{\\"a\\":1}"', '{"a":1}'), ('{"a":', {"_invalid_arguments": '{"a":'}),
        ("[1]", {"_invalid_arguments": "[1]"}), ("NaN", {"_invalid_arguments": "NaN"}),
        ([1], {"_invalid_arguments": "[1]"}),
        ('{"a":"\\ud800"}', '{"a":"\\ud800"}'), ('{"a":"\ud800"}', '{"a":"\\ud800"}'),
        ('{"a":' + "9" * 5000 + "}", '{"a":' + "9" * 5000 + "}"),
    ],
)  # fmt: skip
def test_arguments_become_an_object(value: object, wanted: object) -> None:
    found = b"".join(dump(arguments_of(value))).decode()

    assert wanted == (found if isinstance(wanted, str) else json.loads(found))


def test_long_arguments_stay_slices() -> None:
    long = Long(memoryview(b'{\\"a\\":\\"' + b"x" * 300_000 + b'\\"}'))

    assert Unquoted(long) == arguments_of(long)
    assert {"a": "x" * 300_000} == json.loads(b"".join(dump(arguments_of(long))))


def test_ids_and_names_fit() -> None:
    assert "toolu_1" == fit_id("toolu_1")
    assert fit_id("functions.Bash:0") == fit_id("functions.Bash:0") != fit_id("functions.Bash:1")
    assert 40 == len(fit_id("x" * 41, 40))
    assert "abcdefgh1" == fit_id("abcdefgh1", 9, letters_only=True)
    assert fit_id("toolu_1", 9, letters_only=True).isalnum()
    names = Names()
    assert ("Bash", "a_b") == (names.sent("Bash"), names.sent("a.b")[:3])
    assert {names.sent("a.b"): "a.b"} == names.back
    assert 64 == len(names.sent("n" * 90)) == len(names.sent("n" * 91))
    with pytest.raises(Untranslatable):
        names.sent(names.sent("a.b"))


FUNCTION, SEARCH = Tool(name="f"), Tool(name="web_search", kind="web_search")


def test_server_tools_are_left_out_beside_others_and_refused_alone() -> None:
    lost: dict[str, None] = {}
    assert ([FUNCTION], None) == tools_and_choice(Conversation(tools=(FUNCTION, SEARCH)), lost)
    assert ["tools[web_search]"] == list(lost)
    assert ([FUNCTION, SEARCH], None) == tools_and_choice(Conversation(tools=(FUNCTION, SEARCH)), {}, {"web_search"})
    for wrong in (
        Conversation(tools=(SEARCH,)),
        Conversation(tools=(FUNCTION, SEARCH), choice=Choice("tool", ("web_search",))),
        Conversation(tools=(FUNCTION,), choice=Choice("tool", ("g",))),
        Conversation(tools=(FUNCTION, FUNCTION)),
    ):
        with pytest.raises(Untranslatable):
            tools_and_choice(wrong, {})


def test_a_choice_among_tools_becomes_fewer_tools() -> None:
    asked = Conversation(tools=(FUNCTION, Tool(name="g")), choice=Choice("required", ("f",)))

    assert ([FUNCTION], Choice("required")) == tools_and_choice(asked, {})
