"""Secrets that the tests hand to ampmap everywhere, and a look at all that comes out while the tests run.

Looked at are: what each test printed and logged, what it read back of that, what programs that it started printed, each
byte that a client of ``kit`` was sent, and at the end of each of ``kit``'s proxies its records and its pages. A test in
which one of the secrets shows up is an error, unless it is marked ``shows_secrets(why)``.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from typing import IO, Any

from ampmap import admin
from ampmap.server import Server

# The provider's and Amp's keys of ``kit``, the provider's of ``policy``, what configurations in tests are written with.
SECRETS = ("provider-key", "sgamp_key", "provider-secret", "sk-secret", "sk-not-shown", "sgamp_configured", "planted")
_BYTES = tuple(secret.encode() for secret in SECRETS)
LONGEST = max(map(len, SECRETS))

_found: list[str] = []


def look(where: str, shown: str | bytes | None) -> None:
    """Remember each secret that stands in ``shown``."""
    if isinstance(shown, bytes):
        _found.extend(f"{secret.decode()!r} in {where}: {shown!r}" for secret in _BYTES if secret in shown)
    elif shown:
        _found.extend(f"{secret!r} in {where}: {shown}" for secret in SECRETS if secret in shown)


def look_at(proxy: Server) -> None:
    """Look at what a proxy tells of its requests: the records that are its log, and all its pages."""
    service = proxy.service
    for record in service.journal.recent:
        look("a record", str(record))
    for name in ("status", "requests", "metrics"):
        page = admin.page(name, service)
        assert page is not None
        look(f"/_ampmap/{name}", page[2])


def taken() -> list[str]:
    """Return what was found since the last call."""
    found = list(dict.fromkeys(_found))
    _found.clear()
    return found


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
        if options.get("text") or options.get("universal_newlines"):  # asyncio's own need the pipes themselves
            for name in ("stdout", "stderr"):
                if (stream := getattr(self, name)) is not None:
                    setattr(self, name, _Watched(stream, f"{name} of a program"))

    def communicate(self, *arguments: Any, **options: Any) -> tuple[Any, Any]:
        found = super().communicate(*arguments, **options)
        for shown in found:
            look("the output of a program", shown)
        return found
