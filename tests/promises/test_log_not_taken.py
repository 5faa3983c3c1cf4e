"""A log or a terminal that takes nothing holds up neither requests nor the end."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest
from anyio import to_thread
from kit import GUARD_S, Peer, answering, get, scripted, until
from process import proxying_process, served

from ampmap.records.log_writer import WAITING_BYTES, LogWriter


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
    log = logging.getLogger("ampmap-test-log")
    log.propagate = False
    log.addHandler(LogWriter(writer))
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
    log_writer = LogWriter(writer)
    for number in range(100):
        log_writer.handle(logging.LogRecord("a", logging.INFO, "f.py", 1, f"{number} {'x' * 1000}", (), None))
    done: list[bytes] = []

    def read() -> None:
        with open(reader, "rb") as readable:
            done.extend(readable.readlines())

    with anyio.from_thread.start_blocking_portal() as portal:
        reading = portal.start_task_soon(to_thread.run_sync, read)
        log_writer.acquire()
        log_writer.close()
        log_writer.release()
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


@pytest.mark.sample(1 / 3)
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


@pytest.mark.sample(1 / 3)
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
