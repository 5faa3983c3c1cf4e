"""What differs between the wire formats (Anthropic Messages, OpenAI Chat and Responses, Gemini). Pure.

* ``images``: whether the last user message has an image
* ``offered_tools``: the tools that a request offers
* ``model_page``: a page of a provider's list of models
"""
