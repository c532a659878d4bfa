"""Certificates that a first start makes, and every way in which files can be wrong."""

import datetime as dt
import ssl
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from authproxy.certificates import load_tls, make_certificates
from authproxy.errors import StartError

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


def _encrypt(key: Path) -> None:
    private = serialization.load_pem_private_key(key.read_bytes(), None)
    key.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"x"),
        )
    )


def _replace_key(key: Path) -> None:
    key.write_bytes(
        ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )


WRONG = [
    ("missing certificate", lambda f: (f / "server.pem").unlink(), "http.tls.certificate: cannot read"),
    ("missing key", lambda f: (f / "server.key").unlink(), "http.tls.key: cannot read"),
    (
        "no certificate in it",
        lambda f: (f / "server.pem").write_text("hello"),
        "holds neither PEM nor DER, where certificates in PEM",
    ),
    (
        "no key in it",
        lambda f: (f / "server.key").write_text("hello"),
        "holds neither PEM nor DER, where a private key",
    ),
    (
        "UTF-16, as PowerShell writes it",
        lambda f: (f / "server.pem").write_text((f / "server.pem").read_text(), "utf-16"),
        "is UTF-16, as PowerShell's > writes it",
    ),
    ("another key", lambda f: _replace_key(f / "server.key"), "does not fit the certificate"),
    ("encrypted key", lambda f: _encrypt(f / "server.key"), "is encrypted; decrypt it"),
    (
        "expired",
        lambda f: make_certificates(f, NAMES, now=NOW - dt.timedelta(days=1000)),
        "expired on",
    ),
]


@pytest.mark.parametrize(("what", "spoil", "message"), WRONG, ids=[row[0] for row in WRONG])
def test_wrong_files_are_one_clear_sentence(folder: Path, what: str, spoil: object, message: str) -> None:
    assert callable(spoil)
    spoil(folder)
    with pytest.raises(StartError) as caught:
        load_tls(folder / "server.pem", folder / "server.key")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
