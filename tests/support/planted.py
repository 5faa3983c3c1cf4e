"""Secrets that the tests hand to ampmap everywhere, and a look at all that comes out while the tests run.

Looked at are: what each test printed and logged, and what it read back of that; what programs that it started printed,
into pipes or files; each byte that a client of ``kit`` or ``httpx`` was sent; and at the end of each proxy its records
and its pages. A test in which one of the secrets shows up is an error, unless it is marked ``shows_secrets(why)``.
"""

from __future__ import annotations

import os
import stat
import subprocess
from asyncio import base_subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import IO, Any

from httpcore._backends import anyio as httpcore_async
from httpcore._backends import sync as httpcore_sync

from ampmap import server
from ampmap.admin import pages as admin
from ampmap.server import Server
from ampmap.settings import Settings

# The provider's and Amp's keys of ``kit``, the provider's of ``policy``, what configurations in tests are written with.
SECRETS = ("provider-key", "sgamp_key", "provider-secret", "sk-secret", "sk-not-shown", "sgamp_configured", "planted")
LONGEST = 64
_SHORTEST = 8  # of those that a proxy has of its own: "k1" stands everywhere

_found: list[str] = []
_own: set[str] = set()  # of the proxies of the test that runs
_files: list[_File] = []


def look(where: str, shown: str | bytes | None) -> None:
    """Remember each secret that stands in ``shown``."""
    if isinstance(shown, bytes):
        _found.extend(f"{each!r} in {where}: {shown!r}" for each in (*SECRETS, *_own) if each.encode() in shown)
    elif shown:
        _found.extend(f"{each!r} in {where}: {shown}" for each in (*SECRETS, *_own) if each in shown)


def secrets_of(settings: Settings) -> set[str]:
    """Return what a proxy's settings say that nobody may hear of, where it is long enough to be looked for."""
    amp = settings.amp
    found = {*settings.api_keys, amp.api_key or "", *(key.upstream_api_key for key in amp.api_keys)}
    found.update(key for pair in amp.api_keys for key in pair.client_keys)
    for provider in settings.providers:
        found.update((provider.api_key or "", *(content for _, content in provider.headers)))
    return {each for each in found if len(each) >= _SHORTEST}


def look_at(proxy: Server) -> None:
    """Look at what a proxy tells of its requests: the records that are its log, and all its pages."""
    service = proxy.service
    for record in service.journal.recent:
        look("a record", str(record))
    for name in ("status", "requests", "metrics"):
        page = admin.page(name, service)
        assert page is not None
        look(f"/_ampmap/{name}", page[2])


def held_files() -> int:
    """Return how many files are open only because they are looked at."""
    return len(_files)


def taken() -> list[str]:
    """Return what was found since the last call."""
    for file in _files[:]:
        if file.looked():
            _files.remove(file)
    found = list(dict.fromkeys(_found))
    _found.clear()
    _own.clear()
    return found


def watch() -> None:
    """Put an eye on everything that tests use to start ampmap and to hear from it."""
    subprocess.Popen = Popen  # type: ignore[misc]  # a class put in the place of another
    server.running = _watched(server.running)
    for stream in (httpcore_async.AnyIOStream, httpcore_sync.SyncStream):
        _watch_reads(stream)
    transport: Any = base_subprocess.BaseSubprocessTransport
    received = transport._pipe_data_received

    def seen(self: Any, number: int, data: bytes) -> None:
        look("the output of a program", data)
        received(self, number, data)

    transport._pipe_data_received = seen


def _watched(running: Callable[..., Any]) -> Callable[..., Any]:
    @asynccontextmanager
    async def watched(settings: Settings, *arguments: Any, **options: Any) -> AsyncIterator[Server]:
        proxy: Server | None = None
        try:
            async with running(settings, *arguments, **options) as proxy:
                _own.update(secrets_of(settings))
                yield proxy
        finally:
            if proxy is not None:  # the last records come as it ends
                look_at(proxy)

    return watched


def _watch_reads(stream: Any) -> None:
    """Look at what httpx reads: whatever stands on the border of two reads as well."""
    read = stream.read

    def look_on(self: Any, data: bytes) -> bytes:
        tail = getattr(self, "tail", b"")
        look("what a client was sent", tail + data)
        self.tail = (tail + data)[1 - LONGEST :]
        return data

    async def read_async(self: Any, *arguments: Any, **options: Any) -> bytes:
        return look_on(self, await read(self, *arguments, **options))

    def read_sync(self: Any, *arguments: Any, **options: Any) -> bytes:
        return look_on(self, read(self, *arguments, **options))

    stream.read = read_async if stream is httpcore_async.AnyIOStream else read_sync


class _File:
    """A file that a program prints into, held open: it may be gone when it is read."""

    def __init__(self, number: int, process: subprocess.Popen[Any]) -> None:
        self._number = number
        self._process = process
        self._at = 0

    def looked(self) -> bool:
        """Look at what is new; tell whether that was all."""
        is_over = self._process.poll() is not None
        start = max(self._at - LONGEST, 0)
        new = os.pread(self._number, max(os.fstat(self._number).st_size - start, 0), start)
        self._at = start + len(new)
        look("the file that a program printed into", new)
        if is_over:
            os.close(self._number)
        return is_over


class _Watched:
    """A program's output, read as before and looked at on the way."""

    def __init__(self, stream: IO[Any], where: str) -> None:
        self._stream = stream
        self._where = where

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.readline, self._stream.read(0))

    def read(self, *arguments: Any) -> Any:
        found = self._stream.read(*arguments)
        look(self._where, found)
        return found

    def readline(self, *arguments: Any) -> Any:
        found = self._stream.readline(*arguments)
        look(self._where, found)
        return found


class Popen(subprocess.Popen[Any]):
    """``subprocess.Popen``, with an eye on what the program prints."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        for name in ("stdout", "stderr"):
            if (stream := getattr(self, name)) is not None:
                setattr(self, name, _Watched(stream, f"{name} of a program"))
            elif (file := options.get(name)) is not None and (number := _reader_of(file)) is not None:
                _files.append(_File(number, self))

    def communicate(self, *arguments: Any, **options: Any) -> tuple[Any, Any]:
        found = super().communicate(*arguments, **options)
        for shown in found:
            look("the output of a program", shown)
        return found


def _reader_of(file: int | IO[Any]) -> int | None:
    """Return a descriptor of its own from which a regular file can be read; None for anything else."""
    number = file if isinstance(file, int) else file.fileno()
    if number < 0 or not stat.S_ISREG(os.fstat(number).st_mode):
        return None
    try:
        return os.open(f"/proc/self/fd/{number}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:  # a system without /proc
        return None
