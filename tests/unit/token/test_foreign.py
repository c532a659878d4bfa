"""Tokens of another token server, verified as CNCF Distribution verifies them."""

import base64
import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from authproxy.access import Grant, InvalidToken, pull
from authproxy.authorization import Bearer
from authproxy.errors import StartError
from authproxy.files.reload import DoesNotLoad
from authproxy.principal import Principal
from authproxy.token.foreign import ForeignKeys
from authproxy.token.jwk import libtrust_fingerprint, thumbprint, to_jwk
from authproxy.token.verifier import Verifier, foreign_verifier
from tests.support.tokens import START, FakeClock, forge

NOW = dt.datetime.fromtimestamp(START, dt.UTC)
DAY = dt.timedelta(days=1)
CLAIMS = {
    "iss": "acme",
    "sub": "alice",
    "aud": "registry",
    "exp": START + 300,
    "nbf": START,
    "access": [{"type": "repository", "name": "a", "actions": ["pull"]}],
}
GRANT = Grant("alice", frozenset({pull("a")}), Principal("alice"))


@dataclass
class Party:
    """A key with its certificate."""

    key: Any
    certificate: x509.Certificate

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)


def certify(
    name: str,
    issuer: Party | None = None,
    *,
    ca: bool | None = None,
    key: Any = None,
    days: tuple[int, int] = (-1, 30),
    usage: x509.KeyUsage | None = None,
    path_length: int | None = None,
) -> Party:
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW + days[0] * DAY)
        .not_valid_after(NOW + days[1] * DAY)
    )
    if ca is not None:
        builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=path_length), critical=True)
    if usage is not None:
        builder = builder.add_extension(usage, critical=True)
    signer = issuer.key if issuer else key
    algorithm = None if isinstance(signer, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return Party(key, builder.sign(signer, algorithm))


def key_usage(*, cert_sign: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=cert_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


ROOT = certify("root", ca=True)
LEAF = certify("leaf", ROOT)
MIDDLE = certify("middle", ROOT, ca=True, usage=key_usage(cert_sign=True))
DEEP = certify("deep", MIDDLE)
SELF_SIGNED = certify("self-signed, as openssl req -x509 makes it", ca=True)
PLAIN = certify("self-signed without extensions")
RSA = rsa.generate_private_key(65537, 2048)
ED = ed25519.Ed25519PrivateKey.generate()


def x5c(*parties: Party) -> list[str]:
    return [base64.b64encode(party.certificate.public_bytes(Encoding.DER)).decode() for party in parties]


def token(key: Any, *, alg: str = "ES256", claims: dict[str, Any] | None = None, **header: Any) -> str:
    return forge({"typ": "JWT", "alg": alg} | header, CLAIMS | (claims or {}), key)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@dataclass
class Files:
    folder: Path
    clock: FakeClock

    def bundle(self, *parties: Party) -> Path:
        path = self.folder / "bundle.pem"
        path.write_bytes(b"".join(party.pem for party in parties))
        return path

    def jwks(self, *keys: dict[str, Any]) -> Path:
        path = self.folder / "jwks.json"
        path.write_text(json.dumps({"keys": keys}))
        return path

    def verifier(
        self, rootcertbundle: Path | None = None, jwks: Path | None = None, algorithms: Sequence[str] = ()
    ) -> Verifier:
        keys = ForeignKeys(rootcertbundle=rootcertbundle, jwks=jwks, algorithms=algorithms)
        return foreign_verifier(keys, issuer="acme", service="registry", now=self.clock)


@pytest.fixture
def files(tmp_path: Path, clock: FakeClock) -> Files:
    return Files(tmp_path, clock)


BUNDLED = [
    ("a leaf below the root", token(LEAF.key, x5c=x5c(LEAF))),
    ("leaf and root in the chain", token(LEAF.key, x5c=x5c(LEAF, ROOT))),
    ("an intermediate authority", token(DEEP.key, x5c=x5c(DEEP, MIDDLE))),
    ("the bundle's own certificate", token(SELF_SIGNED.key, x5c=x5c(SELF_SIGNED))),
    ("the bundle's own, without extensions", token(PLAIN.key, x5c=x5c(PLAIN))),
    ("an RFC 7638 thumbprint", token(ROOT.key, kid=thumbprint(ROOT.key.public_key()))),
    ("a libtrust fingerprint", token(ROOT.key, kid=libtrust_fingerprint(ROOT.key.public_key()))),
    ("a trusted key in the header", token(ROOT.key, jwk=to_jwk(ROOT.key.public_key()))),
    ("x5c first, whatever kid says", token(LEAF.key, x5c=x5c(LEAF), kid="other")),
    ("several audiences", token(LEAF.key, x5c=x5c(LEAF), claims={"aud": ["other", "registry"]})),
    ("expired less than 60 s ago", token(LEAF.key, x5c=x5c(LEAF), claims={"exp": START - 59})),
    ("valid in less than 60 s", token(LEAF.key, x5c=x5c(LEAF), claims={"nbf": START + 59})),
    ("no typ", forge({"alg": "ES256", "x5c": x5c(LEAF)}, CLAIMS, LEAF.key)),
]


@pytest.mark.parametrize("text", [row[1] for row in BUNDLED], ids=[row[0] for row in BUNDLED])
def test_taken_with_a_bundle(files: Files, text: str) -> None:
    assert files.verifier(files.bundle(ROOT, SELF_SIGNED, PLAIN)).verify(Bearer(text)) == GRANT


STRANGER = certify("stranger", ca=True)
OLD = certify("old", ROOT, days=(-3, -2))
FUTURE = certify("future", ROOT, days=(2, 3))
BELOW_LEAF = certify("below a leaf", LEAF)
NOT_CA = certify("not an authority", ROOT, ca=False)
BELOW_NOT_CA = certify("below what is no authority", NOT_CA)
NO_SIGNING = certify("an authority that may not sign", ROOT, ca=True, usage=key_usage(cert_sign=False))
BELOW_NO_SIGNING = certify("below it", NO_SIGNING)
BELOW_PLAIN = certify("below a bundled certificate that is no authority", PLAIN)
LAST = certify("an authority that may have none below it", ROOT, ca=True, path_length=0)
ONE_MORE = certify("one more", LAST, ca=True)
TOO_DEEP = certify("too deep", ONE_MORE)
IMPOSTOR = certify("root", ca=True)

REFUSED = [
    ("a stranger's chain", token(STRANGER.key, x5c=x5c(STRANGER))),
    ("a chain that ends below its root", token(DEEP.key, x5c=x5c(DEEP))),
    ("a root of the same name", token(IMPOSTOR.key, x5c=x5c(IMPOSTOR))),
    ("an expired leaf", token(OLD.key, x5c=x5c(OLD))),
    ("a leaf that is not yet valid", token(FUTURE.key, x5c=x5c(FUTURE))),
    ("an issuer without basic constraints", token(BELOW_LEAF.key, x5c=x5c(BELOW_LEAF, LEAF))),
    ("an issuer that is no authority", token(BELOW_NOT_CA.key, x5c=x5c(BELOW_NOT_CA, NOT_CA))),
    ("an issuer that may not sign", token(BELOW_NO_SIGNING.key, x5c=x5c(BELOW_NO_SIGNING, NO_SIGNING))),
    ("a bundled issuer that is no authority", token(BELOW_PLAIN.key, x5c=x5c(BELOW_PLAIN))),
    ("a longer path than an authority allows", token(TOO_DEEP.key, x5c=x5c(TOO_DEEP, ONE_MORE, LAST))),
    ("another key than the leaf's", token(STRANGER.key, x5c=x5c(LEAF))),
    (
        "a chain that fails, with a kid that would do",
        token(ROOT.key, x5c=x5c(STRANGER), kid=thumbprint(ROOT.key.public_key())),
    ),
    ("an empty chain", token(LEAF.key, x5c=[])),
    ("a chain without end", token(LEAF.key, x5c=x5c(LEAF) * 9)),
    ("a chain of nonsense", token(LEAF.key, x5c=["AAAA"])),
    ("a chain that is no list", token(LEAF.key, x5c="AAAA")),
    ("a chain of numbers", token(LEAF.key, x5c=[1])),
    ("a stranger's key in the header", token(STRANGER.key, jwk=to_jwk(STRANGER.key.public_key()))),
    (
        "a stranger's key under a trusted name (CVE-2025-24976)",
        token(
            STRANGER.key,
            kid=thumbprint(ROOT.key.public_key()),
            jwk=to_jwk(STRANGER.key.public_key()) | {"kid": thumbprint(ROOT.key.public_key())},
        ),
    ),
    ("a key in the header that is none", token(STRANGER.key, jwk={"kty": "EC"})),
    ("a symmetric key in the header", token(b"x", jwk={"kty": "oct", "k": "eA"}, alg="HS256")),
    ("a kid in a folder", token(STRANGER.key, kid="../bundle.pem")),
    ("a number as kid", token(STRANGER.key, kid=1)),
    ("no name at all", token(ROOT.key)),
    ("alg none", forge({"alg": "none", "x5c": x5c(LEAF)}, CLAIMS, b"x")),
    (
        "an HMAC with the certificate's key",
        token(
            LEAF.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
            alg="HS256",
            x5c=x5c(LEAF),
        ),
    ),
    ("another issuer", token(LEAF.key, x5c=x5c(LEAF), claims={"iss": "other"})),
    ("another audience", token(LEAF.key, x5c=x5c(LEAF), claims={"aud": "other"})),
    ("expired 60 s ago", token(LEAF.key, x5c=x5c(LEAF), claims={"exp": START - 60})),
    ("another kind of token", token(LEAF.key, x5c=x5c(LEAF), typ="authproxy-refresh")),
]


def test_a_key_that_is_not_trusted_is_told_with_both_names_of_those_that_are(files: Files) -> None:
    verifier = files.verifier(files.bundle(ROOT))
    trusted = f"{libtrust_fingerprint(ROOT.key.public_key())} or {thumbprint(ROOT.key.public_key())}"
    for text, begins in [
        (token(STRANGER.key, kid="abc"), "kid 'abc' is not trusted"),
        (token(STRANGER.key), "the token's header names no key (kid)"),
        (token(STRANGER.key, kid="k" * 5000), f"kid '{'k' * 99}… is not trusted"),
    ]:
        with pytest.raises(InvalidToken) as refused:
            verifier.verify(Bearer(text))
        assert str(refused.value) == f"{begins}; trusted keys: {trusted}"


@pytest.mark.parametrize("text", [row[1] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_refused_with_a_bundle(files: Files, text: str) -> None:
    with pytest.raises(InvalidToken):
        files.verifier(files.bundle(ROOT, SELF_SIGNED, PLAIN)).verify(Bearer(text))


@pytest.mark.parametrize(
    ("key", "alg"),
    [(LEAF.key, "ES256"), (RSA, "RS256"), (RSA, "RS512"), (RSA, "PS256"), (ED, "EdDSA")],
    ids=["ES256", "RS256", "RS512", "PS256", "EdDSA"],
)
def test_keys_of_a_set_by_their_own_name_and_by_their_thumbprint(files: Files, key: Any, alg: str) -> None:
    verifier = files.verifier(jwks=files.jwks(to_jwk(key.public_key()) | {"kid": "mine", "alg": alg}))
    assert verifier.verify(Bearer(token(key, alg=alg, kid="mine"))) == GRANT
    assert verifier.verify(Bearer(token(key, alg=alg, kid=thumbprint(key.public_key())))) == GRANT
    with pytest.raises(InvalidToken):
        verifier.verify(Bearer(token(key, alg=alg, kid="yours")))


def test_signing_algorithms_may_be_narrowed(files: Files) -> None:
    jwks = files.jwks(to_jwk(RSA.public_key()) | {"kid": "mine"})
    verifier = files.verifier(jwks=jwks, algorithms=["RS256"])
    assert verifier.verify(Bearer(token(RSA, alg="RS256", kid="mine"))) == GRANT
    with pytest.raises(InvalidToken, match="alg is 'RS512'"):
        verifier.verify(Bearer(token(RSA, alg="RS512", kid="mine")))


def test_a_chain_proves_nothing_to_a_key_set_alone(files: Files) -> None:
    verifier = files.verifier(jwks=files.jwks(to_jwk(LEAF.key.public_key()) | {"kid": "mine"}))
    with pytest.raises(InvalidToken, match="no rootcertbundle"):
        verifier.verify(Bearer(token(LEAF.key, kid="mine", x5c=x5c(LEAF))))


def test_a_remembered_token_ends_with_its_certificate(files: Files) -> None:
    verifier = files.verifier(files.bundle(ROOT))
    brief = certify("brief", ROOT, days=(-1, 0))
    text = token(brief.key, x5c=x5c(brief), claims={"exp": START + 3 * 86400})
    assert verifier.verify(Bearer(text)) == GRANT
    files.clock.now += 1
    with pytest.raises(InvalidToken, match="expired or not yet valid"):
        verifier.verify(Bearer(text))


def test_keys_are_swapped_when_the_file_changes_and_kept_when_it_breaks(files: Files) -> None:
    keys = ForeignKeys(rootcertbundle=files.bundle(ROOT))
    verifier = foreign_verifier(keys, issuer="acme", service="registry", now=files.clock)
    text = token(LEAF.key, x5c=x5c(LEAF))
    assert verifier.verify(Bearer(text)) == GRANT
    (files.folder / "bundle.pem").write_text("broken")
    with pytest.raises(DoesNotLoad, match="rootcertbundle"):
        keys.refresh()
    assert verifier.verify(Bearer(text)) == GRANT
    files.bundle(STRANGER)
    keys.refresh()
    with pytest.raises(InvalidToken):
        verifier.verify(Bearer(text))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "contains nothing, expected a key set"),
        ("[]", "expected a key set in JSON"),
        ('{"keys": 1}', "expected a key set in JSON"),
        ('{"keys": [1]}', "must be a key set"),
        ('{"keys": [{"kty": "EC", "crv": "P-256"}]}', "must be a key set"),
        ('{"keys": []}', "no public key"),
        ('{"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "a"}]}', "no public key"),
        (json.dumps({"keys": [to_jwk(RSA.public_key()) | {"use": "enc"}]}), "no public key"),
    ],
)
def test_a_key_set_that_is_none_stops_the_start(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "jwks.json"
    path.write_text(content)
    with pytest.raises(StartError, match=f"auth.token.jwks: .*{message}"):
        ForeignKeys(jwks=path)


def test_what_is_missing_or_unknown_stops_the_start_and_names_key_and_file(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="set rootcertbundle or jwks"):
        ForeignKeys()
    with pytest.raises(StartError, match=r"auth\.token\.rootcertbundle: cannot read .*gone\.pem"):
        ForeignKeys(rootcertbundle=tmp_path / "gone.pem")
    with pytest.raises(StartError, match=r"auth\.token\.jwks: cannot read .*gone\.json"):
        ForeignKeys(jwks=tmp_path / "gone.json")
    for name in ("HS256", "none"):
        with pytest.raises(StartError, match=f"signingalgorithms: {name} is not accepted; allowed: RS256"):
            ForeignKeys(jwks=tmp_path / "x", algorithms=[name])
    (tmp_path / "empty.pem").write_text("")
    with pytest.raises(StartError, match="expected certificates in PEM"):
        ForeignKeys(rootcertbundle=tmp_path / "empty.pem")
