"""How much of the generated families a run takes: a sample that is the same in each run, or all of it.

A test marked ``sample(share)`` is a family of its parameters. One that takes a sample by itself, with ``sampled`` or
``examples``, is marked ``sample``, by which ``make test-families`` knows it, unless it is hypothesis's.
``AMPMAP_ALL=1`` takes all of it; ``AMPMAP_SEED`` is any text, and another one takes another sample.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Mapping
from hashlib import blake2b
from operator import attrgetter
from typing import Any, TypeVar

import pytest

_T = TypeVar("_T")


def takes_all(env: Mapping[str, str] = os.environ) -> bool:
    return env.get("AMPMAP_ALL", "") not in ("", "0")


def seed(env: Mapping[str, str] = os.environ) -> str:
    return env.get("AMPMAP_SEED") or "1"


def sampled(
    cells: Iterable[_T], share: float, name: Callable[[_T], Any] = str, env: Mapping[str, str] = os.environ
) -> list[_T]:
    """Return ``share`` of the cells, one at least, in their order: those whose names have the lowest hashes."""
    cells = list(cells)
    if takes_all(env):
        return cells
    ranks = [blake2b(f"{seed(env)} {name(cell)}".encode(errors="replace")).digest() for cell in cells]
    last = sorted(ranks)[: math.ceil(share * len(cells))][-1:]
    return [cell for cell, rank in zip(cells, ranks, strict=True) if [rank] <= last]


def unsampled(items: Iterable[pytest.Item], env: Mapping[str, str] = os.environ) -> list[pytest.Item]:
    """Return the tests of marked families that are not in their family's sample."""
    families: dict[str, list[pytest.Item]] = {}
    shares: dict[str, float] = {}
    for item in items:
        if (mark := item.get_closest_marker("sample")) is not None and mark.args:
            family = item.nodeid.partition("[")[0]
            families.setdefault(family, []).append(item)
            shares[family] = mark.args[0]
    return [
        item
        for family, members in families.items()
        for item in set(members).difference(sampled(members, shares[family], attrgetter("nodeid"), env))
    ]


def examples(whole: int, sample: int = 20, env: Mapping[str, str] = os.environ) -> int:
    """Return how many examples hypothesis makes up."""
    return whole if takes_all(env) else min(whole, sample)
