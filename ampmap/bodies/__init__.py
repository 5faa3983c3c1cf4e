"""Find and edit JSON and event streams as bytes. Pure; it knows no vendor.

``proxy`` uses it to replace the model's name in requests and to filter replies; ``formats`` uses it to read and write
translated requests and events.

* ``steps``: long work in steps, between which other tasks can run
* ``find_model``: finds the top-level ``"model"`` of a request
* ``search``: tells whether words stand in a body
* ``members``: finds the edits that change, add or remove top-level members
* ``edits``: applies edits to a body, and returns it in pieces to be sent
* ``json_walk``: reads the parts of a JSON body with their places; ``json_skip``: skips values too large for one step
* ``json_bounds``: how many values a request may have in one place
* ``json_reply``: reads the JSON of a large reply in steps
* ``json_tree``: reads a request's JSON into values for translation; ``texts``: the long texts and raw JSON in them
* ``event_stream``: splits an event stream into its events
* ``json_scan``: follows JSON that streams by, and helpers that all readers share
* ``filters``: the interface of filters for a reply's bytes
* ``last_event``: tells whether a stream has come to its last event
* ``stated``: finds small objects in a reply, such as its token counts
* ``rename``: replaces model names in a reply, whole or as events
"""
