"""Connections made: certificates that must prove the host, proxies of the environment, and words for what failed."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest.mock import Mock

import anyio
import pytest
import trustme
from anyio.lowlevel import checkpoint
from anyio.streams.tls import TLSAttribute, TLSStream
from dialling import failure, new_dialler
from kit import GUARD_S, OK, Peer, Script, answering, ask, closed_origin, post, provider, proxying, scripted
from servertls import server_tls

from ampmap.settings import Hop, Origin

pytestmark = pytest.mark.usefixtures("nothing_left")


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> str:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


# What fails, in words.


async def test_a_closed_port_is_told() -> None:
    origin = await closed_origin()

    assert f"cannot connect to {origin}: Connection refused" == await failure(Hop(origin))


async def test_a_name_without_an_address_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    told = await failure(Hop(Origin("https", "nowhere.test", 443)))

    assert "cannot connect to https://nowhere.test: its name has no address (Name or service not known)" == told


async def test_a_name_that_is_none_is_told() -> None:
    told = await failure(Hop(Origin("http", "a" * 64 + ".test", 80)))

    assert told.endswith("its name is not one that can be looked up")


async def test_several_addresses_that_fail_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    port = (await closed_origin()).port
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"127.0.0.{last}", port)) for last in (1, 2)]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    told = await failure(Hop(Origin("http", "two.test", port)))

    assert told.endswith(": 127.0.0.1: Connection refused; 127.0.0.2: Connection refused")


async def test_an_address_that_hangs_is_overtaken_and_nothing_of_it_is_left(
    monkeypatch: pytest.MonkeyPatch, nothing_left: None
) -> None:
    # Of the two addresses nothing else takes ports of the second, so what is free on the first is free on both.
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        with socket.create_server(("127.0.0.2", port), backlog=0):
            with contextlib.ExitStack() as stack:
                for _ in range(2):  # a backlog that is full takes no more connections
                    filler = stack.enter_context(socket.socket())
                    filler.setblocking(False)
                    filler.connect_ex(("127.0.0.2", port))
                found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"127.0.0.{last}", port)) for last in (2, 1)]
                monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
                _, raw = await new_dialler().dial(Hop(Origin("http", "two.test", port)))

                assert ("127.0.0.1", port) == raw.info("peername")
                raw.abort()
            assert listener.listeners


@pytest.mark.parametrize("turns", range(12))
async def test_a_dial_that_is_cancelled_at_any_turn_leaves_no_socket(
    monkeypatch: pytest.MonkeyPatch, turns: int, nothing_left: None
) -> None:
    async with scripted(Peer.wait_gone) as upstream:
        port = upstream.origin.port
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"127.0.0.{last}", port)) for last in (1, 9)]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        async with anyio.create_task_group() as group:
            group.start_soon(new_dialler().dial, Hop(Origin("https", "two.test", port)))
            for _ in range(turns):
                await checkpoint()
            group.cancel_scope.cancel()


async def test_an_address_that_works_makes_up_for_one_that_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    async with scripted(Peer.wait_gone) as upstream:
        port = upstream.origin.port
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"127.0.0.{last}", port)) for last in (9, 1)]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        stream, raw = await new_dialler().dial(Hop(Origin("http", "two.test", port)))

        assert stream is raw
        assert ("127.0.0.1", port) == raw.info("peername")
        raw.abort()


async def test_a_handshake_that_does_not_come_is_timed_out() -> None:
    async with scripted(Peer.wait_gone) as upstream:
        origin = Origin("https", "127.0.0.1", upstream.origin.port)

        assert (
            f"cannot connect to {origin}: timed out: no connection within 0.05 s (timeouts.connect-s)"
            == await failure(Hop(origin), new_dialler(connect_s=0.05))
        )


async def test_a_cancelled_dial_leaves_nothing_open() -> None:
    hello, gone = anyio.Event(), anyio.Event()

    async def script(peer: Peer) -> None:
        await peer.stream.receive()
        hello.set()
        await peer.wait_gone()
        gone.set()

    async with scripted(script) as upstream, anyio.create_task_group() as group:
        group.start_soon(new_dialler().dial, Hop(Origin("https", "127.0.0.1", upstream.origin.port)))
        await hello.wait()
        group.cancel_scope.cancel()
        with anyio.CancelScope(shield=True), anyio.fail_after(GUARD_S):
            await gone.wait()


@pytest.mark.parametrize(
    ("script", "why"),
    [
        (lambda peer: peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "no agreement on TLS"),
    ],
)
async def test_a_server_without_tls_is_told(script: Script, why: str) -> None:
    async with scripted(script) as upstream:
        told = await failure(Hop(Origin("https", "127.0.0.1", upstream.origin.port)))

        assert why in told


async def test_a_dial_that_is_cancelled_before_it_began_leaves_nothing_open() -> None:
    async with scripted(Peer.wait_gone) as upstream:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await new_dialler().dial(Hop(upstream.origin))

    assert scope.cancelled_caught


async def test_a_handshake_that_breaks_off_is_told() -> None:
    async def script(peer: Peer) -> None:
        await peer.stream.receive()
        await peer.stream.send_eof()
        await peer.wait_gone()

    async with scripted(script) as upstream:
        told = await failure(Hop(Origin("https", "127.0.0.1", upstream.origin.port)))

        assert "no agreement on TLS (UNEXPECTED_EOF_WHILE_READING)" in told


async def test_a_handshake_that_is_reset_is_told() -> None:
    async def script(peer: Peer) -> None:
        await peer.stream.receive()
        peer.reset()

    async with scripted(script) as upstream:
        told = await failure(Hop(Origin("https", "127.0.0.1", upstream.origin.port)))

        assert "it closed the connection before it was ready" in told


# Certificates.


async def test_a_certificate_of_the_given_authority_proves_its_host(
    authority: trustme.CA, ca_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Mock(side_effect=ssl.create_default_context)
    monkeypatch.setattr(ssl, "create_default_context", made)
    async with scripted(Peer.wait_gone, tls=server_tls(authority.issue_cert("localhost"))) as upstream:
        hop = Hop(Origin("https", "localhost", upstream.origin.port), ca_file)
        dialer = new_dialler()
        for _ in range(2):
            stream, raw = await dialer.dial(hop)
            assert isinstance(stream, TLSStream)
            raw.abort()

        assert 1 == made.call_count  # authorities are read once, not for each connection


async def test_http_1_1_is_all_that_is_offered(authority: trustme.CA, ca_file: str) -> None:
    context = server_tls(authority.issue_cert("localhost"))
    context.set_alpn_protocols(["h2", "http/1.1"])
    async with scripted(Peer.wait_gone, tls=context) as upstream:
        stream, raw = await new_dialler().dial(Hop(Origin("https", "localhost", upstream.origin.port), ca_file))

        assert "http/1.1" == stream.extra(TLSAttribute.alpn_protocol)
        raw.abort()


def expired(authority: trustme.CA) -> ssl.SSLContext:
    return server_tls(authority.issue_cert("localhost", not_after=datetime.now(UTC) - timedelta(days=1)))


CERTIFICATES: dict[str, tuple[Callable[[trustme.CA], ssl.SSLContext], bool, str]] = {
    "another host": (lambda ca: server_tls(ca.issue_cert("example.test")), True, "Hostname mismatch"),
    "another authority": (lambda ca: server_tls(trustme.CA().issue_cert("localhost")), True, "certificate"),
    "an authority not given": (lambda ca: server_tls(ca.issue_cert("localhost")), False, "certificate"),
    "expired": (expired, True, "certificate has expired"),
}


@pytest.mark.parametrize(("context", "given", "why"), CERTIFICATES.values(), ids=CERTIFICATES.keys())
async def test_a_certificate_that_proves_nothing_is_told_and_sent_nothing(
    context: Callable[[trustme.CA], ssl.SSLContext], given: bool, why: str, authority: trustme.CA, ca_file: str
) -> None:
    async with scripted(answering(OK), tls=context(authority)) as upstream:
        secure = provider(
            Origin("https", "localhost", upstream.origin.port), ca_file=ca_file if given else "", name="secure"
        )
        async with proxying(upstream.origin, providers=(secure,)) as proxy:
            reply = await ask(proxy, post())
            record = proxy.service.journal.recent[-1]

    assert (502, None) == (reply.status, reply.one(b"x-should-retry"))
    assert b"its certificate is not trusted" in reply.body
    assert why in record.detail
    assert ("upstream_error", 0) == (record.outcome, record.attempts)
    assert [] == upstream.seen


async def test_a_file_of_authorities_that_is_gone_is_told(tmp_path: Path) -> None:
    async with scripted(Peer.wait_gone) as upstream:
        hop = Hop(Origin("https", "localhost", upstream.origin.port), str(tmp_path / "none.pem"))

        assert "No such file or directory" in await failure(hop)
