"""What only Amp's clients and Amp's server need.

``proxy`` uses it for requests of Amp's clients, for the replies to them, and for Amp's login. ``gunzip`` is used for
the replies of other providers too.

* ``secrets``: Amp's login on this machine; ``cookies``: the names of the cookies that Amp has set
* ``tool_names``: restores the request's casing of tool names in replies
* ``gunzip``: decodes replies while they stream
"""
