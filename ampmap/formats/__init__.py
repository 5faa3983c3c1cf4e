"""All that is known of each wire format. Pure.

A further format is one module beside these and one line in ``registry``.

* ``base``: the interface of a format, ``WireFormat``
* ``anthropic``, ``openai_chat``, ``openai_responses``, ``gemini``: one format each
* ``registry``: the formats by their names in the configuration
* ``samples``: what the sample replies of stand-in upstreams are made of
* ``images``: whether the last user message has an image
* ``offered_tools``: the tools that a request offers
* ``model_page``: a page of a provider's list of models
"""
