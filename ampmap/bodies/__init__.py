"""Find and edit JSON and event streams as bytes: no body is parsed and written again. Pure; it knows no vendor.

* ``find_model``: the place of the top-level ``"model"`` of a request
* ``members``: top-level members to be changed, added or left out
* ``edits``: a body with its edits made, in pieces to be sent
* ``json_walk``: parts of a JSON text with their places, in steps; ``json_skip``: past values too large for one step
* ``json_scan``: what the readers share, and a scanner for JSON that streams by
* ``rename``: the requested model's name given back in a reply, whole or as events
"""
