"""Fuzz targets: small modules, each with one pure ``check(data)`` that raises when a property is broken.

``fuzz.run`` (``make fuzz``) drives them by coverage, with atheris; ``test_fuzz_corpus`` replays their seeds and past
findings, which are in ``corpus/TARGET/``, and feeds them what hypothesis makes up, without atheris.

A target's data is text wherever it can be, so that a finding can be read and a seed be written by hand. Where a target
needs more than the bytes themselves, it takes the rest from the first line: see ``control``.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"

TARGETS = ("heads", "upstreams", "bodies", "replies", "asked", "answers", "gzips", "configs", "edits")
"""The modules that have a ``check``, in the order in which they are run."""


def control(data: bytes) -> tuple[bytes, bytes]:
    """Split the first line, which steers a target, from the bytes that are put to the test."""
    line, _, rest = data.partition(b"\n")
    return line, rest


def cut(data: bytes, steps: bytes) -> list[bytes]:
    """Cut ``data`` into pieces whose lengths are the bytes of ``steps``, again and again; no piece is empty.

    After three hundred cuts, which is enough for what takes long to feed, the rest is one piece.
    """
    places = [0]
    lengths = [step for step in steps[:16] if step] or [len(data)]
    while places[-1] < len(data):
        step = lengths[(len(places) - 1) % len(lengths)] if len(places) <= 300 else len(data)
        places.append(min(len(data), places[-1] + step))
    return [data[start:end] for start, end in pairwise(places)]


def seeds(target: str) -> list[Path]:
    """Return the files of a target's corpus: hand-made seeds and past findings."""
    return sorted((CORPUS / target).iterdir())
