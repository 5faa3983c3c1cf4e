"""Check Amp's upstream, the token for it, and which of Amp's two clients is installed. None of it costs credits."""

from __future__ import annotations

import json
import mmap
import os
import shutil
from collections.abc import Iterator, Mapping
from typing import Any

import anyio

from ..amp.secrets import AmpSecret
from ..errors import ExchangeError
from ..formats.model_page import Refused
from ..http.pool import Pool
from ..proxy.provider_lists import get
from ..settings import Amp, Hop
from .findings import Finding, State

_AREA = "Amp"
_ASK_S = 15.0
_CALL = b'{"method":"getUserInfo","params":{}}'  # the first call of its clients
_SWITCH = "thread-actors-tui"  # the feature of an account by which the classic client becomes the newer one
_CLASSIC, _NEO = b"/api/provider", b"/api/thread-actors"
_PROGRAM_BYTES = 512 * 1024 * 1024
_NO_PROXY_SEES = "whose models run in Amp's cloud, where no local proxy sees them"


async def check_upstream(pool: Pool, amp: Amp, env: Mapping[str, str]) -> list[Finding]:
    """Reach the Amp upstream, and ask it who the token belongs to. Takes 15 s at most."""
    if amp.origin is None:
        return [Finding(_AREA, "well", "there is no Amp upstream: nothing can cost credits")]
    token, source = amp.api_key, "amp-upstream-api-key"
    if not token:
        token, source = AmpSecret(env).key_for(amp.origin), "AMP_API_KEY" if env.get("AMP_API_KEY") else "amp login"
    lines = [(b"Host", amp.origin.authority.encode("ascii")), (b"Accept-Encoding", b"identity")]
    path = f"{amp.base_path}/news.rss"
    if token:
        lines += [(b"Authorization", b"Bearer " + token.encode("latin-1")), (b"Content-Type", b"application/json")]
        path = f"{amp.base_path}/api/internal?getUserInfo"
    try:
        with anyio.fail_after(_ASK_S):
            status, body = await get(pool, Hop(amp.origin), path.encode("ascii"), lines, _CALL if token else b"")
    except (Refused, ExchangeError, TimeoutError) as exc:
        what = f"{amp.origin}: {str(exc) or f'no answer within {_ASK_S:g} s'}"
        state: State = "bad" if token else "note"  # without a token, Amp may not be in use at all
        return [Finding(_AREA, state, what, "check 'amp-upstream-url' and the network; '' there means no Amp upstream")]
    if not token:
        what = f"{amp.origin}: reached; there is no token here, so Amp's clients have to send theirs"
        return [Finding(_AREA, "note", what, "amp login, if you use Amp; amp-upstream-url: '' if you do not")]
    if status in (401, 403):
        remedy = "amp login" if source == "amp login" else f"correct {source}"
        return [Finding(_AREA, "bad", f"{amp.origin}: the token of {source} is refused ({status})", remedy)]
    if status != 200:
        return [Finding(_AREA, "note", f"{amp.origin}: it answers {status}, so the token of {source} is not proven")]
    found = [Finding(_AREA, "well", f"{amp.origin}: the token of {source} is accepted")]
    if _is_switched(body):
        what = f"this account is switched to the newer client (Neo), {_NO_PROXY_SEES}"
        found.append(Finding(_AREA, "note", what, "amp --take-me-back keeps the classic client, which asks here"))
    return found


def _is_switched(body: bytes | bytearray) -> bool:
    try:
        found: Any = json.loads(body)
        features = found["result"]["features"]
        return any(each["name"] == _SWITCH and each["enabled"] is True for each in features)
    except (ValueError, RecursionError, TypeError, KeyError):
        return False


def check_program(env: Mapping[str, str]) -> Iterator[Finding]:
    """Tell which of Amp's clients is installed, by the paths of Amp's server that its program holds. Blocks."""
    program = shutil.which("amp", path=env.get("PATH"))
    if program is None:
        return
    kind = _kind(os.path.realpath(program))
    if kind == _CLASSIC:
        yield Finding(_AREA, "well", f"{program} is the classic client, which asks where AMP_URL or amp.url leads")
    elif kind == _NEO:
        what = f"{program} is the newer client (Neo), {_NO_PROXY_SEES}"
        yield Finding(_AREA, "note", what, "npm install -g @sourcegraph/amp@0.0.1777897475-g2324e1 is a classic one")


def _kind(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            if not 0 < os.fstat(file.fileno()).st_size <= _PROGRAM_BYTES:
                return b""
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
                return next((mark for mark in (_CLASSIC, _NEO) if text.find(mark) >= 0), b"")
    except (OSError, ValueError):
        return b""
