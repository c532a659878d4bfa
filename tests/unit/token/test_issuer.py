import jwt
import pytest

from authproxy.access import Grant, pull, push
from authproxy.authorization import Bearer
from authproxy.errors import StartError
from authproxy.principal import ANONYMOUS, Principal
from authproxy.token.issuer import Issuer
from tests.support.token_server import World
from tests.support.tokens import START, read


def test_header_and_claims_are_those_of_the_specification(world: World) -> None:
    issued = world.issuer.issue(Principal("alice"), [pull("alice/a"), push("alice/a")])
    kid = world.keyring.signing().kid
    claims = read(issued.token, 1)
    assert read(issued.token, 0) == {"alg": "ES256", "typ": "JWT", "kid": kid}
    assert claims.pop("jti")
    assert claims == {
        "iss": "issuer",
        "sub": "alice",
        "aud": "registry",
        "iat": START,
        "nbf": START - 10,
        "exp": START + 300,
        "access": [{"type": "repository", "name": "alice/a", "actions": ["pull", "push"]}],
    }
    assert (issued.expires_in, issued.issued_at) == (300, START)


def test_another_library_verifies_it_with_the_key_set(world: World) -> None:
    token = world.issuer.issue(Principal("älice"), [pull("a")]).token
    key = jwt.PyJWKSet.from_dict(world.keyring.jwks())[jwt.get_unverified_header(token)["kid"]]
    claims = jwt.decode(
        token,
        key,
        ["ES256"],
        audience="registry",
        issuer="issuer",
        options={"verify_exp": False, "verify_nbf": False, "verify_iat": False},
    )
    assert claims["sub"] == "älice"


def test_what_is_issued_is_what_our_verifier_grants(world: World) -> None:
    token = world.issuer.issue(ANONYMOUS, [pull("a")]).token
    assert world.verifier().verify(Bearer(token)) == Grant("", frozenset({pull("a")}), ANONYMOUS)


def test_no_two_tokens_are_the_same(world: World) -> None:
    assert len({read(world.issuer.issue(Principal("a"), []).token, 1)["jti"] for _ in range(20)}) == 20


def test_a_lifetime_that_clients_would_not_take_stops_the_start(world: World) -> None:
    with pytest.raises(StartError, match=r"token\.lifetime: 59 s"):
        Issuer(world.keyring, "issuer", "registry", 59)


def test_a_token_is_not_in_a_repr(world: World) -> None:
    issued = world.issuer.issue(Principal("alice"), [])
    assert issued.token not in repr(issued)
