"""Python's garbage collector, told to wait while much is built that is not garbage."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_collections() -> Iterator[None]:
    """Collect no cycles within: reference counts alone free what is given up.

    The collector walks through all objects each time that their number has grown by a quarter, with every thread
    stopped. While ten thousand rules are read, which makes half a million objects and hardly a cycle, that is three
    quarters of the time, in pauses of a tenth of a second.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def retain_all() -> None:
    """Have all objects that there are now left out of every later collection; reference counts still free them.

    A program's modules are thirty thousand objects that stay. To walk through them takes ten milliseconds and more, in
    which no stream gets on.
    """
    gc.freeze()
