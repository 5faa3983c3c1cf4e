"""Serve one request: everything between a parsed head and the record.

``server`` runs one ``exchange`` for each request. The exchange asks ``routing`` and ``access``, takes upstream
connections from ``http.pool``, and writes one record at the end.

* ``state``: the state of a running proxy; ``context``: the state of one request
* ``exchange``: gates and the choice of a route; ``model_route``, ``amp_route`` and ``model_list``: the routes;
  ``provider_route``: asks the providers of a model route, one after the other; ``upgrade``: the tunnel after a 101
* ``translation``: writes a request in a provider's format; ``translated_reply``: brings the reply back
* ``request_body``: reads a model route's body; ``upstream_request``: makes the request for the upstream
* ``turns``: runs long work on the event loop without blocking other requests
* ``relay``: sends a request and streams its reply; ``relay_fast``: the fast path for reply bodies; ``peek``: detects
  replies that fail before their head is sent on; ``reply_head``: the head of a reply, with ``ampmap-served-by``
* ``usage``: reads the token counts that a reply states; ``given``: how much of it the client was given
* ``responses``: sends errors, pages and CORS answers of ampmap itself
* ``discovery``: keeps providers' lists of models fresh; ``provider_lists``: asks one provider for its list
* ``reload``: applies a saved configuration
"""
