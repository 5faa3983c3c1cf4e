"""All that ampmap knows of each wire format, and translation between them. Pure.

The other packages ask ``registry`` for a format by its name and know no vendor. A further format is one module or
package beside these, with a ``WireFormat``, and one line in ``registry``; and one line in ``commands.agents.PROGRAMS``,
which says by which variables a program that speaks it is pointed at ampmap. Tests that run over all formats say which
table of theirs lacks a row. To be translated it needs a ``Dialect`` (``tests/formats/test_invented_dialect.py`` has a
small one; ``tests/formats/test_every_pair.py`` asks for all of it: calls, results, limits, errors):

* its reader of requests gets the values of ``bodies.json_tree``, gives its messages to ``turns`` in their order, the
  system prompt first, and returns a ``Conversation``
* its writer of requests asks ``tools`` which tools to send, and ends with ``bodies.texts.dump``
* its reader of replies keeps to the order of ``events``, on which its writer of replies may rely

* ``base``: the interface of a format, ``WireFormat``
* ``anthropic``, ``openai_chat``, ``openai_responses``, ``gemini``: one format each
* ``openai_models``: what OpenAI's models take, in both of its formats
* ``registry``: the formats by their names in the configuration
* ``conversation``, ``events``: a request and a reply in no vendor's form
* ``translate``: the hub, where one format's reader meets another's writer
* ``profile``: how providers of one format differ
* ``carrier``: how one vendor's seal travels through another vendor's format; ``foreign_seals``: taken out where
  nothing is translated
* ``turns``: turns in the order that a conversation promises
* ``tools``: the tools that a provider gets; ``arguments``: those of calls; ``identifiers``: ids and names that fit
* ``repeated``: events of a reply that are known without being parsed
* ``kept``: a limit on the bytes that readers and writers keep of a reply; ``bounds``: on the values in its JSON
* ``media``: images and documents between data URLs and their parts
* ``marks``: cache marks, and how many of them a provider takes
* ``schemas``: JSON schemas in the form that providers take
* ``effort``: how much a model is to think, in a provider's words
* ``counting``: about how many tokens a request has
* ``client_fields``: header fields that are meant for the client's own vendor alone
* ``usage``: token counts, as every format reads them
* ``failures``: errors of providers, read from whatever body they come in
* ``samples``: pieces of the sample replies that stand-in upstreams send
* ``request_members``: where a body has the facts that rules look at
* ``images``: whether the last user message has an image
* ``offered_tools``: the tools that a request offers
* ``model_page``: a page of a provider's list of models
"""
