"""The command line: one module for each command, and what commands share.

* ``main``: the parser, and which command runs; ``options``: common options, the configuration, complaints
* ``serve``: the proxy, with the ``banner`` that it prints and the ``occupant`` of an address that is taken
* ``check``: errors and warnings of a configuration; ``explain``: the decision for a model, with ``availability``
* ``rules``: ``map list``, ``add`` and ``remove``; ``init``: a starter configuration
* ``env``: lines of shell that point agents here; ``agents``: the one table of agents
* ``demo``: the main job on ``stand_in`` providers
* ``process``: standard streams, limits, signals, and the end of this process
"""
