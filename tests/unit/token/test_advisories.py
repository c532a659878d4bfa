"""Holes that token servers and verifiers have had, each tried on ours."""

import hmac
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from authproxy.access import InvalidToken, pull
from authproxy.authorization import Basic, Bearer
from authproxy.errors import CredentialsRefused
from authproxy.principal import Principal
from authproxy.token.issuer import Issuer
from authproxy.token.jwk import thumbprint, to_jwk
from authproxy.token.refresh import RefreshTokens
from authproxy.token.request import Renewal, TokenRequest, parse_get
from tests.support.token_server import World
from tests.support.tokens import START, forge, segment

CLAIMS = {
    "iss": "issuer",
    "sub": "admin",
    "aud": "registry",
    "exp": START + 300,
    "access": [{"type": "repository", "name": "a", "actions": ["*"]}],
}
FOREIGN = ec.generate_private_key(ec.SECP256R1())


def header(world: World, **change: object) -> dict[str, Any]:
    return {"alg": "ES256", "typ": "JWT", "kid": world.keyring.signing().kid} | change


def refuse(world: World, token: str, reason: str) -> None:
    with pytest.raises(InvalidToken, match=reason):
        world.verifier().verify(Bearer(token))


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "", None, 7, ["ES256"]])
def test_alg_none_in_any_spelling(world: World, alg: object) -> None:
    """CVE-2018-1000531; RFC 8725 §2.1."""
    refuse(world, forge(header(world, alg=alg), CLAIMS), "compact form")  # an empty signature
    refuse(world, forge(header(world, alg=alg), CLAIMS, b"x"), "alg is")


def test_an_hmac_with_the_public_key_as_its_secret(world: World) -> None:
    """CVE-2016-10555, CVE-2022-29217."""
    public = world.keyring.signing().public
    for secret in (
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        json.dumps(to_jwk(public)).encode(),
    ):
        for alg in ("HS256", "HS384", "HS512"):
            refuse(world, forge(header(world, alg=alg), CLAIMS, secret), "alg is 'HS")


@pytest.mark.parametrize("alg", ["ES384", "RS256", "PS256", "EdDSA", "es256"])
def test_another_algorithm_than_the_keys(world: World, alg: str) -> None:
    token = forge(header(world, alg=alg), CLAIMS, world.keyring.signing().private, sign_as="ES256")
    refuse(world, token, "alg is")


def test_a_key_that_the_header_brings_along(world: World) -> None:
    """CVE-2018-0114, CVE-2025-24976: also under the name of a trusted key."""
    own = world.keyring.signing().kid
    jwk = to_jwk(FOREIGN.public_key())
    for kid in (own, thumbprint(FOREIGN.public_key())):
        for brought in ({"jwk": jwk | {"kid": kid}}, {"jku": "https://evil/jwks.json"}, {"x5u": "https://evil/c.pem"}):
            with pytest.raises(InvalidToken):
                world.verifier().verify(Bearer(forge(header(world, kid=kid, **brought), CLAIMS, FOREIGN)))


@pytest.mark.parametrize(
    "kid",
    ["../../../etc/passwd", "/dev/null", "secret", "x' OR 1=1", "", "a" * 5000, None, 7, ["a"], {"a": 1}],
    ids=repr,
)
def test_a_kid_is_only_ever_looked_up(world: World, kid: object) -> None:
    """A path, a query or nothing in the name of the key: it is no address of anything."""
    refuse(world, forge(header(world, kid=kid), CLAIMS, FOREIGN), "trusted keys: ")
    refuse(world, forge(header(world, kid=kid, alg="HS256"), CLAIMS, b""), "trusted keys: ")


def test_a_foreign_key_under_our_name(world: World) -> None:
    refuse(world, forge(header(world), CLAIMS, FOREIGN), "signature does not match")


def test_a_signature_of_zeros(world: World) -> None:
    """CVE-2022-21449."""
    token = f"{segment(header(world))}.{segment(CLAIMS)}.{segment(bytes(64))}"
    refuse(world, token, "signature does not match")


def test_a_signature_as_der_or_of_another_length(world: World) -> None:
    token = forge(header(world), CLAIMS, world.keyring.signing().private)
    for cut in (token[:-2], token + "AA"):
        with pytest.raises(InvalidToken):
            world.verifier().verify(Bearer(cut))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"iss": "other"}, "iss"),
        ({"aud": "other"}, "aud"),
        ({"exp": START - 11}, "expired"),
        ({"nbf": START + 100}, "not yet"),
        ({"exp": None}, "exp"),
    ],
)
def test_a_good_signature_over_claims_for_somebody_else(world: World, change: dict[str, Any], reason: str) -> None:
    refuse(world, forge(header(world), CLAIMS | change, world.keyring.signing().private), reason)


def test_doubled_members_in_claims_or_header(world: World) -> None:
    """Two readers could take two different values: RFC 7515 §4, RFC 7519 §4."""
    private = world.keyring.signing().private
    claims = json.dumps(CLAIMS).replace('"sub": "admin"', '"sub": "alice", "sub": "admin"')
    refuse(world, forge(header(world), claims.encode(), private), "appears twice")
    head = json.dumps(header(world)).replace('"alg"', '"alg": "none", "alg"')
    refuse(world, forge(head.encode(), CLAIMS, private, sign_as="ES256"), "appears twice")


@pytest.mark.parametrize("typ", ["jwt", "at+jwt", "JOSE", None, 7, "authproxy-refresh"])
def test_another_kind_of_token(world: World, typ: object) -> None:
    refuse(world, forge(header(world, typ=typ), CLAIMS, world.keyring.signing().private), "typ is")


def test_extensions_that_must_be_understood(world: World) -> None:
    refuse(world, forge(header(world, crit=["b64"], b64=False), CLAIMS, world.keyring.signing().private), "crit")


@pytest.mark.parametrize(
    "content", [[], "text", 7, None, b"{", b"\xff", b'{"exp": NaN}', b"[" * 20_000], ids=lambda value: repr(value)[:20]
)
def test_claims_that_are_no_object(world: World, content: object) -> None:
    refuse(world, forge(header(world), content, world.keyring.signing().private), "JSON")


def test_a_token_without_end_is_refused_unread(world: World) -> None:
    refuse(world, "a" * 40_000 + ".b.c", "compact form")


def test_truncated_and_doubled_tokens(world: World) -> None:
    token = world.issuer.issue(Principal("alice"), [pull("a")]).token
    for broken in (
        token[: token.rindex(".")],
        token[: token.rindex(".") + 1],
        token + ".x",
        f"{token} ",
        f" {token}",
        token + "=",
    ):
        refuse(world, broken, "compact form")


async def test_a_refresh_token_is_no_access_token(world: World) -> None:
    answer = await world.service.answer(TokenRequest(credentials=Basic("alice", "wonderland"), offline=True))
    assert answer.refresh_token is not None
    refuse(world, answer.refresh_token, "typ is")


async def test_an_access_token_is_no_refresh_token(world: World) -> None:
    token = world.issuer.issue(Principal("alice"), [pull("a")]).token
    with pytest.raises(CredentialsRefused):
        await world.service.answer(TokenRequest(credentials=Renewal(token)))


@pytest.mark.parametrize(
    ("issuer", "service", "secret"),
    [("other", "registry", None), ("issuer", "other", None), ("issuer", "registry", b"another secret")],
    ids=["another issuer", "another service", "another secret"],
)
async def test_a_refresh_token_of_somebody_else(world: World, issuer: str, service: str, secret: bytes | None) -> None:
    principal = await world.directory.find("alice")
    assert principal is not None
    tokens = RefreshTokens(secret or world.keyring.secret("refresh tokens"), issuer=issuer, service=service)
    with pytest.raises(CredentialsRefused):
        await world.service.answer(TokenRequest(credentials=Renewal(tokens.issue(principal))))


async def test_a_refresh_token_whose_claims_were_changed(world: World) -> None:
    principal = await world.directory.find("alice")
    assert principal is not None
    head, _, signature = world.refresh.issue(principal).split(".")
    claims = {"iss": "issuer", "sub": "bob", "aud": "refresh@registry", "iat": START, "stamp": principal.stamp}
    with pytest.raises(CredentialsRefused):
        await world.service.answer(TokenRequest(credentials=Renewal(f"{head}.{segment(claims)}.{signature}")))


async def test_a_stamp_is_one_users_alone(world: World) -> None:
    """With the secret itself leaked for one purpose, the stamp still has to be the user's own."""
    alice = await world.directory.find("alice")
    assert alice is not None
    claims = {"iss": "issuer", "sub": "bob", "aud": "refresh@registry", "iat": START, "stamp": alice.stamp}
    token = forge({"alg": "HS256", "typ": "authproxy-refresh"}, claims, world.keyring.secret("refresh tokens"))
    with pytest.raises(CredentialsRefused):
        await world.service.answer(TokenRequest(credentials=Renewal(token)))


def test_an_account_never_decides_the_subject() -> None:
    with pytest.raises(CredentialsRefused):
        parse_get(b"account=admin", "Basic YWxpY2U6d29uZGVybGFuZA==")
    assert parse_get(b"account=admin", None).credentials is None


async def test_a_login_without_scope_checks_the_password(world: World) -> None:
    with pytest.raises(CredentialsRefused):
        await world.service.answer(TokenRequest(credentials=Basic("alice", "wrong")))


async def test_a_password_is_never_cut_at_a_zero_byte(world: World) -> None:
    """CVE-2024-9683."""
    with pytest.raises(CredentialsRefused):
        await world.service.answer(TokenRequest(credentials=Basic("alice", "wonderland" + "\0" * 80)))


def test_secrets_of_different_purposes_do_not_stand_for_each_other(world: World) -> None:
    purposes = ("stamps", "refresh tokens", "sessions")
    assert len({world.keyring.secret(purpose) for purpose in purposes}) == 3
    assert hmac.compare_digest(world.keyring.secret("stamps"), world.keyring.secret("stamps"))


def test_a_token_of_a_ring_with_the_same_names_elsewhere(world: World) -> None:
    folder = world.folder / "other"
    folder.mkdir()
    other = World(folder)
    token = Issuer(other.keyring, "issuer", "registry", 300, other.clock).issue(Principal("admin"), []).token
    refuse(world, token, "trusted keys: ")


def test_no_secret_is_in_a_repr(world: World) -> None:
    """GHSA-prh4-vhfh-24mj."""
    request = TokenRequest(credentials=Basic("alice", "wonderland"))
    assert "wonderland" not in repr(request)
    assert "abc" not in repr(Renewal("abc"))
    assert world.keyring.secret("refresh tokens").hex() not in repr(world.service)
