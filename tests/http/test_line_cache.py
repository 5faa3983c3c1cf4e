"""Lines that have been read before mean what the parser said of them, and heads of such lines what it would say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from samples import examples

from ampmap.errors import ExchangeError
from ampmap.http import parser as parser_module
from ampmap.http.head_cache import KnownHeads
from ampmap.http.headers import Headers, Length, crossing, once_a_section
from ampmap.http.line_cache import KnownLines, Line, Remade
from ampmap.http.parser import RequestParser, ResponseParser
from ampmap.settings import Limits

Parser = RequestParser | ResponseParser
LIMITS = Limits(head_bytes=400, header_count=9)
STARTS = [
    b"POST /v1/messages HTTP/1.1", b"GET / HTTP/1.1", b"GET / HTTP/1.0", b"GET  / HTTP/1.1", b"GET / HTTP/1.2",
    b"HEAD /\x00 HTTP/1.1", b"", b" GET / HTTP/1.1", b"GET / HTTP/1.1\nX: y",
    b"HTTP/1.1 200 OK", b"HTTP/1.1 200 ", b"HTTP/1.1 200", b"HTTP/1.0 200 OK", b"HTTP/1.1 100 Continue",
    b"HTTP/1.1 204 No Content", b"HTTP/1.1 304 Not Modified", b"HTTP/1.1 500 \xe4", b"HTTP/1.1 600 No", b"HTTP/2 200",
]  # fmt: skip
LINES = [
    b"Host: a", b"host: b", b"Host:", b"Content-Length: 3", b"content-length: 3", b"Content-Length: 4",
    b"Content-Length: +3", b"Content-Length: 3, 3", b"Content-Length: 3, 4", b"Content-Length:3",
    b"Content-Length: " + b"9" * 18, b"Content-Length: " + b"9" * 19, b"Content-Length: " + b"9" * 30,
    b"Content-Length: ", b"Content-Length: \xb2", b"Transfer-Encoding: chunked", b"Transfer-Encoding: Chunked",
    b"Transfer-Encoding: gzip, chunked", b"Connection: close", b"Connection: Upgrade", b"Upgrade: websocket",
    b"Expect: 100-continue", b"X-One: 1", b"x-one: 2", b"X-Blank:  y \t", b"X-Empty:", b"X : y", b": y", b"no colon",
    b" folded", b"\tfolded", b"X-Nul: \x00", b"X-High: \xe4", b"X-Lf: a\nb", b"X-Lf: a\n b", b"X-Lf: a\n\nb: c",
    b"X-Cr: a\rb", b"X: \r", b"X-Long: " + b"y" * 300,
]  # fmt: skip
HEADS = st.builds(
    lambda start, lines, tail: b"\r\n".join([start, *lines]) + b"\r\n\r\n" + tail,
    st.one_of(st.sampled_from([STARTS[0], STARTS[9]]), st.sampled_from(STARTS)),
    st.lists(st.one_of(st.sampled_from(LINES[:1]), st.sampled_from(LINES)), max_size=11) | st.permutations(LINES[:4]),
    st.sampled_from([b"", b"abc", b"3\r\nabc\r\n0\r\n\r\nGET", b"abcGET / HTTP/1.1\r\n\r\n"]),
)


def outcome(make: Callable[[], Parser], raw: bytes, cut: int) -> object:
    """Tell all that a parser makes of a head, which arrives in one piece or in two."""
    parser = make()
    try:
        parser.feed(raw[:cut] or raw)
        found, late = parser.head(), raw[cut:] if cut else b""
        if found is None and late:
            parser.feed(late)
            found, late = parser.head(), b""
        if found is None:
            return None
        head, framing = found
        body = None
        if type(framing).__name__ == "Chunked":
            rest, chunks = parser.rest() + late, parser.chunked()
            body = chunks.feed(rest), chunks.done, chunks.trailers, chunks.rest
        return head, list(head.headers.first.items()), framing, body, parser.rest() + late
    except ExchangeError as exc:
        return type(exc), str(exc)


def forget(patch: pytest.MonkeyPatch) -> None:
    """Make the parser forget every line."""
    lines = KnownLines(parser_module._read_alone)
    for name in ("_requests", "_responses"):
        patch.setattr(parser_module, name, KnownHeads(lines, getattr(parser_module, name)._once))


KINDS: list[Callable[[], Parser]] = [
    lambda: RequestParser(LIMITS),
    lambda: ResponseParser(LIMITS, b"GET"),
    lambda: ResponseParser(LIMITS, b"HEAD"),
    lambda: ResponseParser(LIMITS, b"GET", upgrade=True),
]


@cache
def taught() -> dict[str, Any]:
    """Return memories of every first line and every other line that h11 takes, each seen in the plainest head."""
    with pytest.MonkeyPatch.context() as patch:
        forget(patch)
        for kind in KINDS[:2]:
            for start in STARTS:
                for line in LINES if start in (STARTS[1], STARTS[9]) else LINES[:1]:
                    outcome(kind, b"%b\r\nHost: a\r\n%b\r\n\r\n" % (start, line), 0)
                    outcome(kind, b"%b\r\n%b\r\n\r\n" % (start, line), 0)
        return {name: getattr(parser_module, name) for name in ("_requests", "_responses")}


@settings(max_examples=examples(250))
@given(heads=st.lists(HEADS, min_size=4, max_size=20), kind=st.sampled_from(KINDS), cut=st.just(0) | st.integers(1, 30))
@example(heads=[b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X-One: 1\r\n" * 9 + b"\r\n"], kind=KINDS[0], cut=0)
@example(heads=[b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: " + b"9" * 30 + b"\r\n\r\n"], kind=KINDS[0], cut=0)
def test_what_was_read_before_changes_nothing(heads: list[bytes], kind: Callable[[], Parser], cut: int) -> None:
    """Each head is read by a parser that has forgotten everything, and by one that remembers all that can be known."""
    with pytest.MonkeyPatch.context() as patch:
        expected = []
        for raw in heads:
            forget(patch)
            expected.append(outcome(kind, raw, cut))
        for name, memory in taught().items():
            patch.setattr(parser_module, name, memory)

        assert expected == [outcome(kind, raw, cut) for raw in heads]
        assert expected == [outcome(kind, raw, cut) for raw in heads]  # each is known as a whole by now


LENGTHS = [line for line in LINES if b"ength" in line] + [
    b"Content-Length:", b"Content-Length: 3 ", b"Content-Length: 03", b"Content-Length: 3\r\nContent-Length: 4",
    b"Content-Length: 3\r\ncontent-length: ", b"X: y\r\nContent-Length: 5", b"Content-Length: 3\r\nX: y",
    b"CONTENT-LENGTH: 3", b"X-Content-Length: 3", b"X: Content-Length: 3", b"Content-Length: 3\r\nX: Content-Length: 4",
    b"Content-Length: 3\r\n 4", b"X: y\r\n Content-Length: 3", b"Content-Length: 3\nX: y", b"Content-Length: \n3",
]  # fmt: skip


@pytest.mark.parametrize("start", [STARTS[0], STARTS[9]])
@pytest.mark.parametrize("kind", KINDS[:3])
def test_heads_that_differ_in_their_length_alone_are_told_apart(
    start: bytes, kind: Callable[[], Parser], monkeypatch: pytest.MonkeyPatch
) -> None:
    heads = [b"%b\r\nHost: a\r\n%b\r\nX-One: 1\r\n\r\nabcdef" % (start, line) for line in LENGTHS]
    alone = []
    for raw in heads:
        forget(monkeypatch)
        alone.append(outcome(kind, raw, 0))
    forget(monkeypatch)

    for _ in range(3):
        assert alone == [outcome(kind, raw, 0) for raw in heads]
    assert alone[::-1] == [outcome(kind, raw, 0) for raw in heads[::-1]]


def test_what_was_made_of_a_section_is_shared_by_those_of_another_length(monkeypatch: pytest.MonkeyPatch) -> None:
    forget(monkeypatch)
    raw = b"POST / HTTP/1.1\r\nHost: a\r\ncontent-length: %d\r\nx-amp-a: b\r\n\r\n"
    made = []

    @once_a_section
    def count(headers: Headers) -> int:
        made.append(len(headers))
        return len(made)

    sections = []
    for size in (1, 1, 10, 200):
        parser = RequestParser(LIMITS)
        parser.feed(raw % size)
        head, framing = parser.head() or pytest.fail("no head")
        assert (framing, head.headers.first[b"content-length"]) == (Length(size), b"%d" % size)
        assert (b"content-length", b"%d" % size) == head.headers[1]
        sections.append((head.headers, count(head.headers)))

    assert [1, 2, 2, 2] == [said for _, said in sections]  # the first came from h11
    assert count(tuple(sections[0][0])) == count(tuple(sections[0][0])) - 1  # what is no section keeps nothing


def test_little_is_kept_of_heads(monkeypatch: pytest.MonkeyPatch) -> None:
    forget(monkeypatch)
    for number in range(300):
        for raw in (b"GET / HTTP/1.1\r\nHost: a\r\nX-Id: %d\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nX-%d: 1\r\n\r\n"):
            parser = RequestParser(LIMITS)
            parser.feed(raw % number)
            head, _ = parser.head() or pytest.fail("no head")
            for n in range(20):
                crossing(head.headers, frozenset({b"x-%d" % (n + number)}))
                assert len(head.headers.kept) <= 17

    assert 0 < len(parser_module._requests._heads.new) <= 64 == len(parser_module._requests._heads.old)


def test_a_head_that_comes_again_and_again_is_kept_among_others(monkeypatch: pytest.MonkeyPatch) -> None:
    forget(monkeypatch)
    usual, other = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nX-Id: %d\r\n\r\n"
    sections = []
    for number in range(600):
        for raw in (other % number, *([usual] if number % 50 == 0 else [])):
            parser = RequestParser(LIMITS)
            parser.feed(raw)
            head, _ = parser.head() or pytest.fail("no head")
        if number % 50 == 0:
            sections.append(head.headers)

    assert all(section is sections[1] for section in sections[1:])  # the first came from h11


@pytest.mark.parametrize("kind", [KINDS[0], KINDS[1]])
def test_a_head_near_the_limit_is_judged_alike_before_and_after(
    kind: Callable[[], Parser], monkeypatch: pytest.MonkeyPatch
) -> None:
    start = STARTS[1] if kind is KINDS[0] else STARTS[9]
    for lines in (b"a:b\r\n" * 60, b"a: b\r\n" * 60):
        raw = start + b"\r\nHost:a\r\nContent-Length: 3\r\n" + lines + b"\r\nabc" + b"x" * 400
        end = raw.find(b"\r\n\r\n")
        for limit in range(end - 80, end + 80, 7):
            limits = Limits(head_bytes=limit, header_count=100)
            monkeypatch.setitem(kind.__globals__, "LIMITS", limits)
            forget(monkeypatch)
            expected = outcome(kind, raw, 0)
            monkeypatch.setitem(kind.__globals__, "LIMITS", Limits(head_bytes=10_000, header_count=100))
            outcome(kind, raw, 0)
            outcome(kind, raw, 0)
            monkeypatch.setitem(kind.__globals__, "LIMITS", limits)

            assert expected == outcome(kind, raw, 0)


def test_a_head_of_known_lines_is_read_without_the_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    forget(monkeypatch)
    raw = b"POST /v1/x HTTP/1.1\r\nHost: a\r\nX-Id: %d\r\nContent-Length: %d\r\n\r\n"
    outcome(KINDS[0], raw % (1, 10), 0)
    monkeypatch.setattr(RequestParser, "_connect", lambda *_: pytest.fail("h11 was asked for the whole head"))

    found = outcome(KINDS[0], raw % (2, 3) + b"abcrest", 0)

    assert isinstance(found, tuple)
    assert [(b"Host", b"a"), (b"X-Id", b"2"), (b"Content-Length", b"3")] == list(found[0].headers)
    assert b"abcrest" == found[-1]


@pytest.mark.parametrize(
    ("taught_by", "raw"),
    [
        (b"HTTP/1.1 304 No\n\n", b"\r\nContent-Length: 3\r\n\r\n"),
        (
            b"HTTP/1.1 200 OK\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n",
            b"HTTP/1.1 200 OK\nContent-Length: 3\r\n\r\n",
        ),
        (b"HTTP/1.1 200 OK\r\nX: 1\r\n y\r\nContent-Length: 3\r\n\r\n", b"HTTP/1.1 200 OK\r\n y\r\n\r\n"),
    ],
)
def test_heads_that_h11_cuts_elsewhere_teach_nothing_wrong(
    taught_by: bytes, raw: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget(monkeypatch)
    expected = outcome(KINDS[1], raw, 0)
    outcome(KINDS[1], b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", 0)
    outcome(KINDS[1], taught_by, 0)

    assert expected == outcome(KINDS[1], raw, 0)


def read(lines: Sequence[bytes]) -> list[tuple[bytes, bytes]] | None:
    """Read lines as a parser would, and take no offence but at lines without a colon."""
    if not all(b":" in line for line in lines):
        return None
    return [(line.partition(b":")[0], line.partition(b":")[2].strip()) for line in lines]


def test_few_new_lines_are_read_by_themselves_and_once() -> None:
    asked: list[list[bytes]] = []

    def counted(lines: Sequence[bytes]) -> Sequence[tuple[bytes, bytes]] | None:
        asked.append(list(lines))
        return read(lines)

    known = KnownLines(counted)
    first: list[Line] | None = known.of([b"A: 1", b"b: 2"])
    second = known.of([b"b: 2", b"C: 3", b"A: 1", b"Content-Length: 77"])

    assert [(b"a", (b"A", b"1")), (b"b", (b"b", b"2"))] == first
    assert second is not None
    assert [b"b", b"c", b"a", b"content-length"] == [name for name, _ in second]
    assert [[b"A: 1", b"b: 2"], [b"C: 3"]] == asked


@pytest.mark.parametrize("lines", [[b"no colon"], [b" A: 1"], [b"A: 1\nB: 2"], [b"X%d: y" % n for n in range(5)]])
def test_what_is_odd_or_much_is_left_to_the_parser(lines: list[bytes]) -> None:
    known = KnownLines(read)

    assert known.of(lines) is None
    assert known.of(lines) is None


def test_no_more_is_remembered_than_has_its_place() -> None:
    known, through = KnownLines(read), Remade(lambda pair: b"%b: %b\r\n" % pair)
    for number in range(5000):
        assert known.of([b"Always: here", b"N: %d" % number]) is not None
        assert b"N: %d\r\n" % number == through[b"N", b"%d" % number]
    known.learn([b"Long: " + b"y" * 5000], read([b"Long: " + b"y" * 5000]))
    through[b"Long", b"y" * 5000]

    assert b"Always: here" in known.kept.new
    assert len(known.kept.new) + len(known.kept.old) <= 1024
    assert len(through) <= 512
    assert not any(len(line) > 2048 for line in [*known.kept.new, *known.kept.old])
    assert (b"Long", b"y" * 5000) not in through
