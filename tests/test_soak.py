"""The soak itself, for a few seconds: it measures, it judges, it writes, and it repeats what it did."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import pytest
from soak.inside import holdings
from soak.numbers import Sample, grown, trends

TESTS = Path(__file__).parent
ENV = {**os.environ, "PYTHONPATH": f"{TESTS}{os.pathsep}{TESTS / 'support'}"}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the soak reads /proc: it runs on Linux only")
def test_a_short_soak_finds_nothing_and_writes_what_it_was_like(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "soak",
        "--seconds",
        "6",
        "--seed",
        "7",
        "--megabytes",
        "1",
        "--out",
        str(tmp_path),
    ]
    done = subprocess.run(command, env=ENV, cwd=tmp_path, capture_output=True, text=True, timeout=90, check=False)

    assert 0 == done.returncode, done.stdout + done.stderr
    told = json.loads((tmp_path / "soak.json").read_text())
    assert not told["findings"]
    assert sum(told["kinds"].values()) == sum(told["outcomes"].values()) > 50
    assert (tmp_path / "soak.svg").read_text().startswith("<svg")
    assert "| open files |" in (tmp_path / "soak.md").read_text()


def floors(*, objects: float = 0.0, resident: float = 0.0, kept_free: float = 0.0) -> list[Sample]:
    """Return the idle moments of half an hour in which so much was added from each to the next."""
    return [
        Sample(
            at=60.0 * number, floor=True, rss_mib=50 + resident * number, pss_mib=40 + resident * number,
            native_mib=7.0, native_free_mib=20 + kept_free * number,
            objects=147_000 + round(objects * number) + 150 * (number % 2),
            fds=12, sockets=5, tasks=6, threads=13,
        )
        for number in range(31)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("samples", "rising"),
    [
        (floors(), set()),
        (floors(objects=60), {"objects"}),  # one in fifty requests leaves an object behind: five kilobytes a minute
        (floors(resident=1, kept_free=1.1), set()),  # a heap with holes
        (floors(resident=1), {"rss_mib", "pss_mib"}),
    ],
)
def test_a_slow_leak_is_told_from_a_heap_with_holes(samples: list[Sample], rising: set[str]) -> None:
    assert rising == {trend.name for trend in trends(samples) if not trend.flat}


def bounded_and_unbounded() -> None:
    bounded, unbounded = lru_cache(maxsize=10_000)(bytes), lru_cache(maxsize=None)(bytes)
    before = holdings()["blocks"]
    gc.freeze()  # as a proxy does when it listens
    for number in range(1000, 3000):
        bounded(number)
    assert holdings()["blocks"] - before < 500
    for number in range(1000, 3000):
        unbounded(number)

    assert holdings()["blocks"] - before >= 2000
    assert (0, 2000) == (bounded.cache_info().currsize, unbounded.cache_info().currsize)


def left_behind() -> None:
    before = holdings()
    left = [[None] for _ in range(5000)]
    after = holdings()

    assert 10_000 <= after["blocks"] - before["blocks"] < 12_000  # each list has its items in a block of their own
    assert "builtins.list" == grown(before["types"], after["types"])[0][0]
    assert 5000 == len(left)


@pytest.mark.parametrize("what", [bounded_and_unbounded, left_behind], ids=lambda what: what.__name__)
def test_a_leak_is_told_from_a_memory_of_a_bounded_size_and_named(what: Callable[[], None]) -> None:
    """In a process of its own: to walk through all objects of a whole run takes seconds."""
    code = f"import test_soak; test_soak.{what.__name__}()"

    done = subprocess.run([sys.executable, "-c", code], env=ENV, capture_output=True, text=True, timeout=90)

    assert 0 == done.returncode, done.stderr
