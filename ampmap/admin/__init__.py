"""Pages about the proxy, under ``/_ampmap/``.

* ``pages``: health, status, the last requests and others, made for each request
* ``metrics``: counters and histograms for Prometheus
* ``events``: records and the status as a stream of events
* ``live``: ``live.html``, a page for people that shows those events

``records.journal`` counts requests, so that the status and the metrics agree. To add a number: count it there, and name
it in ``pages.status_of``, ``metrics``, ``live.html`` and the table in ``examples/README.md``.
"""
