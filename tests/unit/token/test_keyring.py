import datetime as dt
import json
import stat
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from authproxy.access import Grant, pull
from authproxy.authorization import Bearer
from authproxy.errors import StartError, Unavailable
from authproxy.files.reload import DoesNotLoad
from authproxy.principal import ANONYMOUS
from authproxy.token.issuer import Issuer
from authproxy.token.jwk import thumbprint
from authproxy.token.jws import UntrustedKey
from authproxy.token.keyring import KeyRing
from authproxy.token.verifier import own_verifier
from tests.support.at_once import say_at_once
from tests.support.tokens import START, FakeClock


def rfc3339(moment: float) -> str:
    return dt.datetime.fromtimestamp(moment, dt.UTC).isoformat()


def put_key(folder: Path, *, signs_from: float, retired: float | None = None, private: object = None) -> str:
    key = private or ec.generate_private_key(ec.SECP256R1())
    assert isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey)
    kid = thumbprint(key.public_key())
    (folder / f"{kid}.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    times = {"created": rfc3339(START), "signs_from": rfc3339(signs_from)}
    (folder / f"{kid}.json").write_text(json.dumps({**times, "retired": rfc3339(retired) if retired else None}))
    return kid


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "keys"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def ring(folder: Path, clock: FakeClock) -> KeyRing:
    return KeyRing.open(folder, now=clock)


def test_the_first_start_makes_one_es256_key_that_signs_at_once(ring: KeyRing, folder: Path) -> None:
    key = ring.signing()
    assert (key.algorithm, [path.stem for path in folder.glob("*.pem")]) == ("ES256", [key.kid])


def test_all_that_is_made_is_for_its_owner_alone(ring: KeyRing, folder: Path) -> None:
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_the_second_start_makes_nothing_anew(ring: KeyRing, folder: Path, clock: FakeClock) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    again = KeyRing.open(folder, now=clock)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert again.signing().kid == ring.signing().kid
    assert again.secret("x") == ring.secret("x")


OPEN = (
    "import sys, pathlib; from authproxy.token.keyring import KeyRing; print(KeyRing.open(pathlib.Path(sys.argv[1])))"
)


def test_processes_that_start_at_once_share_one_key(folder: Path) -> None:
    said = say_at_once(OPEN, str(folder))
    assert len(said) == 1
    assert len(list(folder.glob("*.pem"))) == 1


def test_secrets_differ_by_purpose_and_have_32_bytes(ring: KeyRing) -> None:
    assert len({ring.secret("a"), ring.secret("b")}) == 2
    assert len(ring.secret("a")) == 32


def test_a_new_key_verifies_at_once_and_signs_when_its_time_has_come(
    ring: KeyRing, folder: Path, clock: FakeClock
) -> None:
    old = ring.signing().kid
    new = put_key(folder, signs_from=START + 600)
    ring.refresh()
    assert ring.signing().kid == old
    assert {key["kid"] for key in ring.jwks()["keys"]} == {old, new}
    clock.now += 600
    assert ring.signing().kid == new
    assert ring.select({"kid": old}, clock()).algorithms == {"ES256"}


def test_a_retired_key_neither_signs_nor_verifies(ring: KeyRing, folder: Path, clock: FakeClock) -> None:
    first = ring.signing().kid
    second = put_key(folder, signs_from=START, retired=START + 100)
    ring.refresh()
    assert ring.select({"kid": second}, clock()).until == START + 100
    clock.now += 100
    assert ring.signing().kid == first
    assert [key["kid"] for key in ring.jwks()["keys"]] == [first]
    with pytest.raises(UntrustedKey):
        ring.select({"kid": second}, clock())


def test_a_ring_whose_last_key_was_retired_says_that_it_cannot_sign(folder: Path, clock: FakeClock) -> None:
    folder.mkdir()
    put_key(folder, signs_from=START, retired=START + 100)
    ring = KeyRing.open(folder, now=clock)
    clock.now += 100
    with pytest.raises(Unavailable):
        ring.signing()


@pytest.mark.parametrize(
    ("make", "algorithm"),
    [
        (lambda: ec.generate_private_key(ec.SECP384R1()), "ES384"),
        (lambda: rsa.generate_private_key(65537, 2048), "RS256"),
        (ed25519.Ed25519PrivateKey.generate, "EdDSA"),
    ],
    ids=["P-384", "RSA", "Ed25519"],
)
def test_keys_of_other_kinds_sign_with_their_own_algorithm(folder: Path, make: object, algorithm: str) -> None:
    folder.mkdir()
    assert callable(make)
    kid = put_key(folder, signs_from=START, private=make())
    ring = KeyRing.open(folder, now=FakeClock())
    key = ring.signing()
    assert (key.kid, key.algorithm) == (kid, algorithm)
    jwk = jwt.PyJWK(ring.jwks()["keys"][0])
    assert jwt.get_algorithm_by_name(algorithm).verify(b"content", jwk.key, key.sign(b"content"))


@pytest.mark.parametrize("algorithm", ["ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "EdDSA"])
def test_the_first_key_is_of_the_algorithm_that_is_asked_for(folder: Path, algorithm: str) -> None:
    ring = KeyRing.open(folder, algorithm=algorithm, now=FakeClock())
    assert ring.signing().algorithm == algorithm
    issued = Issuer(ring, "issuer", "registry", 300, FakeClock()).issue(ANONYMOUS, [pull("a")])
    verifier = own_verifier(ring, issuer="issuer", service="registry", now=FakeClock())
    assert verifier.verify(Bearer(issued.token)) == Grant("", frozenset({pull("a")}), ANONYMOUS)
    assert jwt.get_unverified_header(issued.token)["alg"] == algorithm


def test_another_algorithm_leaves_the_keys_that_there_are(ring: KeyRing, folder: Path, clock: FakeClock) -> None:
    again = KeyRing.open(folder, algorithm="EdDSA", now=clock)
    assert again.signing().kid == ring.signing().kid


def test_a_key_takes_no_other_algorithm_than_its_own(folder: Path) -> None:
    ring = KeyRing.open(folder, algorithm="RS384", now=FakeClock())
    assert ring.select({"kid": ring.signing().kid}, START).algorithms == {"RS384"}
    assert ring.jwks()["keys"][0]["alg"] == "RS384"


def test_of_two_keys_the_one_that_is_about_to_end_does_not_sign(ring: KeyRing, folder: Path, clock: FakeClock) -> None:
    first = ring.signing().kid
    clock.now += 100
    put_key(folder, signs_from=START + 50, retired=START + 1000)
    ring.refresh()
    assert ring.signing().kid == first


def test_the_key_set_holds_nothing_private(ring: KeyRing) -> None:
    (key,) = ring.jwks()["keys"]
    assert set(key) == {"kty", "crv", "x", "y", "kid", "alg", "use"}


def test_no_secret_is_in_a_repr(ring: KeyRing) -> None:
    assert "private" not in repr(ring.signing())
    assert ring.secret("x").hex() not in repr(ring)


def test_a_broken_key_leaves_the_ring_as_it_was(ring: KeyRing, folder: Path) -> None:
    (folder / "other.json").write_text("{")
    before = ring.version
    for _ in range(2):
        with pytest.raises(DoesNotLoad, match=r"other\.json"):
            ring.refresh()
    assert ring.version is before


def test_a_key_without_its_metadata_is_not_there_yet(ring: KeyRing, folder: Path) -> None:
    kid = put_key(folder, signs_from=START)
    (folder / f"{kid}.json").unlink()
    ring.refresh()
    assert len(ring.jwks()["keys"]) == 1


def break_pem(folder: Path) -> None:
    next(folder.glob("*.pem")).write_text("nonsense")


def remove_pem(folder: Path) -> None:
    next(folder.glob("*.pem")).unlink()


def rename_key(folder: Path) -> None:
    for path in [*folder.glob("*.pem"), *folder.glob("*.json")]:
        path.rename(path.with_stem("mine"))


def exchange_agreement(folder: Path) -> None:
    key = x25519.X25519PrivateKey.generate()
    next(folder.glob("*.pem")).write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def small_rsa(folder: Path) -> None:
    key = rsa.generate_private_key(65537, 1024)  # noqa: S505 - that it is refused is the test
    next(folder.glob("*.pem")).write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def wrong_algorithm(folder: Path) -> None:
    path = next(folder.glob("*.json"))
    path.write_text(path.read_text().replace("ES256", "RS256"))


def forget_zone(folder: Path) -> None:
    path = next(folder.glob("*.json"))
    path.write_text(path.read_text().replace("Z", ""))


def short_secret(folder: Path) -> None:
    (folder / "secret").write_text("short")


def not_yet(folder: Path) -> None:
    path = next(folder.glob("*.json"))
    path.write_text(path.read_text().replace("2027", "2127"))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (break_pem, "not an unencrypted private key"),
        (remove_pem, "put it back or remove both"),
        (rename_key, "must be named after its key"),
        (exchange_agreement, "kind of key that cannot sign tokens"),
        (small_rsa, "too small"),
        (wrong_algorithm, "this key can do ES256"),
        (forget_zone, "RFC 3339"),
        (short_secret, "shorter than 32 bytes"),
        (not_yet, "no key in"),
    ],
)
def test_a_damaged_folder_stops_the_start_in_one_sentence(
    ring: KeyRing, folder: Path, clock: FakeClock, damage: object, message: str
) -> None:
    assert callable(damage)
    damage(folder)
    with pytest.raises(StartError, match=message) as raised:
        KeyRing.open(folder, now=clock)
    assert str(folder) in str(raised.value)


def test_a_folder_that_cannot_be_used_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StartError, match=r"token\.keys: cannot use the folder"):
        KeyRing.open(tmp_path / "file" / "keys")
