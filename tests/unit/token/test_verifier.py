import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authproxy.access import Grant, InvalidToken, pull
from authproxy.authorization import Bearer
from authproxy.principal import Principal
from authproxy.token.jws import MalformedToken, parse_jws
from authproxy.token.keyring import KeyRing
from authproxy.token.verifier import Verifier
from tests.support.token_server import World
from tests.support.tokens import START, forge, read

CLAIMS = {"iss": "issuer", "sub": "alice", "aud": "registry", "exp": START + 300, "iat": START, "access": []}


def signed(world: World, claims: object, **header: object) -> str:
    key = world.keyring.signing()
    return forge({"alg": "ES256", "typ": "JWT", "kid": key.kid} | header, claims, key.private, sign_as="ES256")


@pytest.mark.parametrize(
    "claims",
    [
        CLAIMS,
        CLAIMS | {"aud": ["other", "registry"]},
        CLAIMS | {"exp": START + 0.5},
        CLAIMS | {"exp": START - 9},
        CLAIMS | {"nbf": START + 9},
        {name: value for name, value in CLAIMS.items() if name not in ("iat", "access", "sub")},
    ],
    ids=["plain", "several audiences", "a fraction", "expired within the leeway", "nbf within it", "the least"],
)
def test_claims_that_are_taken(world: World, claims: dict[str, object]) -> None:
    assert world.verifier().verify(Bearer(signed(world, claims))).subject == claims.get("sub", "")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"iss": "other"}, "iss is 'other'"),
        ({"iss": None}, "iss is None"),
        ({"aud": "other"}, "aud is 'other'"),
        ({"aud": []}, "aud is"),
        ({"aud": None}, "aud is None"),
        ({"aud": "registry registry"}, "aud is"),
        ({"exp": START - 10}, "expired"),
        ({"exp": None}, "exp is missing"),
        ({"exp": True}, "exp is missing"),
        ({"exp": str(START + 300)}, "exp is missing"),
        ({"exp": 10**400}, "exp is not a time"),
        ({"nbf": START + 11}, "not yet valid"),
        ({"nbf": "soon"}, "nbf is missing"),
        ({"sub": 7}, "sub is not a string"),
        ({"sub": None}, "sub is not a string"),
        ({"access": "all"}, "access"),
        ({"access": [{"type": "repository", "name": "a", "actions": "pull"}]}, "access"),
    ],
)
def test_claims_that_are_refused(world: World, change: dict[str, object], reason: str) -> None:
    with pytest.raises(InvalidToken, match=reason):
        world.verifier().verify(Bearer(signed(world, CLAIMS | change)))


def test_an_infinite_expiry_is_none(world: World) -> None:
    with pytest.raises(InvalidToken, match="not a time"):
        world.verifier().verify(Bearer(signed(world, json.dumps(CLAIMS).replace(str(START + 300), "1e999").encode())))


def test_a_token_is_verified_once_and_then_remembered_until_it_expires(world: World) -> None:
    verifier = world.verifier()
    token = world.issuer.issue(Principal("alice"), [pull("a")]).token
    first = verifier.verify(Bearer(token))
    assert verifier.verify(Bearer(token)) is first
    world.clock.now += 300 + 10
    with pytest.raises(InvalidToken, match="expired"):
        verifier.verify(Bearer(token))


def test_what_is_remembered_is_dropped_when_the_keys_change(world: World) -> None:
    verifier = world.verifier()
    token = world.issuer.issue(Principal("alice"), []).token
    verifier.verify(Bearer(token))
    for path in (world.folder / "keys").glob("*.*"):
        if path.suffix in (".pem", ".json"):
            path.unlink()
    KeyRing.open(world.folder / "keys", now=world.clock)  # makes another first key
    world.keyring.refresh()
    with pytest.raises(InvalidToken, match="trusted keys: "):
        verifier.verify(Bearer(token))


def test_what_is_remembered_is_bounded(world: World) -> None:
    verifier = Verifier(
        world.keyring,
        expected=world.verifier()._expected,
        types=frozenset({"JWT"}),
        now=world.clock,
        max_remembered=2,
    )
    tokens = [world.issuer.issue(Principal(name), []).token for name in "abc"]
    grants = [verifier.verify(Bearer(token)) for token in tokens]
    assert verifier.verify(Bearer(tokens[2])) is grants[2]
    assert verifier.verify(Bearer(tokens[0])) is not grants[0]
    assert verifier.verify(Bearer(tokens[0])) == Grant("a", holder=Principal("a"))


def test_a_refused_token_is_not_remembered_as_good(world: World) -> None:
    verifier = world.verifier()
    token = world.issuer.issue(Principal("alice"), []).token
    head, claims, signature = token.split(".")
    other = ("A" if signature[0] != "A" else "B") + signature[1:]
    for _ in range(2):
        with pytest.raises(InvalidToken):
            verifier.verify(Bearer(f"{head}.{claims}.{other}"))


@given(st.text(max_size=60))
def test_any_text_is_a_token_or_refused_as_none(text: str) -> None:
    with pytest.raises(MalformedToken):
        parse_jws(text)


def test_any_changed_letter_is_refused(world: World) -> None:
    verifier = world.verifier()
    token = world.issuer.issue(Principal("alice"), [pull("a")]).token
    for place, letter in enumerate(token):
        other = "B" if letter == "A" else "A"
        with pytest.raises(InvalidToken):
            verifier.verify(Bearer(token[:place] + other + token[place + 1 :]))


def test_the_reason_is_for_the_log_and_holds_no_token(world: World) -> None:
    token = world.issuer.issue(Principal("alice"), []).token
    world.clock.now += 10_000
    with pytest.raises(InvalidToken) as raised:
        world.verifier().verify(Bearer(token))
    assert token not in str(raised.value)
    assert read(token, 1)["jti"] not in str(raised.value)
