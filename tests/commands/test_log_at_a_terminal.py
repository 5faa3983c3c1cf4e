"""``serve`` at a real terminal logs for people, in the terminal's colours and characters; elsewhere it does not."""

from __future__ import annotations

import os
import pty
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest
from anyio import to_thread
from kit import GUARD_S, OK, answering, get, post, scripted
from process import proxying_process

PAID = b"/api/provider/openai/v1/chat/completions"
MAPPED = re.compile("\x1b\\[2m[0-9:]{8}\x1b\\[0m  alias → m  local  200  [0-9]+ ms\r\n")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@contextmanager
def terminal() -> Iterator[tuple[int, int]]:
    """Open a pseudo-terminal; yield the end that is read and the end that a program gets."""
    master, slave = pty.openpty()
    try:
        yield master, slave
    finally:
        os.close(master)
        os.close(slave)


async def read_until(descriptor: int, words: bytes) -> bytes:
    """Read until a line with ``words`` is complete; return all that was read."""
    seen = b""
    with anyio.fail_after(GUARD_S):
        while re.search(words + rb"[^\n]*\n", seen) is None:
            seen += await to_thread.run_sync(os.read, descriptor, 65536, abandon_on_cancel=True)
    return seen


async def log_of(tmp_path: Path, more: str = "", **env: str) -> bytes:
    """Run ``serve`` at a terminal; return the log of probes and polls, a mapped request and a paid one."""
    with terminal() as (master, slave):
        async with (
            scripted(answering(OK, OK)) as upstream,
            proxying_process(
                tmp_path, upstream.origin, more, stderr=slave, env={"TERM": "xterm", "NO_COLOR": "", **env}
            ) as serving,
        ):
            for quiet in (b"/", b"/_ampmap/health", b"/_ampmap/status", b"/v1/models"):
                assert 200 == (await serving.ask(get(quiet))).status
            await serving.ask(post(b'{"model": "alias"}'))
            await serving.ask(post(b'{"model": "other"}', path=PAID))
            return await read_until(master, b"map add other m|requested_model=other")


async def test_a_terminal_gets_lines_for_people(tmp_path: Path) -> None:
    log = (await log_of(tmp_path)).decode()

    assert MAPPED.search(log), log
    assert "\x1b[33mcosts credits\x1b[0m" in log
    assert "ampmap map add other m" in log
    assert not re.search("_ampmap|/v1/models|GET", log), log


@pytest.mark.sample(1 / 2)
@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
async def test_a_terminal_without_colours_gets_none(tmp_path: Path, env: dict[str, str]) -> None:
    log = await log_of(tmp_path, **env)

    assert b"costs credits" in log
    assert b"\x1b" not in log


@pytest.mark.sample(1 / 2)
@pytest.mark.parametrize(
    "env", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}]
)
async def test_a_terminal_without_arrows_gets_signs_that_it_has(tmp_path: Path, env: dict[str, str]) -> None:
    log = await log_of(tmp_path, **env)

    assert b"  alias -> m  local  200  " in log
    assert log.isascii()


async def test_a_form_that_is_asked_for_is_the_same_at_a_terminal(tmp_path: Path) -> None:
    log = await log_of(tmp_path, "log: {format: text}")

    assert b"requested_model=other" in log
    assert b"path=/_ampmap/health" in log


async def test_a_pipe_gets_text_unless_people_are_asked_for(tmp_path: Path) -> None:
    for more, words in (("", b"requested_model=m"), ("log: {format: human}", b"  m  local  200  ")):
        async with (
            scripted(answering(OK)) as upstream,
            proxying_process(tmp_path, upstream.origin, more, env={"PYTHONIOENCODING": "utf-8"}) as serving,
        ):
            await serving.ask(post())
            assert b"\x1b" not in await serving.said(words)
