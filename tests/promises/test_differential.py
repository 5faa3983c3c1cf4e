"""What a client sends, what is passed on, and what strict servers read of it: one request in, never two out."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import suppress
from itertools import count

import anyio
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from kit import times
from nginx import MISSING, PROGRAM, Nginx, running_nginx
from quickclock import on_quick_clock
from samples import examples, sampled
from smuggling import ROUTES, complaints, in_turn, proxy_at, said_to, tried
from spelledrequests import BODY, CHUNKS, FAMILIES, HIDDEN, Case
from strictreaders import Seen

needs_nginx = pytest.mark.skipif(PROGRAM is None, reason=MISSING)
pytestmark = pytest.mark.usefixtures("nothing_left")

_numbers = count(1)
UNHURRIED = times(keepalive_s=0.05, head_s=1.0, body_idle_s=1.0, response_head_s=20.0, stream_idle_s=20.0)


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """No debug mode here: it would take longer to note where each of so many callbacks was made than to call them."""
    return "asyncio", {"debug": False}


@pytest.fixture(autouse=True)
def without_log() -> Iterator[None]:
    """Thousands of refusals are not worth a line each."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture(scope="module")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    if PROGRAM is None:
        pytest.skip(MISSING)
    with running_nginx(tmp_path_factory.mktemp("nginx")) as server:
        yield server


async def differing(nginx: Nginx, cases: list[Case], path: bytes) -> list[str]:
    """Let nginx stand behind the proxy; return where it read something else than the client was told of.

    The proxy of each case asks under a path of its own: what is hidden in a request would come without it.
    """
    said: dict[bytes, tuple[Case, bytes]] = {}

    async def one(case: Case) -> list[str]:
        place = b"/case-%d" % next(_numbers)
        async with proxy_at(nginx.origin, place.decode(), timeouts=UNHURRIED) as proxy:
            with anyio.fail_after(60):
                said[place] = case, await said_to(proxy, case.at(path))
        return []

    await in_turn(one, cases)
    reads, wrong = await anyio.to_thread.run_sync(nginx.read)
    found = [f"nginx: {line}" for line in wrong if "invalid method" not in line]  # it knows fewer of them than we pass
    passed: dict[bytes, list[Seen]] = {place: [] for place in said}
    for read in reads:
        place = b"/" + read.target.split(b"/")[1]
        if place not in passed:
            found.append(f"nginx reads a request of nobody: {read}")
        elif read.status == 200:
            passed[place].append(Seen(read.method, read.target, read.body))
    for place, (case, told) in said.items():
        found += [f"{case.name}: {what}" for what in complaints(case, path, told, passed[place], begun=False)]
    return found


@needs_nginx
@pytest.mark.sample
@pytest.mark.parametrize("route", ["model", "streamed"])
@pytest.mark.parametrize("family", FAMILIES)
async def test_nginx_reads_what_the_client_was_answered_for(
    nginx: Nginx, family: str, route: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if route == "streamed":
        monkeypatch.setattr("ampmap.proxy.amp_route._BUFFERED_BYTES", -1)

    assert [] == await differing(nginx, sampled(FAMILIES[family], 1 / 5), ROUTES[route])


@needs_nginx
async def test_the_comparison_sees_two_requests_where_there_are_two(nginx: Nginx) -> None:
    """A proxy that hands on what it was given would be found out."""
    async with await anyio.connect_tcp(nginx.origin.host, nginx.origin.port) as sock:
        hidden = HIDDEN.replace(b"X: y", b"Connection: close")
        await sock.send(b"POST /case-0/x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi" + hidden)
        with suppress(anyio.EndOfStream):
            while True:
                await sock.receive()
    reads, wrong = await anyio.to_thread.run_sync(nginx.read)

    assert [(b"POST", b"/case-0/x", b"hi"), (b"GET", b"/api/internal/hidden", b"")] == [
        (read.method, read.target, read.body) for read in reads
    ]
    assert [] == wrong and 1 == len({read.connection for read in reads})


# -- Requests that nobody has thought of.

_START = b"POST @ HTTP/1.1\r\nHost: localhost\r\n"
VALID = [
    _START + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY + HIDDEN,
    _START + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKS + HIDDEN,
    _START
    + b"X: y\r\nTransfer-Encoding: chunked\r\nConnection: x\r\n\r\n3;a=b\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n"
    + HIDDEN,
    _START + b"Content-Length: %d\r\nExpect: 100-continue\r\n\r\n" % len(HIDDEN) + HIDDEN,
    b"GET @ HTTP/1.1\r\nHost: localhost\r\n\r\n" + HIDDEN,
]
PIECES = st.sampled_from(
    [b"\r", b"\n", b"\r\n", b"\n\n", b"\r\n\r\n", b"\r\n ", b" ", b"\t", b"\x00", b"\x0b", b"\x0c", b"\x1c", b"\x7f",
    b"\x85", b"\xa0", b"\xff",
     b":", b",", b";", b"=", b'"', b"-", b"_", b"+", b"0", b"1", b"9", b"a", b"0x", b"chunked", b", chunked",
     b"identity", b"HTTP/1.0",
     b"Content-Length: 5\r\n", b"Content-Length: 0\r\n", b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: x\r\n",
     b"Host: evil\r\n", b"Connection: transfer-encoding\r\n", b"0\r\n\r\n", b"5\r\n", HIDDEN]
)  # fmt: skip
EDITS = st.tuples(
    st.sampled_from(["insert", "replace", "delete", "double", "case"]), st.floats(0, 1), st.integers(1, 12), PIECES
)


def edited(raw: bytes, edits: list[tuple[str, float, int, bytes]]) -> bytes:
    for kind, where, size, piece in edits:
        at = int(where * (len(raw) - len(HIDDEN)))
        old = raw[at : at + size]
        new = {"insert": piece + old, "replace": piece, "delete": b"", "double": old + old, "case": old.swapcase()}[
            kind
        ]
        raw = raw[:at] + new + raw[at + size :]
    return raw


MUTANTS = st.lists(
    st.builds(edited, st.sampled_from(VALID), st.lists(EDITS, min_size=1, max_size=4)), min_size=24, max_size=24
)
bounded = hypothesis_settings(
    max_examples=examples(12, 3), derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)


def cases_of(mutants: list[bytes]) -> list[Case]:
    return [Case(repr(raw), raw, "either") for raw in mutants]


@needs_nginx
@bounded
@given(MUTANTS)
async def test_nginx_reads_no_mutant_as_two(nginx: Nginx, mutants: list[bytes]) -> None:
    assert [] == await differing(nginx, cases_of(mutants), ROUTES["streamed"])


@bounded
@given(MUTANTS)
@on_quick_clock(debug=False)
async def test_h11_and_the_grammar_read_no_mutant_as_two(mutants: list[bytes]) -> None:
    assert [] == await in_turn(lambda case: tried(case, ROUTES["streamed"]), cases_of(mutants))
