"""Measures ampmap beside other proxies, in one run on one machine: ``make bench``.

The proxy under test has a core of its own; the upstream and the load share the other. What counts is the CPU time of
the proxy's processes and the delay that it adds to a direct connection, so a load written in Python does no harm: it
costs the proxy nothing. Proxies take turns, round after round, and figures are compared within a round.

The modules, from the ground up:

* ``figures``: values of several rounds, their median and spread, ratios, targets, the check against a baseline; pure
* ``bodies``: requests and canned replies, the same in every run; pure
* ``machine``: cores, CPU clocks, memory, processes
* ``upstream``: a provider as a process of its own, and the handle on it
* ``load``: clients
* ``floors``: what h11, ``json.loads`` and TLS cost alone, on the proxy's core
* ``relay``: a proxy on asyncio that reads nothing, the floor of those that do
* ``proxies``: ampmap as a process; ``nginx``, with and without Lua; ``peers`` from PyPI and npm
* ``probe``: ampmap with a watch on its event loop; ``inside``: its parts, called directly
* ``bench``: one run and who takes part; ``works``: what is measured, by name
* ``report`` (tables, JSON) and ``picture`` (SVG)
"""
