"""The soak: a real ampmap between many clients and five providers, for as long as one likes, with faults thrown in.

``make soak`` runs it. Nothing here is a test that pytest collects; ``tests/test_soak.py`` runs a few seconds of it.

* ``traffic``  what is asked for, and which bytes have to arrive: pure, from a seed
* ``wire``     HTTP/1.1 on asyncio streams, for both ends
* ``upstream`` a stand-in provider, or Amp, as a process of its own that does as each request tells it
* ``caller``   sends one planned request and sees what comes back
* ``verdict``  what may come back, and what is a finding: pure
* ``proxy``    ampmap as a process, its configuration, reloads, and its upstreams, killed and started again
* ``inside``   ampmap with an eye on its heap
* ``numbers``  samples of ``/proc`` and ``/_ampmap/metrics``, and whether they are flat
* ``picture``  the samples as SVG; ``report`` the same as Markdown and CSV
* ``run``      all of it together
"""
