"""Name look-ups: each name has a thread of its own, so a name server that does not answer delays no other name.

``http.dialer`` is the caller. ``loop.getaddrinfo`` shares a few threads among all names (at most 32 in asyncio's
executor, 4 in libuv), and a look-up that nobody answers keeps its thread for up to half a minute.
"""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from itertools import zip_longest
from typing import Any

_AddressInfo = tuple[int, int, int, str, tuple[Any, ...]]
_LookUp = asyncio.Future[list[str]]


class LookUps:
    """The look-ups that are going on, by name. Used on one event loop."""

    def __init__(self) -> None:
        self._running: dict[str, _LookUp] = {}

    async def addresses(self, host: str) -> list[str]:
        """Return the addresses of ``host`` in the order in which they are to be tried.

        An address in digits is returned at once. A name is looked up by one thread at a time, for all who wait for it;
        there is no deadline here, and cancelling ends this wait only: the next one joins the same look-up. Raises
        :class:`socket.gaierror` for a name without an address, :class:`UnicodeError` for one that is no name,
        :class:`OSError` or :class:`RuntimeError` where no file or no thread was left for the look-up.
        """
        with suppress(socket.gaierror):
            # Neither asks a name server nor reads a file.
            return _ordered(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST))
        running = self._running.get(host) or self._begin(host)
        return await asyncio.shield(running)

    def is_running(self, host: str) -> bool:
        """Tell whether ``host`` is being looked up."""
        return host in self._running

    def _begin(self, host: str) -> _LookUp:
        loop = asyncio.get_running_loop()
        look_up: _LookUp = loop.create_future()
        # A daemon: the exit of the process must not wait for a name server.
        threading.Thread(
            target=_look_up, args=(host, look_up, loop), name=f"ampmap look-up of {host}", daemon=True
        ).start()
        self._running[host] = look_up
        look_up.add_done_callback(lambda _: self._running.pop(host))
        return look_up


def _look_up(host: str, look_up: _LookUp, loop: asyncio.AbstractEventLoop) -> None:
    """Look ``host`` up and hand the result to the loop; runs in a thread of its own."""
    end: Callable[[], None]
    try:
        end = partial(look_up.set_result, _ordered(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)))
    except socket.gaierror as exc:
        end = partial(look_up.set_exception, shortage() or exc)
    except Exception as exc:  # whatever it is, it belongs to those who wait
        end = partial(look_up.set_exception, exc)
    with suppress(RuntimeError):  # the loop is closed
        loop.call_soon_threadsafe(end)


def shortage() -> OSError | None:
    """Return the error that opening a file meets now; None when one can be opened.

    The resolver and OpenSSL tell a file that they could not open as a name or an authority that does not exist.
    """
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as exc:
        return exc
    return None


def _ordered(found: Sequence[_AddressInfo]) -> list[str]:
    """Return the addresses, families in turn, the preferred family first. Source: RFC 8305 §4."""
    families: dict[int, dict[str, None]] = {}
    for family, _, _, _, address in found:
        families.setdefault(family, {})[_literal(address)] = None
    return [address for turn in zip_longest(*families.values()) for address in turn if address is not None]


def _literal(address: tuple[Any, ...]) -> str:
    """Return the address of a socket address, with the zone of a link-local one."""
    scope = address[3] if len(address) > 3 else 0
    return f"{address[0]}%{scope}" if scope else str(address[0])
