"""Certificates that a first start makes."""

import datetime as dt
import ssl
import stat
from pathlib import Path

import pytest
from cryptography import x509

from authproxy.certificates import make_certificates
from authproxy.server.tls_context import load_tls

NOW = dt.datetime.now(dt.UTC)
NAMES = ["localhost", "127.0.0.1", "::1", "box.example"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_certificates(tmp_path, NAMES, now=NOW)
    return tmp_path


def test_the_certificate_names_every_host(folder: Path) -> None:
    leaf = x509.load_pem_x509_certificate((folder / "server.pem").read_bytes())
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost", "box.example"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]


def test_a_client_that_has_the_authority_verifies_the_server(folder: Path) -> None:
    """A handshake in memory, as strict as OpenSSL can be."""
    client_context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    client_context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_STRICT
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(to_client, to_server, server_hostname="localhost")
    server = load_tls(folder / "server.pem", folder / "server.key").wrap_bio(to_server, to_client, server_side=True)
    done = set()
    for _ in range(10):
        for side in (client, server):
            try:
                side.do_handshake()
                done.add(side)
            except ssl.SSLWantReadError:
                continue
    assert done == {client, server}
    assert client.version() == "TLSv1.3"


@pytest.mark.parametrize("name", ["ca.key", "server.key"])
def test_private_keys_are_their_owners_alone(folder: Path, name: str) -> None:
    assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
