"""What only Amp's clients and its server need.

* ``secrets``: Amp's own login on this machine; ``cookies``: the names of cookies that Amp has set
* ``repairs``: what is taken out of Anthropic requests of Amp's clients
* ``tool_names``: tools get the casing of the request back; ``listed_tools``: the tools that a request lists
* ``gunzip``: replies decoded as they stream by
"""
