"""``python -m ampmap``, and the command of that name."""

import signal

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until it can be handled, Ctrl-C ends this without a traceback
if hasattr(signal, "pthread_sigmask"):
    # From the first moment on: HUP must not end a proxy that starts, but have it reload once it runs.
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGHUP,))

from .collector import no_collections, retain_all

with no_collections():
    from .cli import main

    retain_all()

if __name__ == "__main__":
    raise SystemExit(main())
