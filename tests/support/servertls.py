"""TLS for servers of tests, with certificates of trustme."""

from __future__ import annotations

import ssl

import trustme


def server_tls(cert: trustme.LeafCert) -> ssl.SSLContext:
    """Return a server's context with a certificate of trustme's."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    cert.configure_cert(context)
    return context
