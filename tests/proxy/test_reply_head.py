"""The lines that ampmap adds to heads of replies: who served them, and what a translation was and lost."""

from __future__ import annotations

import re
from urllib.parse import unquote

from hypothesis import given
from hypothesis import strategies as st

from ampmap.proxy.reply_head import LOST_BYTES, own_lines

names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)


@given(names, names)
def test_both_names_can_be_read_back(provider: str, model: str) -> None:
    line = own_lines(provider, model).decode("ascii")

    found = re.fullmatch(r"ampmap-served-by: ([!-~]+)\r\n", line)
    assert found is not None
    served_by, _, named = found[1].partition("/")
    assert "," not in served_by
    assert (provider, model) == (unquote(served_by), unquote(named))


def test_what_shows_stays_as_it_is() -> None:
    assert b"ampmap-served-by: a%2Fb%2C/qwen/qwen3:30b,[1m]\r\n" == own_lines("a/b,", "qwen/qwen3:30b,[1m]")


def test_a_translation_and_what_it_lost_have_a_line_each() -> None:
    lines = own_lines("p", "m", "anthropic -> openai-chat", "top_k, ünd")

    assert (
        b"ampmap-translated: anthropic -> openai-chat\r\nampmap-lost: top_k, %C3%BCnd\r\n" == lines.split(b"\n", 1)[1]
    )


@given(st.lists(st.text("ab\n", min_size=1, max_size=60), max_size=60))
def test_the_line_of_what_was_lost_is_bounded_and_holds_whole_members(members: list[str]) -> None:
    line = own_lines("p", "m", "a -> b", ", ".join(members)).decode("ascii").split("\r\n")[2]

    shown = line.removeprefix("ampmap-lost: ")
    assert len(shown) <= LOST_BYTES
    kept = shown.split(", ") if shown else []
    if kept[-1:] == ["..."]:
        kept.pop()
    else:
        assert len(kept) == len(members)
    assert [unquote(member) for member in kept] == members[: len(kept)]
