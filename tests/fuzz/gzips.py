"""A reply that may be gzip without saying so.

The first line steers: its first byte tells whether the end is known with the last piece (``l``), or only behind it, the
others are the lengths of the pieces. ``z`` in the place of ``l``, and ``Z`` of another, has the rest compressed first.
Held to it: gzip comes out as the gzip module decodes it, at any cut; what is none passes as it came; what is damaged
passes as it came, or raises behind a beginning of what it holds. No piece is empty, and none that was decoded is large.
"""

from __future__ import annotations

import gzip
import zlib

from ampmap.amp.gunzip import PIECE_BYTES, Gunzip, begins_gzip
from ampmap.errors import UpstreamProtocolError

from . import control, cut

_MOST_BYTES = 4 * 1024 * 1024


def check(data: bytes) -> None:
    """Decode a reply in one piece and in many."""
    steer, reply = control(data)
    if steer[:1] in (b"z", b"Z"):
        reply = gzip.compress(reply, mtime=0)
    known_last = steer[:1] in (b"l", b"z")
    expected = _decoded(reply)
    for pieces in ([reply] if reply else [], cut(reply, steer[1:])):
        left, error, is_gzip = _run(pieces, known_last)
        if not begins_gzip(reply):
            assert (left, error, is_gzip) == (reply, False, False)
        elif expected is not None:
            assert (left, error, is_gzip) == (expected, False, True)
        elif error:
            assert is_gzip
            assert _beginning(reply).startswith(left)
        else:
            assert (left, is_gzip) == (reply, False)


def _run(pieces: list[bytes], known_last: bool) -> tuple[bytes, bool, bool | None]:
    gunzip, left = Gunzip(), b""
    try:
        for number, piece in enumerate(pieces):
            for found in gunzip.feed(piece, last=known_last and number == len(pieces) - 1):
                assert found
                assert len(found) <= PIECE_BYTES or not gunzip.is_gzip
                left += found
        left += gunzip.finish()
    except UpstreamProtocolError as exc:
        assert str(exc)
        return left, True, gunzip.is_gzip
    return left, False, gunzip.is_gzip


def _decoded(reply: bytes) -> bytes | None:
    """Return what whole and undamaged gzip holds, of one member or several; None for anything else."""
    found = b""
    while reply:
        decoder = zlib.decompressobj(31)
        try:
            found += decoder.decompress(reply, _MOST_BYTES)
        except zlib.error:
            return None
        if not decoder.eof:
            return None
        reply = decoder.unused_data
    return found


def _beginning(reply: bytes) -> bytes:
    """Return what can be decoded of damaged gzip, byte by byte up to the damage."""
    found = b""
    decoder = zlib.decompressobj(31)
    try:
        for at in range(len(reply)):
            found += decoder.decompress(reply[at : at + 1])
            if decoder.eof:
                decoder = zlib.decompressobj(31)
    except zlib.error:
        pass
    return found
