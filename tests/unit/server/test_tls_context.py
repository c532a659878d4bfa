"""Every way in which the files of a TLS context can be wrong."""

import datetime as dt
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from authproxy.certificates import make_certificates
from authproxy.errors import StartError
from authproxy.server.tls_context import load_tls

NOW = dt.datetime.now(dt.UTC)
NAMES = ["localhost", "127.0.0.1", "::1", "box.example"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_certificates(tmp_path, NAMES, now=NOW)
    return tmp_path


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
        "contains neither PEM nor DER, expected certificates in PEM",
    ),
    (
        "no key in it",
        lambda f: (f / "server.key").write_text("hello"),
        "contains neither PEM nor DER, expected a private key",
    ),
    (
        "UTF-16, as PowerShell writes it",
        lambda f: (f / "server.pem").write_text((f / "server.pem").read_text(), "utf-16"),
        "is UTF-16, as PowerShell's > writes it",
    ),
    ("another key", lambda f: _replace_key(f / "server.key"), "does not match the certificate"),
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
