"""Sockets: byte streams with deadlines, listeners, addresses, the service manager. It knows no HTTP.

``server`` opens the listeners and hands each connection that they accept to ``proxy``; ``http`` reads and writes its
messages on the streams, and ``http.dialer`` makes streams to upstreams.

* ``stream``: byte streams over asyncio transports; ``client_stream`` is the one of a client's connection
* ``deadlines``: the waits of a stream, and the one timer that ends them
* ``listener``: listening sockets, the accept loop, one task per connection
* ``address``: hosts, ports, base URLs and addresses to listen on
* ``lookup``: name look-ups, one thread for each name
* ``signals``: TERM, INT and HUP, received by a thread of their own
* ``systemd``: notices to the service manager, and sockets that it has opened
"""
