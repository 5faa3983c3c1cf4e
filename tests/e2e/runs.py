"""All the runs of a session, two at a time: begun before the first test looks at one, each made once."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from .clients import Lacking


class Runs:
    """Runs by their keys. A context: leaving it drops the runs that have not begun."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(2)
        self._made: dict[Hashable, Future[Any]] = {}

    def __enter__(self) -> Runs:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def begin(self, key: Hashable, run: Callable[[], Any]) -> Future[Any]:
        """Return the run's future; ``run`` is called once for a key."""
        if key not in self._made:
            self._made[key] = self._pool.submit(run)
        return self._made[key]

    def get(self, key: Hashable, run: Callable[[], Any]) -> Any:
        """Return what was seen; skip the test where the machine lacks a part, which its reason names."""
        try:
            return self.begin(key, run).result()
        except Lacking as exc:
            pytest.skip(str(exc))
