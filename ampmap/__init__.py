"""ampmap: a small local HTTP proxy that maps the model names coding agents ask for to models that you can serve.

The rooms, from the ground up; each imports only from rooms below it, and a test holds it to that:

=====================================================  ================================================================
errors, settings                                       words for failures and places; what can be set, as frozen values
headers, target, mapping, jsonbytes, body, reply       pure: field lines, paths, rules, JSON as bytes
router, credentials, gate, errorbody, outbound, ...    pure: who serves, who may, what an upstream is sent
parser, stream, wire, dial, pool, journal, amp         I/O: h11, asyncio transports, TLS, connections, records
service, admin, relay, exchange, server                one proxy: its state, one request, its listeners
configfile and its rooms, explain, cli, demo           the program around it
=====================================================  ================================================================

``running`` embeds a proxy in a program or a test; ``serve`` runs one until it is told to stop.
"""

from __future__ import annotations

__version__ = "0.1.0"
