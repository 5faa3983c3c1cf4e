"""``/_ampmap/`` itself: one HTML file that shows ``/_ampmap/events``, and the policy that limits it."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from pathlib import Path

from ..proxy.state import AdminPage

_INLINE = re.compile(rb"<(style|script)>(.*?)</\1>", re.DOTALL)


@cache
def live_page() -> AdminPage:
    """Return the page; its policy allows its one script and its one style by their hashes, and nothing else."""
    body = Path(__file__).with_name("live.html").read_bytes()
    hashes = {kind: base64.b64encode(hashlib.sha256(text).digest()) for kind, text in _INLINE.findall(body)}
    policy = (
        b"default-src 'none'; script-src 'sha256-%b'; style-src 'sha256-%b'; connect-src 'self'; img-src data:;"
        b" base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
    ) % (hashes[b"script"], hashes[b"style"])
    lines = (
        (b"Content-Security-Policy", policy),
        (b"Cache-Control", b"no-store"),
        (b"Cross-Origin-Opener-Policy", b"same-origin"),
        (b"Cross-Origin-Resource-Policy", b"same-origin"),
        (b"Referrer-Policy", b"no-referrer"),
        (b"X-Content-Type-Options", b"nosniff"),
    )
    return AdminPage(200, "text/html; charset=utf-8", body, lines)
