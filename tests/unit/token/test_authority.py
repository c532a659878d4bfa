"""Certificates of signing keys, as a registry sees them that holds the authority alone."""

import base64
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from authproxy.access import Grant, InvalidToken, pull
from authproxy.authorization import Bearer
from authproxy.errors import StartError
from authproxy.principal import Principal
from authproxy.token.authority import make_authority
from authproxy.token.foreign import ForeignKeys
from authproxy.token.issuer import Issuer
from authproxy.token.jose_header import HeaderStyle
from authproxy.token.keyfiles import make_key
from authproxy.token.keyring import KeyRing
from authproxy.token.rotation import KNOWN_TO_ALL_S, retire, rotate
from authproxy.token.verifier import Verifier, foreign_verifier, own_verifier
from tests.support.at_once import say_at_once
from tests.support.tokens import FakeClock, read

LEAF = HeaderStyle(x5c="leaf")
CHAIN = HeaderStyle(x5c="chain")
GRANT = Grant("alice", frozenset({pull("a")}), Principal("alice"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "keys"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def issue(ring: KeyRing, style: HeaderStyle, clock: FakeClock) -> str:
    return Issuer(ring, "issuer", "registry", 300, clock, style=style).issue(Principal("alice"), [pull("a")]).token


def registry(bundle: Path, clock: FakeClock) -> Verifier:
    """A registry that has read the bundle, and will not read it again."""
    return foreign_verifier(ForeignKeys(rootcertbundle=bundle), issuer="issuer", service="registry", now=clock)


@pytest.mark.parametrize("style", [LEAF, CHAIN], ids=["leaf", "chain"])
@pytest.mark.parametrize("algorithm", ["ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "EdDSA"])
def test_who_holds_the_authority_verifies_also_after_a_rotation(
    folder: Path, clock: FakeClock, algorithm: str, style: HeaderStyle
) -> None:
    ring = KeyRing.open(folder, algorithm=algorithm, style=style, now=clock)
    verifier = registry(folder / "ca.pem", clock)
    assert verifier.verify(Bearer(issue(ring, style, clock))) == GRANT
    new = rotate(folder, algorithm, now=clock())
    ring.refresh()
    clock.now += KNOWN_TO_ALL_S
    token = issue(ring, style, clock)
    assert read(token, 0)["kid"] == new.kid
    assert verifier.verify(Bearer(token)) == GRANT


@pytest.mark.parametrize(("style", "certificates"), [(HeaderStyle(), 0), (LEAF, 1), (CHAIN, 2)])
def test_the_header_has_the_certificates_that_are_asked_for(
    folder: Path, clock: FakeClock, style: HeaderStyle, certificates: int
) -> None:
    ring = KeyRing.open(folder, style=style, now=clock)
    header = read(issue(ring, style, clock), 0)
    assert ("x5c" in header) is (certificates > 0)
    found = [x509.load_der_x509_certificate(base64.b64decode(text)) for text in header.get("x5c", [])]
    assert len(found) == certificates
    assert all(certificate.public_key() == ring.signing().public for certificate in found[:1])
    assert (folder / "ca.pem").exists() is (certificates > 0)


def test_another_authority_believes_nothing(folder: Path, clock: FakeClock, tmp_path: Path) -> None:
    token = issue(KeyRing.open(folder, style=CHAIN, now=clock), CHAIN, clock)
    KeyRing.open(tmp_path / "other", style=CHAIN, now=clock)
    with pytest.raises(InvalidToken, match="x5c does not lead to the bundle"):
        registry(tmp_path / "other" / "ca.pem", clock).verify(Bearer(token))


def test_a_certificate_signs_no_other_certificates(folder: Path, clock: FakeClock) -> None:
    ring = KeyRing.open(folder, style=LEAF, now=clock)
    leaf = x509.load_der_x509_certificate(ring.signing().certificates[0])
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert not leaf.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign


def test_keys_from_before_get_their_certificates(folder: Path, clock: FakeClock) -> None:
    kid = KeyRing.open(folder, now=clock).signing().kid
    ring = KeyRing.open(folder, style=LEAF, now=clock)
    assert ring.signing().kid == kid
    assert registry(folder / "ca.pem", clock).verify(Bearer(issue(ring, LEAF, clock))) == GRANT


def test_a_key_that_another_program_adds_gets_its_certificate_when_it_is_seen(
    folder: Path, clock: FakeClock, tmp_path: Path
) -> None:
    ring = KeyRing.open(folder, style=LEAF, now=clock)
    new = rotate_elsewhere(tmp_path, clock)
    for name in (f"{new}.pem", f"{new}.json"):
        (folder / name).write_bytes((tmp_path / "elsewhere" / name).read_bytes())
    clock.now += KNOWN_TO_ALL_S
    ring.refresh()
    token = issue(ring, LEAF, clock)
    assert read(token, 0)["kid"] == new
    assert registry(folder / "ca.pem", clock).verify(Bearer(token)) == GRANT


def rotate_elsewhere(tmp_path: Path, clock: FakeClock) -> str:
    KeyRing.open(tmp_path / "elsewhere", now=clock)
    return rotate(tmp_path / "elsewhere", "ES256", now=clock()).kid


def test_where_the_authority_was_removed_another_one_vouches_for_all_keys(folder: Path, clock: FakeClock) -> None:
    KeyRing.open(folder, style=LEAF, now=clock)
    for name in ("ca.pem", "ca.key"):
        (folder / name).unlink()
    ring = KeyRing.open(folder, style=LEAF, now=clock)
    assert registry(folder / "ca.pem", clock).verify(Bearer(issue(ring, LEAF, clock))) == GRANT


def test_a_new_authority_does_not_vouch_for_a_key_that_was_retired(folder: Path, clock: FakeClock) -> None:
    stolen = KeyRing.open(folder, style=LEAF, now=clock).signing().kid
    rotate(folder, "ES256", now=clock())
    clock.now += KNOWN_TO_ALL_S
    retire(folder, stolen, now=clock(), after_s=0)
    for path in (folder / "ca.pem", folder / "ca.key"):
        path.unlink()
    ring = KeyRing.open(folder, style=LEAF, now=clock)
    assert {kid: len(key.certificates) for kid, key in ring.current.items()} == {stolen: 0, ring.signing().kid: 2}


def test_an_authority_that_cannot_sign_stops_a_rotation_before_it_leaves_anything(
    folder: Path, clock: FakeClock
) -> None:
    KeyRing.open(folder, style=LEAF, now=clock)
    (folder / "ca.key").unlink()
    before = set(folder.iterdir())
    with pytest.raises(StartError, match=r"ca\.pem has no ca\.key beside it"):
        rotate(folder, "ES256", now=clock())
    assert set(folder.iterdir()) == before


def test_an_authority_of_the_operator_is_used(folder: Path, clock: FakeClock, tmp_path: Path) -> None:
    KeyRing.open(tmp_path / "theirs", style=LEAF, now=clock)
    folder.mkdir()
    for name in ("ca.pem", "ca.key"):
        (folder / name).write_bytes((tmp_path / "theirs" / name).read_bytes())
    ring = KeyRing.open(folder, style=LEAF, now=clock)
    assert registry(tmp_path / "theirs" / "ca.pem", clock).verify(Bearer(issue(ring, LEAF, clock))) == GRANT


def test_the_second_start_writes_nothing(folder: Path, clock: FakeClock) -> None:
    KeyRing.open(folder, style=LEAF, now=clock)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    KeyRing.open(folder, style=LEAF, now=clock)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


OPEN = (
    "import sys, pathlib; from authproxy.token.keyring import KeyRing;"
    "from authproxy.token.jose_header import HeaderStyle;"
    "print(KeyRing.open(pathlib.Path(sys.argv[1]), style=HeaderStyle(x5c='leaf')).signing().certificates)"
)


def test_processes_that_start_at_once_share_one_authority(folder: Path) -> None:
    said = say_at_once(OPEN, str(folder))
    assert len(said) == 1
    assert said != {"()\n"}


def test_libtrusts_name_is_understood_and_is_in_the_key_set(folder: Path, clock: FakeClock) -> None:
    style = HeaderStyle(kid="libtrust")
    ring = KeyRing.open(folder, style=style, now=clock)
    token = issue(ring, style, clock)
    assert read(token, 0)["kid"] == ring.signing().fingerprint
    verifier = own_verifier(ring, issuer="issuer", service="registry", now=clock)
    assert verifier.verify(Bearer(token)) == GRANT
    assert [key["kid"] for key in ring.jwks()["keys"]] == [ring.signing().kid, ring.signing().fingerprint]


def no_key(folder: Path) -> None:
    (folder / "ca.key").unlink()
    next(folder.glob("*.crt")).unlink()


def another_key(folder: Path) -> None:
    no_key(folder)
    write_key(folder, ec.generate_private_key(ec.SECP256R1()))


def key_of_another_kind(folder: Path) -> None:
    no_key(folder)
    write_key(folder, ed25519.Ed25519PrivateKey.generate())


def write_key(folder: Path, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey) -> None:
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "ca.key").write_bytes(pem)


def broken_key(folder: Path) -> None:
    no_key(folder)
    (folder / "ca.key").write_text("nonsense")


def broken_authority(folder: Path) -> None:
    (folder / "ca.pem").write_text("nonsense")


def broken_certificate(folder: Path) -> None:
    next(folder.glob("*.crt")).write_text("nonsense")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (no_key, "ca.pem has no ca.key beside it"),
        (another_key, "ca.pem does not match ca.key"),
        (key_of_another_kind, "use EC or RSA"),
        (broken_key, "ca.key is not an unencrypted private key"),
        (broken_authority, "ca.pem is not a certificate in PEM"),
        (broken_certificate, r"\.crt is not a certificate in PEM"),
    ],
)
def test_a_damaged_authority_stops_the_start_in_one_sentence(
    folder: Path, clock: FakeClock, damage: Callable[[Path], None], message: str
) -> None:
    KeyRing.open(folder, style=LEAF, now=clock)
    damage(folder)
    with pytest.raises(StartError, match=message) as raised:
        KeyRing.open(folder, style=LEAF, now=clock)
    assert str(folder) in str(raised.value)


def test_an_authority_whose_time_is_over_vouches_for_no_new_key(folder: Path, clock: FakeClock) -> None:
    folder.mkdir()
    make_authority(folder, clock.now - 11 * 366 * 86_400)
    with pytest.raises(StartError, match=r"ca\.pem expired on .*; remove it and ca\.key"):
        make_key(folder, "ES256", created=clock.now, signs_from=clock.now)
