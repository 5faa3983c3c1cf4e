"""Word to the service manager: what a real process says of itself, in which order, and that nobody has to listen."""

from __future__ import annotations

import os
import signal
import socket
import time
from contextlib import closing, suppress
from pathlib import Path

import anyio
import httpx
import pytest
from kit import GUARD_S, until
from manager import Manager, Process, service_manager_of_a_test

from ampmap.net.systemd import ServiceManager, service_manager

CONFIG = """\
listen: 127.0.0.1:0
amp-model-mappings: [{from: a, to: m}]
providers: [{name: p, base-url: 'http://127.0.0.1:9', protocols: [anthropic], models: [m]}]
timeouts: {drain-s: 7}
"""
manager = service_manager_of_a_test


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "ampmap.yaml"
    path.write_text(CONFIG)
    return path


def url_in(status: str) -> str:
    return status.removeprefix("listens on ").partition(";")[0]


@pytest.mark.parametrize("abstract", [False, True], ids=["path", "abstract"])
async def test_a_life_is_told_from_start_to_end(manager: Manager, config: Path, abstract: bool) -> None:
    process = manager.start("--config", str(config), abstract=abstract)

    ready = await process.notice()
    assert "1" == ready["READY"]
    url = url_in(ready["STATUS"])
    assert ready["STATUS"] == f"listens on {url}; 1 rule, 1 provider"
    async with httpx.AsyncClient() as client:
        assert 200 == (await client.get(f"{url}/_ampmap/ready")).status_code

    before = time.monotonic_ns() // 1000
    process.signal(signal.SIGHUP)
    reloading = await process.notice()
    assert {"RELOADING", "MONOTONIC_USEC"} == reloading.keys()
    assert before <= int(reloading["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000
    assert ready == await process.notice()

    process.signal(signal.SIGTERM)
    assert {
        "STOPPING": "1",
        "EXTEND_TIMEOUT_USEC": "12000000",
        "STATUS": "draining; open connections: 0",
    } == await process.notice()
    assert 0 == await process.ended()


async def test_a_failed_reload_ends_in_ready_too_and_its_error_is_shown_until_it_is_mended(
    manager: Manager, config: Path
) -> None:
    process = manager.start("--config", str(config))
    ready = await process.ready()

    config.write_text(CONFIG + "provider: []\n")
    told = await process.notice()  # that it was saved was seen
    assert {"STATUS"} == told.keys()
    assert f"; not reloaded: {config}:5:1: unknown key 'provider'" in told["STATUS"]
    process.signal(signal.SIGHUP)
    assert "RELOADING" in await process.notice()
    assert {"READY": "1", **told} == await process.notice()

    config.write_text(CONFIG)
    assert {"STATUS": ready["STATUS"]} == await process.notice()


async def test_a_reload_without_a_file_to_read_is_over_at_once(manager: Manager, tmp_path: Path) -> None:
    env = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path), "AMPMAP_CONFIG": ""}
    process = manager.start("--port", "0", env=env)
    ready = await process.ready()

    process.signal(signal.SIGHUP)
    assert "RELOADING" in await process.notice()
    assert ready == await process.notice()


async def test_nobody_is_told_ready_when_it_cannot_listen(manager: Manager, config: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = manager.start("--config", str(config), "--port", str(taken.getsockname()[1]))
        assert 1 == await process.ended()

    assert not process.heard()


async def beats(process: Process, count: int) -> list[float]:
    """Return when the next signs of life were sent."""
    found: list[float] = []
    while len(found) < count:
        if await process.notice() == {"WATCHDOG": "1"}:
            found.append(process.noticed_at)
    return found


async def test_a_sign_of_life_comes_twice_in_the_watchdogs_time_and_none_from_a_stuck_process(
    manager: Manager, config: Path
) -> None:
    process = manager.start("--config", str(config), env={"WATCHDOG_USEC": "400000"})
    await process.ready()
    came = await beats(process, 6)
    assert 0.7 < came[-1] - came[0] < GUARD_S  # five times 0.2 s, on a machine that may be busy

    process.signal(signal.SIGSTOP)  # the closest to a loop that is stuck
    stat = Path(f"/proc/{process.started.pid}/stat")
    await until(lambda: stat.read_text().rpartition(") ")[2].startswith("T"))
    while process.heard():
        await process.notice()
    await anyio.sleep(0.5)  # more than the manager would wait
    assert not process.heard()
    process.signal(signal.SIGCONT)
    assert 1 == len(await beats(process, 1))


async def test_a_drain_is_watched_over_to_its_end(manager: Manager, config: Path) -> None:
    process = manager.start("--config", str(config), env={"WATCHDOG_USEC": "200000"})
    url = url_in((await process.ready())["STATUS"]).removeprefix("http://")
    host, _, port = url.partition(":")
    with socket.create_connection((host, int(port))) as client:
        client.sendall(b"GET / HT")  # a request that has begun keeps the drain waiting
        async with httpx.AsyncClient() as other:
            while '"connections": 2' not in (await other.get(f"http://{url}/_ampmap/status")).text:
                pass
        process.signal(signal.SIGTERM)
        while "STOPPING" not in await process.notice():
            pass
        assert 3 == len(await beats(process, 3))
        client.sendall(b"TP/1.1\r\nHost: localhost\r\n\r\n")
        assert 0 == await process.ended()


async def test_a_manager_that_is_gone_hurts_nobody(manager: Manager, config: Path) -> None:
    process = manager.start("--config", str(config), env={"WATCHDOG_USEC": "20000"})
    url = url_in((await process.ready())["STATUS"])
    process.deafen()
    before = process.naps
    await until(lambda: process.naps >= before + 5)  # after as many signs of life that nobody hears
    async with httpx.AsyncClient() as client:
        for _ in range(20):
            assert 200 == (await client.get(f"{url}/_ampmap/health")).status_code
    process.signal(signal.SIGTERM)

    assert 0 == await process.ended()


# Inside one process.


def test_the_variables_are_for_this_process_alone() -> None:
    env = {"NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": "5", "WATCHDOG_PID": "1", "OTHER": "stays"}

    service_manager(env)

    assert {"OTHER": "stays"} == env


@pytest.mark.parametrize(
    ("usec", "pid", "is_watched"),
    [
        ("3000000", "", True),
        pytest.param("3000000", str(os.getpid()), True, id="this process"),
        ("3000000", "1", False),
        ("0", "", False),
        ("", "", False),
        ("soon", "", False),
        ("-5", "", False),
        (str(2**64 - 1), "", False),
        ("9" * 5000, "", False),
    ],
)
async def test_only_who_is_meant_is_watched(tmp_path: Path, usec: str, pid: str, is_watched: bool) -> None:
    path = str(tmp_path / "n")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices:
        notices.bind(path)
        notices.setblocking(False)
        with closing(service_manager({"NOTIFY_SOCKET": path, "WATCHDOG_USEC": usec, "WATCHDOG_PID": pid})) as manager:
            with anyio.move_on_after(0.02) as scope:
                await manager.keep_watchdog()
        assert is_watched == scope.cancelled_caught
        if is_watched:
            assert b"WATCHDOG=1" == notices.recv(100)


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("address", ["", "relative", "vsock:2:1234"])
async def test_an_address_that_is_none_is_told_nothing(address: str, caplog: pytest.LogCaptureFixture) -> None:
    with closing(service_manager({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "5"})) as manager:
        manager.ready("x")
        await manager.keep_watchdog()

    assert [] == caplog.records


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("address", ["/nowhere/at/all", "/" + "x" * 200, "/a\0b", "/etc/hostname"])
async def test_an_address_that_nobody_hears_is_no_error(address: str, caplog: pytest.LogCaptureFixture) -> None:
    with closing(ServiceManager(address)) as manager:
        manager.ready("x")
        manager.stopping("y", 1)

    assert [] == caplog.records


@pytest.mark.usefixtures("nothing_left")
async def test_a_manager_that_is_busy_is_not_waited_for(tmp_path: Path) -> None:
    path = str(tmp_path / "n")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices, closing(ServiceManager(path)) as manager:
        notices.bind(path)
        notices.setblocking(False)
        for number in range(2000):
            manager.status(str(number))
        heard = 0
        with suppress(BlockingIOError):
            while True:
                assert b"STATUS=%d" % heard == notices.recv(1000)
                heard += 1
        manager.status("done")

        assert 0 < heard < 2000
        assert b"STATUS=done" == notices.recv(1000)


@pytest.mark.usefixtures("nothing_left")
async def test_after_the_end_began_nothing_else_is_told_and_a_status_is_one_line(tmp_path: Path) -> None:
    path = str(tmp_path / "n")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices, closing(ServiceManager(path)) as manager:
        notices.bind(path)
        notices.setblocking(False)
        manager.status("a\nREADY=1\x1b[1m" + "x" * 1000)
        manager.stopping("y", 0.5)
        manager.reloading()
        manager.ready("z")
        manager.status("z")

        assert b"STATUS=a\\nREADY=1\\x1b[1m" + b"x" * 383 == notices.recv(2000)
        assert b"STOPPING=1\nEXTEND_TIMEOUT_USEC=500000\nSTATUS=y" == notices.recv(2000)
        with pytest.raises(BlockingIOError):
            notices.recv(1)
