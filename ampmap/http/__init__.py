"""HTTP/1.1: heads parsed by h11, header rules, connections to clients and upstreams, dialing, pooling.

``proxy`` reads requests from a ``client_connection``, takes an ``upstream_connection`` from the ``pool`` or the
``dialer``, and copies between the two. Both sit on a stream of ``net`` and raise the errors of ``errors`` only.

* ``headers``: which field lines cross a proxy, what frames a message, how a head is written
* ``query``: the parameters of a query
* ``parser``: heads and bodies by h11; ``line_cache`` and ``head_cache``: lines and heads that it has read before;
  ``chunked``: chunks of the usual form without h11; ``costly``: input that would take long to read
* ``connection``: what both sides share; ``client_connection`` and ``upstream_connection``: the two sides
* ``dialer``: TCP, proxies of the environment, TLS; ``pool``: idle connections for the next request
* ``decoding``: content codings of request bodies
"""
