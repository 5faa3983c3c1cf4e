"""The works, by name, in the order in which they are run."""

from __future__ import annotations

from collections.abc import Callable

from ..bench import Bench
from ..figures import Measure
from .single import single
from .small import small

Work = Callable[[Bench], list[Measure]]

WORKS: dict[str, Work] = {"small": small, "single": single}
