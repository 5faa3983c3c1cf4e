"""HTTP/1.1: heads parsed by h11, header rules, connections to clients and upstreams, dialing, pooling.

* ``headers``: which field lines cross a proxy, what frames a message, heads put together
* ``parser``: heads and bodies by h11; ``line_cache``: lines that it has read before; ``chunked``: chunks of the usual
  form without h11; ``costly``: input that would take long to read
* ``connection``: what both sides share; ``client_connection`` and ``upstream_connection``: the two sides
* ``dialer``: TCP, proxies of the environment, TLS; ``pool``: idle connections for the next request
* ``decoding``: content codings of request bodies
"""
