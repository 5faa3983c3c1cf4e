"""The entry point of ``python -m ampmap`` and of the ``ampmap`` command.

Agents run inside strangers' repositories, where a planted ``h11.py`` would run with the user's keys. So this module
removes the working directory from ``sys.path`` before it imports anything that could be planted there. ``python -m``
itself has imported ``runpy`` and more by then: only ``python -P -m ampmap``, or the ``ampmap`` command, protects those.
"""

import os  # frozen into Python 3.11 and later, and loaded before any directory is looked into
import sys


def _forget_working_directory() -> None:
    """Remove the working directory from ``sys.path``: ``-m`` and empty entries in PYTHONPATH put it there.

    Both stand before the standard library. Entries after it belong to the installation and stay.
    """
    try:
        here = os.getcwd()
    except OSError:  # it has been removed
        here = ""
    library = os.path.dirname(os.__file__)
    end = sys.path.index(library) if library in sys.path else len(sys.path)
    sys.path[:end] = [entry for entry in sys.path[:end] if entry not in ("", here)]


_forget_working_directory()

import gc  # noqa: E402
import signal  # noqa: E402

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C during the imports ends the process without a traceback
if hasattr(signal, "pthread_sigmask"):
    # A HUP that arrives during the start must not end the proxy; it stays pending and causes a reload.
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGHUP,))

gc.disable()  # the imports make 60,000 objects and drop hundreds: to look for these takes a tenth of the start
from .commands.main import main  # noqa: E402

gc.freeze()
gc.enable()

if __name__ == "__main__":
    raise SystemExit(main())
