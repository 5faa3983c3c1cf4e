"""Serve one request: everything between a parsed head and the record.

* ``state``: what a running proxy knows; ``context``: what belongs to one request
* ``exchange``: gates and the choice of a route; ``model_route``, ``amp_route`` and ``model_list``: the routes;
  ``upgrade``: a tunnel after 101
* ``request_body``: the body taken in and looked into; ``upstream_request``: the request as the upstream gets it
* ``relay``: the motion of bytes; ``relay_fast``: its short way for replies; ``peek``: a look before a head leaves
* ``responses``: what ampmap answers by itself
* ``discovery``: lists of models kept fresh; ``provider_lists``: one list asked for
* ``reload``: a saved configuration put in force
"""
