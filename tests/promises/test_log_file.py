"""``log.file``: lines are added to a file of the owner's alone, through rotation, reloads and a full disk."""

from __future__ import annotations

import os
import re
import resource
import shutil
import signal
import stat
from pathlib import Path

import anyio
import pytest
from kit import GUARD_S, answering, get, scripted, until
from process import ON_ASYNCIO, PROGRAM, Process, configuration, process, proxying_process, run

from ampmap.commands.main import main

pytestmark = pytest.mark.sample(1 / 2)  # of the loops
each_loop = pytest.mark.parametrize("program", [PROGRAM, ON_ASYNCIO], ids=["uvloop", "asyncio"])


async def logged(proxy: Process, path: str, log: Path) -> None:
    """Have one request recorded in ``log``."""
    await proxy.ask(get(path.encode()))
    await until(lambda: path in log.read_text())


@each_loop
async def test_a_rotated_log_goes_on_in_a_new_file(tmp_path: Path, program: tuple[str, ...]) -> None:
    log, old = tmp_path / "ampmap.log", tmp_path / "ampmap.log.1"
    log.write_text("kept\n")
    log.chmod(0o600)
    async with scripted(answering()) as upstream:
        async with proxying_process(tmp_path, upstream.origin, "log: {file: ampmap.log}", program=program) as proxy:
            await logged(proxy, "/one", log)
            log.rename(old)
            await proxy.ask(get(b"/two"))
            await until(lambda: "/two" in old.read_text())
            (tmp_path / "ampmap.yaml").write_text("broken: true")  # no reason to go on in the old file
            proxy.signal(signal.SIGHUP)
            await until(log.exists)
            await logged(proxy, "/three", log)

            proxy.signal()
            assert 0 == await proxy.ended()

    assert old.read_text().startswith("kept\n") and "/three" not in old.read_text()
    assert "not reloaded" in log.read_text() and "draining" in log.read_text()
    assert 0o600 == stat.S_IMODE(log.stat().st_mode)


def _told(log: Path) -> int:
    """Return how often a log says that its file was changed."""
    return log.read_text().count("log.file: /") if log.exists() else 0


@each_loop
async def test_a_change_of_the_file_needs_no_restart(tmp_path: Path, program: tuple[str, ...]) -> None:
    one, two = tmp_path / "one.log", tmp_path / "two.log"
    async with scripted(answering()) as upstream:
        async with proxying_process(tmp_path, upstream.origin, "log: {file: one.log}", program=program) as proxy:
            await logged(proxy, "/one", one)
            count = proxy.file_count
            for number, log in enumerate((two, one, two)):
                (tmp_path / "ampmap.yaml").write_text(configuration(upstream.origin, f"log: {{file: {log}}}"))
                proxy.signal(signal.SIGHUP)
                await until(lambda log=log, told=number // 2 + 1: _told(log) == told)  # type: ignore[misc]
            await logged(proxy, "/beta", two)
            await until(lambda: proxy.file_count <= count)
            (tmp_path / "ampmap.yaml").write_text(configuration(upstream.origin))
            proxy.signal(signal.SIGHUP)
            assert b"log.file: " in await proxy.said(b"log.file: ")

    assert "/beta" not in one.read_text()


LOGROTATE = shutil.which("logrotate", path="/usr/sbin:/usr/bin:/sbin")
SNIPPET = Path(__file__).parent.parent.parent / "examples" / "ampmap.logrotate"


@pytest.mark.skipif(LOGROTATE is None, reason="logrotate is not installed")
async def test_the_example_for_logrotate_loses_no_line(tmp_path: Path) -> None:
    log, rotated = tmp_path / "logs" / "ampmap.log", tmp_path / "logs" / "ampmap.log.1"
    log.parent.mkdir(mode=0o755)
    async with scripted(answering()) as upstream:
        async with proxying_process(tmp_path, upstream.origin, f"log: {{file: {log}}}") as proxy:
            await logged(proxy, "/alpha", log)
            hup = f"kill -HUP {proxy.popen.pid}"
            text = re.sub("systemctl kill .*", hup, SNIPPET.read_text()).replace(
                "/var/log/ampmap/ampmap.log {", f"{log} {{"
            )
            config = tmp_path / "logrotate.conf"
            config.write_text(text)
            config.chmod(0o644)
            command = [str(LOGROTATE), "--force", "--state", str(tmp_path / "state"), str(config)]
            done = await anyio.run_process(command, check=False)
            assert 0 == done.returncode, done.stderr
            await until(log.exists)
            await logged(proxy, "/beta", log)

    assert hup in text and "/alpha" in rotated.read_text() and "/beta" not in rotated.read_text()


@each_loop
async def test_a_full_disk_stops_nothing_and_is_told_on_standard_error(
    tmp_path: Path, program: tuple[str, ...]
) -> None:
    log = tmp_path / "ampmap.log"
    more = "log: {file: ampmap.log}"
    async with scripted(answering()) as upstream:
        async with proxying_process(tmp_path, upstream.origin, more, program=program) as proxy:
            await logged(proxy, "/before", log)
            _, hard = resource.prlimit(proxy.popen.pid, resource.RLIMIT_FSIZE)
            resource.prlimit(proxy.popen.pid, resource.RLIMIT_FSIZE, (log.stat().st_size + 40, hard))
            assert 404 == (await proxy.ask(get(b"/lost"))).status
            said = await proxy.said(b"cannot write the log")
            assert f"cannot write the log to {log} (log.file): File too large; the proxy goes on".encode() in said
            assert 404 == (await proxy.ask(get(b"/lost"))).status
            resource.prlimit(proxy.popen.pid, resource.RLIMIT_FSIZE, (hard, hard))
            await logged(proxy, "/after", log)
            await until(lambda: " of this log " in log.read_text())

    whole = [line for line in log.read_text().splitlines() if "/after" in line or "/before" in line]
    assert all(line.startswith("20") for line in whole)  # none stands behind half of another


async def test_a_pipe_in_the_place_of_the_file_blocks_nothing(tmp_path: Path) -> None:
    log, old = tmp_path / "ampmap.log", tmp_path / "old.log"
    async with scripted(answering()) as upstream:
        async with proxying_process(tmp_path, upstream.origin, "log: {file: ampmap.log}") as proxy:
            await logged(proxy, "/one", log)
            log.rename(old)
            os.mkfifo(log)
            proxy.signal(signal.SIGHUP)
            await proxy.said(b"cannot write the log")
            await logged(proxy, "/two", old)


@pytest.mark.parametrize(
    ("file", "why"),
    [
        ("none/ampmap.log", "the directory {0}/none does not exist; create it, or name a file elsewhere"),
        ("pipe", "it is a pipe; name a regular file"),
        ("/dev/null", "it is a device; name a regular file"),
        (".", "it is a directory; name a regular file"),
    ],
)
def test_a_file_that_cannot_be_is_named_before_the_start(
    tmp_path: Path, file: str, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo(tmp_path / "pipe")
    config = tmp_path / "ampmap.yaml"
    config.write_text(f"listen: 127.0.0.1:0\nlog: {{file: {file}}}\n")

    for command in ("check", "serve"):
        assert 2 == main([command, "--config", str(config)])
        error = capsys.readouterr().err
        assert f"ampmap.yaml:2:13: the log cannot be written to '{file}': {why.format(tmp_path)}" in error


def test_a_file_that_cannot_be_opened_ends_the_start(tmp_path: Path) -> None:
    (tmp_path / "link.log").symlink_to(tmp_path / "none" / "ampmap.log")
    config = tmp_path / "ampmap.yaml"
    config.write_text("listen: 127.0.0.1:0\nlog: {file: link.log}\n")

    found = run("-m", "ampmap", "--config", str(config))
    assert 2 == found.returncode
    assert f"log.file is {tmp_path}/link.log, which cannot be written: No such file or directory; " in found.stderr


def test_a_terminal_keeps_its_colours_out_of_the_file(tmp_path: Path) -> None:
    config = tmp_path / "ampmap.yaml"
    config.write_text("listen: 127.0.0.1:0\nlog: {file: ~/ampmap.log, format: auto}\n")
    with process("--config", str(config), env={"HOME": str(tmp_path), "FORCE_COLOR": "1"}) as proxy:
        proxy.signal()
        assert 0 == proxy.popen.wait(GUARD_S)

    assert "\x1b" not in (tmp_path / "ampmap.log").read_text() != ""
