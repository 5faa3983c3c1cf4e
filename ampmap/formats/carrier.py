"""The carrier: how a seal of one vendor travels through another vendor's format, and comes back. Pure.

The writer of a reply puts a seal into a carrier, which stands where the client's format has its own seals. The client
sends it back with its next request, whose reader takes the seal out. A carrier is base64 of a mark and of JSON. Because
it comes from a client, one that cannot be read is no error: it counts as no carrier.
"""

from __future__ import annotations

import base64
import binascii
import json
from functools import lru_cache
from typing import Any, Final

from ..bodies.texts import Long, Str, head, loads, plain
from .conversation import Seal
from .identifiers import hashed

MARK: Final = "ampmap1"
CARRIER_BYTES: Final = 1024 * 1024
"""The largest carrier that is made or read."""

PLAIN_MARK: Final = f"{MARK}."
ENCODED_MARK: Final = base64.b64encode(MARK.encode()[:6]).decode()  # of six bytes: eight characters, no padding


@lru_cache(maxsize=64)
def maker_tag(provider: str, api_key: str) -> str:
    """Return a provider's tag. It depends on the key, too, because a seal is worth nothing under another account."""
    return hashed(f"{provider}\0{api_key}", 12)


def encode(seal: Seal, *, pure_base64: bool = False) -> str:
    """Return the carrier of a seal: ``ampmap1.`` and base64url. Empty if it would be larger than CARRIER_BYTES.

    ``pure_base64`` is for fields that allow nothing but standard base64.
    """
    text = json.dumps({"p": seal.maker, "m": seal.model, "k": seal.kind, "d": seal.data}, separators=(",", ":"))
    if len(text) > CARRIER_BYTES * 3 // 4:
        return ""
    if pure_base64:
        return base64.b64encode(f"{PLAIN_MARK}{text}".encode()).decode()
    return PLAIN_MARK + base64.urlsafe_b64encode(text.encode()).decode()


def is_carrier(text: Str) -> bool:
    """Tell whether a text has the mark of a carrier, in either form, whether or not it can be read."""
    return head(text, len(PLAIN_MARK)) == PLAIN_MARK or head(text, len(ENCODED_MARK)) == ENCODED_MARK


def decode(text: Str) -> Seal | None:
    """Return the seal in a carrier; None for anything else."""
    if not is_carrier(text) or (isinstance(text, Long) and len(text) > 2 * CARRIER_BYTES):
        return None
    found = plain(text).translate(_STANDARD)
    try:
        if found.startswith(PLAIN_MARK):
            value = loads(_decoded(found[len(PLAIN_MARK) :]))
        else:
            value = loads(_decoded(found).removeprefix(PLAIN_MARK.encode()))
    except (ValueError, RecursionError):
        return None
    return _seal(value)


_STANDARD: Final = str.maketrans("-_", "+/")


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except binascii.Error as exc:
        raise ValueError from exc


def _seal(value: Any) -> Seal | None:
    if not isinstance(value, dict):
        return None
    maker, model, kind = (value.get(key) for key in ("p", "m", "k"))
    if not (isinstance(maker, str) and isinstance(model, str) and isinstance(kind, str) and maker and "d" in value):
        return None
    return Seal(kind, value["d"], maker, model)
