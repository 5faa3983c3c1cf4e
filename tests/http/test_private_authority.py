"""Private authorities of ``ca-file``: they are trusted on Python 3.13 as on those before it."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from kit import Peer, scripted

from ampmap.http.dialer import Dialer
from ampmap.settings import Hop, Limits, Origin

pytestmark = pytest.mark.usefixtures("nothing_left")


def lenient(authority_key_identifier: bool) -> tuple[bytes, ssl.SSLContext]:
    """Return an authority's PEM, and a server's context with a certificate of it, as ``openssl x509`` makes them."""
    key, server_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a private authority")])
    now = datetime.now(UTC)

    def builder(subject: x509.Name, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        made = x509.CertificateBuilder().subject_name(subject).issuer_name(name).public_key(public)
        made = made.serial_number(x509.random_serial_number())
        return made.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))

    ca = builder(name, key.public_key()).add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    host = builder(x509.Name([]), server_key.public_key())
    host = host.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=True)
    if authority_key_identifier:
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
        host = host.add_extension(identifier, critical=False)
    ca_pem, host_pem = (made.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM) for made in (ca, host))
    key_pem = server_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.LeafCert(key_pem, host_pem, []).configure_cert(context)
    return ca_pem, context


@pytest.mark.parametrize("authority_key_identifier", [True, False])
async def test_a_private_authority_without_a_key_identifier_is_trusted_on_every_python(
    authority_key_identifier: bool, tmp_path: Path
) -> None:
    """Python 3.13 would refuse it: "Missing Authority Key Identifier"."""
    pem, context = lenient(authority_key_identifier)
    (tmp_path / "ca.pem").write_bytes(pem)
    async with scripted(Peer.wait_gone, tls=context) as upstream:
        hop = Hop(Origin("https", "localhost", upstream.origin.port), str(tmp_path / "ca.pem"))
        _, raw = await Dialer({}, Limits(), 5.0).dial(hop)
        raw.abort()


async def test_public_authorities_are_held_to_what_python_asks_of_them() -> None:
    strict = ssl.create_default_context().verify_flags & ssl.VERIFY_X509_STRICT

    assert strict == (await Dialer({}, Limits(), 5.0)._context("")).verify_flags & ssl.VERIFY_X509_STRICT
