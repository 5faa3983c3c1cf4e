"""``python -m ampmap``, and the command of that name.

Agents run inside strangers' repositories, where a planted ``h11.py`` would run with the user's keys. So nothing that
could lie in the working directory is imported before this directory is off ``sys.path``. ``runpy``, with which
``python -m`` starts, has imported modules of its own by then: those are kept out by ``python -P -m ampmap``, or by the
``ampmap`` command, which looks for nothing in the working directory.
"""

import os  # frozen into Python 3.11 and later, and loaded before any directory is looked into
import sys


def _forget_working_directory() -> None:
    """Take the working directory off ``sys.path``: ``-m`` puts it there, and so does an empty entry in PYTHONPATH.

    Both stand before the standard library. What comes after belongs to the installation, wherever Python was started.
    """
    try:
        here = os.getcwd()
    except OSError:  # it has been removed
        here = ""
    library = os.path.dirname(os.__file__)
    end = sys.path.index(library) if library in sys.path else len(sys.path)
    sys.path[:end] = [entry for entry in sys.path[:end] if entry not in ("", here)]


_forget_working_directory()

import signal  # noqa: E402

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until it can be handled, Ctrl-C ends this without a traceback
if hasattr(signal, "pthread_sigmask"):
    # From the first moment on: HUP must not end a proxy that starts, but have it reload once it runs.
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGHUP,))

from .commands.main import main  # noqa: E402

if __name__ == "__main__":
    raise SystemExit(main())
