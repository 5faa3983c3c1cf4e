"""The command line: one module for each command, and what commands share.

* ``main``: the parser, and which command runs; ``options``: common options, the configuration, complaints
* ``serve``: the proxy, with the ``banner`` that it prints; ``occupant``: who has taken its address
* ``check``: the ``faults`` of a configuration; ``explain``: the decision for a model, with ``availability``;
  ``explain_request``: what a provider would be sent
* ``doctor``: ``findings`` about the configuration, the port, providers (``provider_checks``), Amp (``amp_checks``) and
  agents (``agent_checks``, with ``agent_settings``, which reads their files)
* ``replay``: ``recorded`` requests decided anew; ``table``: aligned lines
* ``run``: an agent with a proxy of its own, as a ``child`` of this process, with a ``summary`` at its end
* ``rules``: ``map list``, ``add`` and ``remove``; ``init``: finds keys and servers, ``starter``: the file for them
* ``env``: lines of shell that point agents here; ``agents``: the one table of agents
* ``schema``: a JSON Schema of the configuration
* ``demo``: the main job on ``stand_in`` providers, whose replies may be ``scripted``
* ``completions``: files for shells, made when a wheel is built
* ``process``: standard streams, limits, signals, and the end of this process
"""
