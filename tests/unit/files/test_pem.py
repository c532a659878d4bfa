"""What files of keys and certificates hold, and what is said where something else is wanted."""

import json
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from typer.testing import CliRunner

from authproxy.cli import app
from authproxy.errors import StartError
from authproxy.files.pem import PemContent, describe, find_fault
from authproxy.token.foreign import ForeignKeys
from tests.support.certificates import make_chain

MADE = make_chain()
KEY = ec.generate_private_key(ec.SECP256R1())
PUBLIC = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
ENCRYPTED = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))
DER_KEY = KEY.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
OPENSSH = KEY.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
DER = x509.load_pem_x509_certificate(MADE.certificate).public_bytes(Encoding.DER)
REQUEST = (x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(KEY, hashes.SHA256())).public_bytes(
    Encoding.PEM
)
SET = json.dumps({"keys": []}).encode()

HELD = [
    (MADE.certificate, "a certificate"),
    (MADE.key, "a private key"),
    (PUBLIC, "a bare public key"),
    (ENCRYPTED, "an encrypted private key"),
    (REQUEST, "a certificate request, which no authority has signed"),
    (DER, "a certificate in DER"),
    (DER_KEY, "a private key in DER"),
    (KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo), "a bare public key in DER"),
    (OPENSSH, "a public key of OpenSSH"),
    (SET, "a key set in JSON"),
    (b"{}", "JSON"),
    (b"", "nothing"),
    (b"\n", "nothing"),
    (MADE.certificate.decode().encode("utf-16"), "text in UTF-16"),
    (b"hello", "neither PEM nor DER"),
    (b"0" + bytes(300), "neither PEM nor DER"),
]


@pytest.mark.parametrize(("content", "what"), HELD, ids=[row[1] for row in HELD])
def test_what_a_file_holds(content: bytes, what: str) -> None:
    assert describe(content) == what


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (MADE.certificate, PemContent.CERTIFICATES),
        (b"# authorities\n" + MADE.certificate + MADE.authority, PemContent.CERTIFICATES),
        (MADE.key + MADE.certificate, PemContent.CERTIFICATES),
        (MADE.key, PemContent.PRIVATE_KEY),
        (SET, PemContent.KEY_SET),
    ],
)
def test_the_right_file_has_no_fault(content: bytes, wanted: PemContent) -> None:
    assert find_fault(content, wanted) is None


FAULTS = [
    (
        PUBLIC,
        PemContent.CERTIFICATES,
        "contains a bare public key, expected certificates in PEM",
        "name the certificate",
    ),
    (MADE.key, PemContent.CERTIFICATES, "contains a private key, expected", "keep the key private"),
    (DER, PemContent.CERTIFICATES, "contains a certificate in DER, expected", "openssl x509 -inform der"),
    (MADE.certificate[:400], PemContent.CERTIFICATES, "damaged or only half written", ""),
    (MADE.certificate, PemContent.PRIVATE_KEY, "contains a certificate, expected", "are they swapped?"),
    (ENCRYPTED, PemContent.PRIVATE_KEY, "contains an encrypted private key, expected", "openssl pkey"),
    (MADE.certificate, PemContent.KEY_SET, "contains a certificate, expected", "auth.token.rootcertbundle"),
    (b"", PemContent.KEY_SET, "contains nothing, expected", ""),
]


@pytest.mark.parametrize(("content", "wanted", "what", "fix"), FAULTS, ids=[row[2] for row in FAULTS])
def test_what_is_said_of_another(content: bytes, wanted: PemContent, what: str, fix: str) -> None:
    fault = find_fault(content, wanted)
    assert fault is not None
    assert what in fault
    assert fix in fault
    assert "\n" not in fault


CONFIG = """\
version: 0.1
storage: inmemory
http: {{addr: "127.0.0.1:0"}}
auth: {{token: {{realm: "https://a.example/token", service: s, issuer: i, rootcertbundle: {bundle}}}}}
"""


def test_config_check_and_the_start_say_the_same_of_a_bare_public_key(tmp_path: Path) -> None:
    bundle, config = tmp_path / "bundle.pem", tmp_path / "config.yml"
    bundle.write_bytes(PUBLIC)
    config.write_text(CONFIG.format(bundle=bundle))
    said = f"auth.token.rootcertbundle: {bundle} contains a bare public key, expected certificates in PEM"
    checked = CliRunner().invoke(app, ["config", "check", str(config)])
    assert isinstance(checked.exception, StartError)
    assert said in str(checked.exception)
    with pytest.raises(StartError) as started:
        ForeignKeys(rootcertbundle=bundle)
    assert said in str(started.value)


def test_config_check_warns_of_a_file_that_is_not_here(tmp_path: Path) -> None:
    config = tmp_path / "config.yml"
    config.write_text(CONFIG.format(bundle=tmp_path / "absent.pem"))
    checked = CliRunner().invoke(app, ["config", "check", str(config)])
    assert checked.exit_code == 0, checked.output
    assert (
        f"warning: auth.token.rootcertbundle: {tmp_path}/absent.pem cannot be read here: No such file" in checked.output
    )
