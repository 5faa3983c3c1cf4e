"""Names looked up: whom a silent name server holds up, and what the want of threads and files does."""

from __future__ import annotations

import json
import os
import resource
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from kit import GUARD_S, OK, Peer, answering, ask, post, provider, proxying, scripted

from ampmap.errors import NoFiles
from ampmap.http.dialer import Dialer
from ampmap.settings import Hop, Limits, Origin

LOOPS = ("asyncio", "uvloop")
pytestmark = pytest.mark.sample(1 / 2)  # of the loops
on_both_loops = pytest.mark.parametrize(
    "anyio_backend", [("asyncio", {"use_uvloop": loop == "uvloop"}) for loop in LOOPS], ids=LOOPS
)
_NO_THREAD_BYTES = 1 << 47  # a stack that is larger than the address space
_RESOLVER_S = 5.0  # what glibc waits for a name server at least


@contextmanager
def no_new_threads() -> Iterator[None]:
    """Let the system refuse to start a thread."""
    before = threading.stack_size(_NO_THREAD_BYTES)
    try:
        with pytest.raises(RuntimeError, match="new thread"):
            threading.Thread(target=print).start()
        yield
    finally:
        threading.stack_size(before)


@contextmanager
def files_left(count: int) -> Iterator[None]:
    """Let this process open ``count`` files more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.open(os.devnull, os.O_RDONLY)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + count, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# A name server that says nothing.


def played(loop: str, scene: str) -> dict[str, Any]:
    """Play a scene of ``silentnames``; skip where there can be no network namespace."""
    if os.geteuid() != 0 or not sys.platform.startswith("linux"):
        pytest.skip("a network namespace with a silent name server needs Linux and root")
    program = Path(__file__).parent.parent / "support" / "silentnames.py"
    if (tried := subprocess.run(["unshare", "--net", "--mount", "true"], capture_output=True, text=True)).returncode:
        pytest.skip(f"no network namespace can be made here: {tried.stderr.strip()}")
    run = subprocess.run(
        ["unshare", "--net", "--mount", sys.executable, str(program), loop, scene],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert 0 == run.returncode, run.stderr
    found: dict[str, Any] = json.loads(run.stdout)
    found["exit_s"] = time.monotonic() - found.pop("ended")
    return found


@pytest.mark.parametrize("loop", LOOPS)
def test_a_silent_name_server_holds_up_neither_other_providers_nor_localhost_nor_the_exit(loop: str) -> None:
    found = played(loop, "healthy")

    assert [200] * 4 == found["healthy"]
    assert "no name server has answered for a.silent.test within 1 s" in found["silent"]
    assert ["silent"] == found["resting"]
    assert ["ampmap look-up of a.silent.test"] == found["threads"]
    assert found["exit_s"] < _RESOLVER_S


@pytest.mark.parametrize("loop", LOOPS)
def test_a_name_is_looked_up_once_for_all_who_wait_and_cancelling_one_disturbs_no_other(loop: str) -> None:
    found = played(loop, "shared")

    assert list(range(1, 40, 2)) == found["reached"]
    assert 2 == found["questions"]
    assert [] == found["threads"]


@pytest.mark.parametrize("loop", LOOPS)
def test_a_look_up_that_outlives_its_deadline_stays_the_one_for_its_name(loop: str) -> None:
    found = played(loop, "outlived")

    assert ["ampmap look-up of b.silent.test"] == found["threads"]
    assert 2 == found["questions"]
    assert found["said"][0].endswith("no name server has answered for b.silent.test within 0.1 s (timeouts.connect-s)")


# This machine's own wants.


@on_both_loops
async def test_digits_are_dialled_without_a_thread() -> None:
    async with scripted(Peer.wait_gone) as upstream:
        port = upstream.origin.port
        with no_new_threads():
            for host in ("127.0.0.1", "127.1", "2130706433"):
                _, raw = await Dialer({}, Limits(), 5.0).dial(Hop(Origin("http", host, port)))
                raw.abort()
    async with scripted(Peer.wait_gone, host="::1") as upstream:
        with no_new_threads():
            _, raw = await Dialer({}, Limits(), 5.0).dial(Hop(upstream.origin))
            raw.abort()


@on_both_loops
async def test_the_want_of_a_thread_is_no_failure_of_the_provider() -> None:
    async with scripted(answering(OK)) as upstream:
        named = provider(Origin("http", "localhost", upstream.origin.port))
        async with proxying(upstream.origin, providers=(named,)) as proxy:
            with no_new_threads():
                reply = await ask(proxy, post())
            resting = proxy.service.cooldowns.current()
            after = await ask(proxy, post())

    assert (503, {}, 200) == (reply.status, resting, after.status)
    assert b"no thread is left" in reply.body


@on_both_loops
async def test_the_want_of_a_file_for_a_look_up_is_no_failure_of_the_name() -> None:
    dialer = Dialer({}, Limits(), 5.0)
    with files_left(0), anyio.fail_after(GUARD_S), pytest.raises(NoFiles, match="Too many open files"):
        await dialer.dial(Hop(Origin("http", "localhost", 80)))


@on_both_loops
async def test_the_want_of_a_file_for_authorities_is_no_failure_of_the_certificate() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:  # which accepts nothing: that would take a file, too
        hop = Hop(Origin("https", "127.0.0.1", server.getsockname()[1]))
        with files_left(1), anyio.fail_after(GUARD_S), pytest.raises(NoFiles, match="Too many open files"):
            await Dialer({}, Limits(), 5.0).dial(hop)
