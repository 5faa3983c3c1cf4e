"""The works, by name, in the order in which they are run."""

from __future__ import annotations

from collections.abc import Callable

from ..bench import Bench
from ..figures import Measure
from .held import held
from .hostile import hostile
from .large import large
from .memory import memory
from .scale import scale
from .single import single
from .small import small
from .start import start
from .streams import streams
from .translated import translated

Work = Callable[[Bench], list[Measure]]

WORKS: dict[str, Work] = {
    "small": small,
    "single": single,
    "large": large,
    "hostile": hostile,
    "memory": memory,
    "held": held,
    "streams": streams,
    "translated": translated,
    "scale": scale,
    "start": start,
}
