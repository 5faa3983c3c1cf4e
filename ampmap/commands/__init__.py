"""The command line: one command's own code, and what commands share.

* ``main``: options and environment in, an exit code out
* ``process``: the process itself: streams, limits, signals, its end; ``occupant``: who holds a taken port
* ``check``: everything that can be said of a configuration
* ``banner``: what ``serve`` prints; ``init``: a starter configuration and the lines that point agents here
* ``availability``: who can be reached, for ``explain``
* ``demo``: the main job on ``stand_in`` providers
"""
