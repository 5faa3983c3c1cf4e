"""Who may call, and which credential goes where. Pure.

* ``gate``: web pages, host names, loopback-only routes, client keys
* ``credentials``: keys that clients show, and those that upstreams are shown
"""
