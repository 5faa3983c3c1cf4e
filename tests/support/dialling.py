"""Dialers, and what they say of a failure."""

from __future__ import annotations

import base64

import anyio
import pytest
from kit import GUARD_S

from ampmap.errors import DialFailed
from ampmap.http.dialer import Dialer
from ampmap.settings import Hop, Limits

LOGIN = b"Basic " + base64.b64encode(b"user name:p@ss")


def new_dialler(env: dict[str, str] | None = None, connect_s: float = 5.0) -> Dialer:
    return Dialer(env or {}, Limits(), connect_s)


async def failure(hop: Hop, dialer: Dialer | None = None) -> str:
    """Return the words for a dial that fails."""
    with anyio.fail_after(GUARD_S), pytest.raises(DialFailed) as raised:
        await (dialer or new_dialler()).dial(hop)
    return str(raised.value)
