"""What a machine can run out of, and what can be taken from under a running proxy: files, disks, logs, clocks."""

from __future__ import annotations

import ast
import json
import logging
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import anyio
import pytest
import trustme
from anyio import to_thread
from kit import (
    GUARD_S,
    OK,
    Peer,
    answering,
    connected,
    get,
    post,
    proxying,
    scripted,
    server_tls,
    until,
)
from process import Process, proxying_process

import ampmap
from ampmap.records.log_writer import WAITING_BYTES, Outlet

LONG = get(b"/" + b"x" * 900)  # its record is long: 64 KiB of pipe hold few
HOME = Path(ampmap.__file__).parent


async def served(proxy: Process, count: int) -> None:
    """See that ``count`` requests on one connection are answered."""
    async with proxy.connected() as client:
        for _ in range(count):
            await client.send(LONG)
            assert 404 == (await client.read_final()).status


# A log that takes nothing.


async def test_a_log_that_nobody_reads_holds_up_neither_requests_nor_the_end(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    try:
        async with scripted(answering()) as upstream, proxying_process(tmp_path, upstream.origin, stderr=writer) as it:
            await served(it, 200)
            it.signal()

            assert 0 == await it.ended()
    finally:
        os.close(reader)
        os.close(writer)


def test_what_a_log_did_not_take_is_written_when_it_is_read_again() -> None:
    reader, writer = os.pipe()
    log = logging.getLogger("ampmap-test-outlet")
    log.propagate = False
    log.addHandler(Outlet(writer))
    for number in range(3000):
        log.warning("%d %s", number, "x" * 1000)

    lines: list[bytes] = []
    with open(reader, "rb") as readable:
        while not lines or b"lost" not in lines[-1]:
            lines.append(readable.readline())
    log.handlers.clear()
    os.close(writer)

    *kept, told = lines
    lost = 3000 - len(kept)
    assert f"{lost} lines of this log are lost: it could not be written\n".encode() == told
    assert list(range(len(kept))) == [int(line.split()[0]) for line in kept]
    assert all(len(line.split()[1]) == 1000 for line in kept)
    assert WAITING_BYTES <= sum(map(len, kept)) + 1100 < WAITING_BYTES + 200_000


def test_a_log_that_is_slow_gets_its_last_lines() -> None:
    """Whoever reads with a pause at the end of a proxy has it all."""
    reader, writer = os.pipe()
    outlet = Outlet(writer)
    for number in range(100):
        outlet.handle(logging.LogRecord("a", logging.INFO, "f.py", 1, f"{number} {'x' * 1000}", (), None))
    done: list[bytes] = []

    def read() -> None:
        with open(reader, "rb") as readable:
            done.extend(readable.readlines())

    with anyio.from_thread.start_blocking_portal() as portal:
        reading = portal.start_task_soon(to_thread.run_sync, read)
        outlet.acquire()
        outlet.close()
        outlet.release()
        os.close(writer)
        reading.result(GUARD_S)

    assert list(range(100)) == [int(line.split()[0]) for line in done]


def no_stderr() -> None:
    os.close(2)


@contextmanager
def bad_file(kind: str) -> Iterator[int]:
    """Give a descriptor that takes nothing: the disk is full, or the reader has left."""
    if kind == "full":
        descriptor = os.open("/dev/full", os.O_WRONLY)
    else:
        reader, descriptor = os.pipe()
        os.close(reader)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("kind", ["full", "nobody reads", "closed"])
async def test_a_log_that_cannot_be_written_holds_up_neither_requests_nor_the_end(kind: str, tmp_path: Path) -> None:
    with bad_file(kind) as descriptor:
        prepare = no_stderr if kind == "closed" else None
        async with (
            scripted(answering()) as upstream,
            proxying_process(tmp_path, upstream.origin, stderr=descriptor, prepare=prepare) as it,
        ):
            await served(it, 5)
            it.signal()

            assert 0 == await it.ended()


def listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as sock:
        return sock.connect_ex(str(path)) == 0


@pytest.mark.parametrize("kind", ["full", "nobody reads", "closed"])
async def test_an_opening_that_nobody_can_read_is_no_reason_not_to_serve(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    config = tmp_path / "ampmap.yaml"
    config.write_text(f"listen: 'unix:{path}'\namp-upstream-url: ''\n")
    with bad_file(kind) as descriptor:
        popen = subprocess.Popen(
            [sys.executable, "-m", "ampmap", "--config", str(config)],
            stdout=descriptor,
            stderr=subprocess.PIPE,
            preexec_fn=(lambda: os.close(1)) if kind == "closed" else None,
        )
        try:
            await until(lambda: listens(path) or popen.poll() is not None)
            assert popen.poll() is None, popen.communicate()
            async with await anyio.connect_unix(path) as stream:
                peer = Peer(stream)
                await peer.send(get(b"/"))
                assert 200 == (await peer.read_message()).status
            popen.send_signal(signal.SIGTERM)
            _, err = await to_thread.run_sync(popen.communicate)
        finally:
            popen.kill()
            popen.wait()
            if popen.stderr is not None:
                popen.stderr.close()

    assert (0, False) == (popen.returncode, b"Traceback" in err), err


# No files left.


def few_files() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (48, 48))


@asynccontextmanager
async def without_files(it: Process) -> AsyncIterator[None]:
    """Hold connections until the proxy has no file left for one more."""
    host, _, port = it.url.removeprefix("http://").partition(":")
    hogs = [socket.create_connection((host, int(port))) for _ in range(60)]
    try:
        await until(lambda: it.file_count == 48)
        yield
    finally:
        for hog in hogs:
            hog.close()
    await until(lambda: it.file_count < 40)


async def test_a_proxy_without_files_waits_for_some_and_burns_no_cpu(tmp_path: Path) -> None:
    async with (
        scripted(answering(OK)) as upstream,
        proxying_process(tmp_path, upstream.origin, prepare=few_files) as it,
    ):
        async with without_files(it):
            await it.said(b"cannot accept connections (Too many open files)")
            before = it.cpu_s
            await anyio.sleep(1.0)  # the measured time
            used = it.cpu_s - before

        assert 200 == (await it.ask(post())).status
    assert used < 0.25


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_proxy_without_files_for_an_upstream_says_so_and_blames_no_provider(host: str, tmp_path: Path) -> None:
    async with (
        scripted(answering(OK, OK)) as upstream,
        proxying_process(tmp_path, upstream.origin._replace(host=host), prepare=few_files) as it,
        it.connected() as client,
    ):
        await client.send(get(b"/"))
        await client.read_final()
        async with without_files(it):
            for request in (post(), get()):
                await client.send(request)
                reply = await client.read_final()
                assert 503 == reply.status
            assert 0 == upstream.count
        for request in (post(), get()):
            await client.send(request)
            assert 200 == (await client.read_final()).status

        log = b""
        it.signal()
        assert it.popen.stderr is not None
        log = await to_thread.run_sync(it.popen.stderr.read)
    assert b"Too many open files" in log
    assert b" rests for " not in log


async def test_a_process_takes_as_many_files_as_it_may(tmp_path: Path) -> None:
    """2000 streams are 4000 sockets; the usual soft limit is 1024."""

    def soft() -> None:
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, min(hard, 10_000)))

    async with scripted(answering()) as upstream, proxying_process(tmp_path, upstream.origin, prepare=soft) as it:
        assert len(set(resource.prlimit(it.popen.pid, resource.RLIMIT_NOFILE))) == 1


async def test_authorities_that_could_not_be_read_are_read_again(
    tmp_path: Path, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a file to spare, OpenSSL finds no authorities and says nothing: that must not be for ever."""
    file = tmp_path / "authorities.pem"
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))
    tls = server_tls(authority.issue_cert("127.0.0.1"))
    async with scripted(answering(OK), tls=tls) as upstream, proxying(upstream.origin) as proxy:
        async with connected(proxy) as client:
            await client.send(get())
            refused = await client.read_final()
            authority.cert_pem.write_to_path(str(file))
            await client.send(get())
            served = await client.read_final()

    assert (502, 200) == (refused.status, served.status)


# A full disk under the configuration.


def small_files() -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # as Python has it; a write beyond the limit fails
    resource.setrlimit(resource.RLIMIT_FSIZE, (256, 256))


@contextmanager
def full_disk() -> Iterator[Path]:
    """Give a directory on a file system that has a few hundred bytes left; skips where it can't be mounted."""
    where = Path("/tmp") / f"ampmap-full-{os.getpid()}"
    where.mkdir()
    try:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=16k", "none", str(where)], capture_output=True, check=False
        )
        if done.returncode:
            pytest.skip(f"no file system may be mounted here: {done.stderr.decode().strip()}")
        try:
            yield where
        finally:
            subprocess.run(["umount", str(where)], check=True)
    finally:
        where.rmdir()


def filled(where: Path) -> None:
    with open(where / "ballast", "wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass


def command(*arguments: str, prepare: Callable[[], None] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ampmap", *arguments],
        capture_output=True, text=True, check=False, timeout=30, preexec_fn=prepare,
        env={key: content for key, content in os.environ.items() if not key.startswith("COVERAGE")},
    )  # fmt: skip


RULES = "amp-model-mappings:\n" + "".join(f"  - {{from: model-{n}, to: claude}}\n" for n in range(10))


def edits(where: Path, prepare: Callable[[], None] | None, reason: str) -> None:
    path = where / "ampmap.yaml"
    before = path.read_bytes()
    files = sorted(os.listdir(where))

    for arguments in (("map", "add", "new", "target"), ("map", "remove", "model-1")):
        done = command("--config", str(path), *arguments, prepare=prepare)
        assert (2, f"{path}:1:1: cannot replace this file: {reason}\n") == (done.returncode, done.stderr)
    assert (before, files) == (path.read_bytes(), sorted(os.listdir(where)))

    fresh = where / "fresh.yaml"
    done = command("--config", str(fresh), "init", prepare=prepare)
    assert (2, f"{fresh}:1:1: cannot write this file: {reason}\n") == (done.returncode, done.stderr)
    assert files == sorted(os.listdir(where))


def test_where_no_more_may_be_written_the_configuration_stays_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "ampmap.yaml").write_text(RULES)

    edits(tmp_path, small_files, "File too large")


def test_on_a_full_disk_the_configuration_stays_as_it_was() -> None:
    with full_disk() as where:
        (where / "ampmap.yaml").write_text(RULES)
        filled(where)

        edits(where, None, "No space left on device")


# A configuration that is taken away.


async def reload_error(it: Process) -> str:
    page = await it.ask(get(b"/_ampmap/status", b"Connection: close"))
    return str(json.loads(page.body)["last_reload"]["error"])


@pytest.mark.parametrize("how", ["unreadable", "a loop", "deleted", "its directory deleted"])
async def test_a_configuration_that_is_taken_away_stays_in_force(how: str, tmp_path: Path) -> None:
    if how == "unreadable" and os.geteuid() == 0:
        pytest.skip("whoever is root may read everything")
    place = tmp_path / "config"
    place.mkdir()
    path = place / "ampmap.yaml"
    async with scripted(answering(OK, OK, OK)) as upstream, proxying_process(place, upstream.origin) as it:
        text = path.read_text()
        assert 200 == (await it.ask(post())).status
        if how == "unreadable":
            path.chmod(0)
        elif how == "its directory deleted":
            shutil.rmtree(place)
        else:
            path.unlink()
            if how == "a loop":
                path.symlink_to(path)
        it.signal(signal.SIGHUP)
        told = await it.said(b"error")

        assert str(path).encode() in told
        assert 200 == (await it.ask(post())).status
        assert await reload_error(it)

        if how == "unreadable":
            path.chmod(0o600)
        else:
            place.mkdir(exist_ok=True)
            path.unlink(missing_ok=True)
        path.write_text(text.replace("alias", "another"))
        it.signal(signal.SIGHUP)
        await it.said(b"another")
        assert 200 == (await it.ask(post(b'{"model": "another"}'))).status
        it.signal()
        assert 0 == await it.ended()


# A clock that jumps.

JUMPING = """
import itertools, sys, time
real, steps = time.time, itertools.cycle([0.0, 4e8, -4e8, 3600.0, -86400.0])
time.time = lambda: real() + next(steps)
from ampmap.commands.main import main
sys.exit(main())
"""


async def test_steps_of_the_wall_clock_move_no_deadline_and_no_rest(tmp_path: Path) -> None:
    go = anyio.Event()

    async def slowly(peer: Peer) -> None:
        await peer.read_message()
        await peer.send(OK)
        await peer.read_message()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no")
        await go.wait()
        await peer.send(b"k")
        await peer.wait_gone()

    more = "timeouts: {keepalive-s: 0.5, stream-idle-s: 30, response-head-s: 30, drain-s: 5}\n"
    async with (
        scripted(slowly) as upstream,
        proxying_process(tmp_path, upstream.origin, more, program=("-c", JUMPING)) as it,
        it.connected() as client,
    ):
        await client.send(post())
        assert 200 == (await client.read_final()).status
        await client.send(post())
        await client.read_until(b"\r\n\r\no")
        for _ in range(20):  # each of these makes a record, and so a step
            await served(it, 1)
        go.set()
        assert b"k" == await client.read_exactly(1)
        with anyio.fail_after(5):
            assert b"" == await client.read_rest()  # the keep-alive time is over, no sooner and no later
        records = json.loads((await it.ask(get(b"/_ampmap/requests", b"Connection: close"))).body)
        found = records if isinstance(records, list) else records["requests"]

        assert 22 <= len(found)  # idle connections may be given up: a step forwards looks like a suspend
        assert all(0 <= record["duration_ms"] < 30_000 for record in found)
        assert len({record["time"][:4] for record in found}) > 2  # the steps were there
        it.signal()
        assert 0 == await it.ended()


WALL_CLOCK = {
    "records.record": 1,  # when a request came
    "proxy.state": 4,  # when the configuration was last read, until when a cooldown lasts, what a day's credits were
    "proxy.reload": 1,  # when that failed
    "proxy.discovery": 2,  # when a provider last gave its list
    "http.pool": 1,  # whether the machine was suspended
    "proxy.peek": 1,  # how long a Retry-After in the form of a date is
}


def test_the_wall_clock_is_read_for_showing_the_time_alone() -> None:
    found: dict[str, int] = {}
    for path in HOME.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and ast.unparse(node) in (
                "time.time",
                "datetime.now",
                "datetime.utcnow",
            ):
                name = ".".join(path.relative_to(HOME).with_suffix("").parts)
                found[name] = found.get(name, 0) + 1

    assert WALL_CLOCK == found
