"""What a machine can run out of, and what can be taken from under a running proxy: files, disks, the configuration."""

from __future__ import annotations

import json
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
    OK,
    answering,
    connected,
    get,
    post,
    proxying,
    scripted,
    until,
)
from process import Process, proxying_process
from servertls import server_tls

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


@pytest.mark.sample(1 / 2)
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


@pytest.mark.sample(1 / 2)
@pytest.mark.parametrize("how", ["unreadable", "a loop", "deleted", "its directory deleted"])
async def test_a_configuration_that_is_taken_away_stays_in_force(how: str, tmp_path: Path) -> None:
    if how == "unreadable" and os.geteuid() == 0:
        pytest.skip("root may read everything")
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
