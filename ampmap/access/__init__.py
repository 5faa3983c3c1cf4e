"""Who may call, and which credential goes where. Pure.

* ``gate``: web pages, host names, loopback-only routes, client keys
* ``credentials``: keys that clients show, and those that upstreams are shown

Every web page that a user opens can reach a proxy on loopback. So ``gate`` refuses requests of other origins' pages
(``Origin``, ``Sec-Fetch-Site``), and without ``api-keys`` a ``Host`` that is not this proxy's (DNS rebinding). Amp's
pages pass through the proxy and have its origin, so pages of that origin may call Amp's server and nothing else:
ampmap's own pages have a host name of their own, ``ampmap.localhost``.

A local provider never gets a client's key, cookie or Amp token (except the client's own login, where its ``auth`` is
``client``); Amp never gets a key that is not Amp's. Identity fields (``X-Forwarded-*``, ``Forwarded``, ``Via``,
``X-Real-IP``) are neither passed on nor added. A client that closes or half-closes its connection after its request
counts as gone, and its upstream request is cancelled at once.

Who asks, and for what; the first row that fits counts:

 1. anyone
    ``/_ampmap/health``, ``/_ampmap/ready``: served
 2. without ``api-keys``, not over a unix socket: a ``Host`` that is no name of this proxy (DNS rebinding)
    anything else: 421
 3. anyone, by the ``Host`` ``ampmap.localhost``
    Amp's own pages, models, model lists: 421
 4. a page of another origin
    anything: 403
 5. a browser that fetches ahead what a page may lead to (``Sec-Purpose: prefetch``)
    anything: 403
 6. a browser that comes from another site to a page as a whole
    anything but Amp's own pages: 403
 7. a page of ``allowed-origins``
    ``OPTIONS``, the preflight: 204, no key asked for
 8. anyone else
    ``OPTIONS``: 403
 9. a browser, by another ``Host`` than ``ampmap.localhost``
    other pages under ``/_ampmap/``: 403
10. a page of the proxy's own origin: Amp's pages are such
    models, model lists: 403
11. another machine
    Amp's own pages, other pages under ``/_ampmap/``: 403, unless ``amp-restrict-management-to-localhost: false``
12. no key, or a wrong one, where ``api-keys`` are set
    anything but the page ``/_ampmap/`` itself, which asks for a key: 401
13. anyone else (no browser, a typed address, the proxy's own page, an allowed one, a navigation to Amp's pages)
    a path that is no route: 404
14. the same
    models, model lists, Amp's own pages, ``/_ampmap/``, ``/``: served
"""
