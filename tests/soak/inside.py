"""ampmap with an eye on what it holds: ``python -m soak.inside FILE ARGUMENTS`` is ``python -m ampmap ARGUMENTS``.

At each USR1 it collects its garbage and writes to FILE what is left, as JSON. Resident memory can't tell a slow leak
from a heap with holes: what is in use can, to a single object. So that none hides in what is remembered, now more of
it and now less, all memories of a bounded size are emptied first; other tests hold them to their bounds. At USR2 malloc
gives back beforehand what it keeps free.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import signal
import sys
from collections import Counter
from contextlib import suppress
from functools import _lru_cache_wrapper
from pathlib import Path
from typing import Any

from ampmap.commands.main import main
from ampmap.http.head_cache import KnownHeads
from ampmap.http.line_cache import Generations, Remade
from ampmap.records.journal import Journal
from ampmap.routing.decide import Decisions

_COUNTED = 400  # types; the rest are rare


class _Mallinfo2(ctypes.Structure):
    """The figures of all arenas of glibc 2.33 and later, mallinfo(3): bytes, except the counts."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()
    ]


def native_bytes() -> tuple[int, int]:
    """Return the bytes that malloc has handed out and those that it keeps free; zeros where it can't tell."""
    try:
        mallinfo2 = ctypes.CDLL(None).mallinfo2
    except AttributeError:
        return 0, 0
    mallinfo2.restype = _Mallinfo2
    told = mallinfo2()
    return told.uordblks + told.hblkhd, told.fordblks


def trim() -> None:
    """Let malloc give its free pages back to the kernel, where the C library can."""
    with suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def forget() -> None:
    """Empty the memories whose size is bounded; caches without a bound keep what they hold."""
    gc.unfreeze()  # the collector knows nothing of what was there at the start, which is where these memories are
    for each in gc.get_objects():
        if isinstance(each, _lru_cache_wrapper):
            if each.cache_parameters()["maxsize"] is not None:
                each.cache_clear()
        elif isinstance(each, Generations):
            each.new, each.old = {}, {}
        elif isinstance(each, KnownHeads):
            each.forget()
        elif isinstance(each, Remade):
            each.clear()
        elif isinstance(each, Decisions):
            each.made.clear()
        elif isinstance(each, Journal):
            each.uncovered.clear()
            each.uncovered_in.clear()


def holdings() -> dict[str, Any]:
    """Count what is in use when all garbage has gone, and all that is remembered up to a bound."""
    forget()
    gc.collect()
    blocks, (native, free) = sys.getallocatedblocks(), native_bytes()  # before the counting itself takes any
    types = Counter(f"{type(each).__module__}.{type(each).__qualname__}" for each in gc.get_objects())
    return {"blocks": blocks, "native": native, "native_free": free, "types": dict(types.most_common(_COUNTED))}


def _watched(file: Path) -> None:
    turn = 0

    def write(number: int, _: object) -> None:
        nonlocal turn
        turn += 1
        if number == signal.SIGUSR2:
            trim()
        beside = file.with_suffix(".new")
        beside.write_text(json.dumps({"turn": turn, **holdings()}))
        os.replace(beside, file)

    for number in (signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, write)


if __name__ == "__main__":
    _watched(Path(sys.argv[1]))
    sys.exit(main(sys.argv[2:]))
