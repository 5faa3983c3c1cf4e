"""Small programs made with vendors' SDKs: given MODEL and PROMPT, each streams a turn in which the model runs commands.

They run under the Python or Node.js of their own environment, not under the tests'.
"""
