"""Tokens revoked by time of issue, in one state folder of two nodes."""

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from authproxy.authorization import Basic, Bearer
from authproxy.errors import CredentialsRefused, StartError, TooManyRequests
from authproxy.token.jws import Revoked
from authproxy.token.request import Renewal, TokenRequest
from authproxy.token.revocations import FOLDER, RevocationFolder, revoke
from tests.support.token_server import World
from tests.support.tokens import START, forge, read

ALICE, BOB = Basic("alice", "wonderland"), Basic("bob", "builder")


def moment(after_start_s: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(START + after_start_s, dt.UTC)


@pytest.fixture
def nodes(tmp_path: Path) -> tuple[World, World]:
    """Two nodes over one key ring, one set of users and one state folder, that agree about the time."""
    one, two = World(tmp_path), World(tmp_path)
    two.clock = two.keyring._now = two.issuer._now = two.refresh._now = one.clock
    return one, two


async def issue(node: World, who: Basic | Renewal) -> tuple[str, str]:
    """An access token and a refresh token."""
    answer = await node.service.answer(TokenRequest(credentials=who, offline=True))
    assert answer.refresh_token is not None
    return answer.issued.token, answer.refresh_token


async def test_what_was_issued_before_is_refused_on_every_node_once_it_has_looked(nodes: tuple[World, World]) -> None:
    one, two = nodes
    verifier = two.verifier()
    access, refresh = await issue(one, ALICE)
    assert verifier.verify(Bearer(access)).subject == "alice"
    revoke(one.state, "alice", moment(1))
    assert verifier.verify(Bearer(access)).subject == "alice"  # not looked yet
    two.revocations.refresh()
    with pytest.raises(Revoked):  # though it was remembered as good
        verifier.verify(Bearer(access))
    with pytest.raises(CredentialsRefused, match="this login has ended"):
        await issue(two, Renewal(refresh))


async def test_others_and_what_is_issued_after_it_stay_good(nodes: tuple[World, World]) -> None:
    one, two = nodes
    bobs = (await issue(one, BOB))[0]
    anonymous = (await one.service.answer(TokenRequest())).issued.token
    revoke(one.state, "alice", moment(1))
    one.revocations.refresh()
    two.revocations.refresh()
    one.clock.now = START + 1
    access, refresh = await issue(one, ALICE)
    assert [two.verifier().verify(Bearer(token)).subject for token in (bobs, anonymous, access)] == ["bob", "", "alice"]
    await issue(two, Renewal(refresh))


async def test_a_login_is_not_outlived_by_renewing_it(nodes: tuple[World, World]) -> None:
    one, two = nodes
    _, refresh = await issue(one, ALICE)
    revoke(one.state, "alice", moment(1))
    one.clock.now = START + 5
    renewed = (await issue(two, Renewal(refresh)))[1]  # by a node that has not looked yet
    two.revocations.refresh()
    assert read(renewed, 1)["iat"] == START
    with pytest.raises(CredentialsRefused):
        await issue(two, Renewal(renewed))


async def test_no_token_is_given_out_that_would_be_refused(nodes: tuple[World, World]) -> None:
    one, _ = nodes
    revoke(one.state, "alice", moment(2))
    one.revocations.refresh()
    with pytest.raises(TooManyRequests, match="are being revoked") as raised:
        await issue(one, ALICE)
    assert raised.value.headers == (("Retry-After", "2"),)
    await issue(one, BOB)
    one.clock.now = START + 2
    await issue(one, ALICE)


async def test_a_revoked_token_that_has_expired_is_not_merely_expired(nodes: tuple[World, World]) -> None:
    """An expired token is good for the upload session that it opened; a revoked one for nothing."""
    one, two = nodes
    access, _ = await issue(one, ALICE)
    revoke(one.state, "alice", moment(1))
    two.revocations.refresh()
    one.clock.now = START + 86400
    with pytest.raises(Revoked):
        two.verifier().verify(Bearer(access))


def test_a_restarted_node_knows_it(tmp_path: Path) -> None:
    revoke(tmp_path, "a/b", moment(0.2))
    folder = RevocationFolder(tmp_path)
    assert [folder.refuses("a/b", START + second) for second in (0, 0.9, 1)] == [True, True, False]


def test_an_earlier_moment_takes_no_revocation_back(tmp_path: Path) -> None:
    assert revoke(tmp_path, "alice", moment(60)) == moment(60)
    assert revoke(tmp_path, "alice", moment(0)) == moment(60)
    assert RevocationFolder(tmp_path).refuses("alice", START + 59)
    assert revoke(tmp_path, "alice", moment(61)) == moment(61)


def test_removing_a_file_takes_its_revocation_back(tmp_path: Path) -> None:
    folder = RevocationFolder(tmp_path)
    revoke(tmp_path, "alice", moment(0))
    folder.refresh()
    assert folder.refuses("alice", START - 1)
    next((tmp_path / FOLDER).glob("*.json")).unlink()
    folder.refresh()
    assert not folder.refuses("alice", START - 1)


def _spoil_file(folder: Path) -> None:
    next(folder.glob("*.json")).write_text("{}")


def _lose_folder(folder: Path) -> None:
    folder.rename(folder.with_name("lost"))


def _forget_zone(folder: Path) -> None:
    path = next(folder.glob("*.json"))
    path.write_text(json.dumps({"subject": "alice", "before": "2027-01-15T08:00:00"}))


@pytest.mark.parametrize("fault", [_spoil_file, _lose_folder, _forget_zone], ids=["spoilt", "lost", "no zone"])
def test_what_cannot_be_read_revokes_as_before_and_fails_each_look(
    tmp_path: Path, fault: Callable[[Path], None]
) -> None:
    revoke(tmp_path, "alice", moment(0))
    folder = RevocationFolder(tmp_path)
    fault(tmp_path / FOLDER)
    for _ in range(2):
        with pytest.raises(StartError, match=r"token\.state"):  # not DoesNotLoad: it may revoke anything
            folder.refresh()
    assert folder.refuses("alice", START - 1)


def test_an_empty_folder_that_has_gone_is_not_taken_for_an_empty_one(tmp_path: Path) -> None:
    folder = RevocationFolder(tmp_path)
    (tmp_path / FOLDER).rmdir()
    with pytest.raises(StartError, match="is gone"):
        folder.refresh()


def test_a_spoilt_file_stops_the_start_and_is_named(tmp_path: Path) -> None:
    revoke(tmp_path, "alice", moment(0))
    _spoil_file(tmp_path / FOLDER)
    with pytest.raises(StartError, match=r"token\.state: .*\.json must be .* revoke again"):
        RevocationFolder(tmp_path)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    with pytest.raises(StartError, match=r"token\.state: cannot make the folder"):
        RevocationFolder(tmp_path / "state")


def test_a_token_that_does_not_say_when_it_was_issued_proves_nothing_for_who_is_revoked(world: World) -> None:
    key = world.keyring.signing()
    claims = {"iss": "issuer", "sub": "alice", "aud": "registry", "exp": START + 300, "access": []}
    token = forge({"alg": "ES256", "typ": "JWT", "kid": key.kid}, claims, key.private, sign_as="ES256")
    assert world.verifier().verify(Bearer(token)).subject == "alice"
    revoke(world.state, "alice", moment(-1000))
    world.revocations.refresh()
    with pytest.raises(Revoked):
        world.verifier().verify(Bearer(token))
