"""Several sources as one, over real files and a bcrypt that is counted."""

import datetime as dt
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from authproxy.errors import CredentialsRefused, StartError
from authproxy.files.reload import DoesNotLoad
from authproxy.identity.accounts import add_user, remove_user, set_expiry, set_password
from authproxy.identity.bcrypt_hash import check_password, find_cost, hash_password
from authproxy.identity.directory import Directory
from authproxy.identity.file_source import htpasswd_source, users_source
from authproxy.identity.passwords import Passwords
from authproxy.identity.source import SourceAnswer
from authproxy.log.once import LogOnce
from authproxy.principal import Principal
from tests.support.tokens import START, FakeClock

KEY = b"k" * 32


class Counted:
    """The real bcrypt, and the costs of what it was asked."""

    def __init__(self) -> None:
        self.costs: list[int | None] = []

    def __call__(self, password: str, hashed: str) -> bool:
        self.costs.append(find_cost(hashed))
        return check_password(password, hashed)


@pytest.fixture
def bcrypt() -> Counted:
    return Counted()


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    htpasswd, users = tmp_path / "htpasswd", tmp_path / "users.yaml"
    add_user(htpasswd, users, "alice", "wonderland", ["team"], cost=4)
    add_user(htpasswd, users, "bob", "builder", cost=4)
    own = hash_password("own password", 4)
    users.write_text(
        users.read_text() + f"  ci:\n    password: {own}\n    groups: [ci]\n  ghost: {{groups: [admin]}}\n"
    )
    return htpasswd, users


@pytest.fixture
def open_directory(bcrypt: Counted, files: tuple[Path, Path]) -> Callable[[], Directory]:
    def open_() -> Directory:
        passwords = Passwords(check=bcrypt)
        return Directory(
            [
                htpasswd_source(files[0], passwords=passwords, key=KEY),
                users_source(files[1], passwords=passwords, key=KEY),
            ],
            passwords=passwords,
            key=KEY,
        )

    return open_


@pytest.fixture
def directory(open_directory: Callable[[], Directory]) -> Directory:
    return open_directory()


@pytest.mark.parametrize(
    ("name", "password", "groups", "source"),
    [
        ("alice", "wonderland", {"team"}, "htpasswd"),
        ("bob", "builder", set(), "htpasswd"),
        ("ci", "own password", {"ci"}, "users"),
    ],
)
async def test_who_logs_in(directory: Directory, name: str, password: str, groups: set[str], source: str) -> None:
    principal = await directory.authenticate(name, password)
    assert principal is not None
    assert (principal.name, set(principal.groups), principal.source) == (name, groups, source)
    assert principal == await directory.find(name)


REFUSED = [
    ("alice", "wrong"),
    ("nobody", "wonderland"),
    ("ghost", "anything"),
    ("ci", "wonderland"),
    ("alice", "wonderland" + "x" * 72),
    ("alice", "wonderland\0"),
    ("Alice", "wonderland"),
    ("alice ", "wonderland"),
]


@pytest.mark.parametrize(("name", "password"), REFUSED)
async def test_every_refusal_costs_exactly_one_bcrypt(
    directory: Directory, bcrypt: Counted, name: str, password: str
) -> None:
    """CVE-2023-20902: an unknown user must not be told from a wrong password by time."""
    assert await directory.authenticate(name, password) is None
    assert bcrypt.costs == [4]


# "secret" by each scheme that Apache's htpasswd knows beside bcrypt.
FOREIGN = {
    "apr1": "$apr1$abcdefgh$h9FWgUz3n9YxylKLlR5SQ/",
    "sha": "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=",
    "sha256-crypt": "$5$abcd$BgCbKzckrgGdFcL/gWllSOkKJCXQV5rwJeTh9xnsJ1D",
    "sha512-crypt": "$6$abcd$2xnokga/nDtRjwwaEJ4P2es2v4q8kfckDGncd4naCsE699Y0JnDNWStYgMPa.X.VcIxFM3oLKIRKkAYD33oqG.",
    "crypt": "abNANd1rDfiNc",
    "plain": "secret",
}


@pytest.mark.parametrize("hashed", FOREIGN.values(), ids=FOREIGN)
async def test_no_other_scheme_logs_in_and_the_refusal_costs_what_any_costs(
    tmp_path: Path, bcrypt: Counted, hashed: str
) -> None:
    path = tmp_path / "foreign"
    path.write_text(f"bob:{hash_password('builder', 4)}\nold:{hashed}\n", encoding="utf-8")
    passwords = Passwords(check=bcrypt)
    directory = Directory([htpasswd_source(path, passwords=passwords, key=KEY)], passwords=passwords, key=KEY)
    assert await directory.authenticate("old", "secret") is None
    assert await directory.find("old") is None
    assert bcrypt.costs == [4]


@pytest.mark.parametrize(("name", "password"), [("", ""), ("", "x"), ("alice", ""), ("ghost", ""), ("nobody", "")])
async def test_an_empty_name_or_password_never_logs_in(directory: Directory, name: str, password: str) -> None:
    assert await directory.authenticate(name, password) is None


async def test_a_user_without_a_password_accepts_none_and_is_not_found(directory: Directory) -> None:
    assert await directory.authenticate("ghost", "admin") is None
    assert await directory.find("ghost") is None


async def assert_shut_out(directory: Directory, name: str, password: str, reason: str) -> None:
    """The client sees what it sees for a wrong password; the cause has the reason."""
    with pytest.raises(CredentialsRefused) as caught:
        await directory.authenticate(name, password)
    assert str(caught.value) == CredentialsRefused.message
    assert re.fullmatch(reason, str(caught.value.__cause__))


async def test_a_user_who_is_disabled_anywhere_does_not_exist(directory: Directory, files: tuple[Path, Path]) -> None:
    users = files[1]
    users.write_text(users.read_text().replace("{groups: [team]}", "{groups: [team], disabled: true}"))
    assert await directory.authenticate("alice", "wonderland") is not None  # not looked yet
    directory.refresh()
    await assert_shut_out(directory, "alice", "wonderland", "the user is disabled")
    assert await directory.authenticate("alice", "wrong") is None
    assert await directory.find("alice") is None


async def test_a_robot_is_one_whichever_source_says_so(
    open_directory: Callable[[], Directory], files: tuple[Path, Path]
) -> None:
    text = files[1].read_text().replace("groups: [ci]", "groups: [ci]\n    robot: true")
    files[1].write_text(text + "  bob: {robot: true}\n")
    directory = open_directory()
    for name, password, is_robot in (
        ("ci", "own password", True),
        ("bob", "builder", True),
        ("alice", "wonderland", False),
    ):
        for principal in (await directory.authenticate(name, password), await directory.find(name)):
            assert principal is not None
            assert principal.is_robot is is_robot


async def test_that_it_is_a_robot_ends_no_login(
    open_directory: Callable[[], Directory], files: tuple[Path, Path]
) -> None:
    before = await open_directory().find("bob")
    files[1].write_text(files[1].read_text() + "  bob: {robot: true}\n")
    after = await open_directory().find("bob")
    assert before is not None
    assert after is not None
    assert (before.stamp, before.is_robot, after.is_robot) == (after.stamp, False, True)


async def test_a_user_neither_logs_in_nor_renews_from_the_moment_of_the_expiry_on(files: tuple[Path, Path]) -> None:
    htpasswd, users = files
    set_expiry(htpasswd, users, "bob", dt.datetime.fromtimestamp(START + 60, dt.UTC))
    clock, passwords = FakeClock(), Passwords()
    sources = [
        read(path, passwords=passwords, key=KEY) for read, path in ((htpasswd_source, htpasswd), (users_source, users))
    ]
    directory = Directory(sources, passwords=passwords, key=KEY, now=clock)
    clock.now = START + 59.9
    assert await directory.authenticate("bob", "builder") is not None
    assert await directory.find("bob") is not None
    clock.now = START + 60
    # Though the password was remembered.
    await assert_shut_out(directory, "bob", "builder", r"the user has expired: \d{4}-.*")
    assert await directory.find("bob") is None
    assert await directory.find("alice") is not None


async def test_unknown_users_cost_what_the_files_users_cost(files: tuple[Path, Path], bcrypt: Counted) -> None:
    htpasswd, _ = files
    add_user(htpasswd, None, "carol", "x", cost=5)
    passwords = Passwords(check=bcrypt)
    directory = Directory([htpasswd_source(htpasswd, passwords=passwords, key=KEY)], passwords=passwords, key=KEY)
    for number in range(30):
        await directory.authenticate(f"unknown{number}", "x")
    assert set(bcrypt.costs) == {4, 5}
    bcrypt.costs.clear()
    for _ in range(3):
        await directory.authenticate("unknown1", "x")
    assert len(set(bcrypt.costs)) == 1  # the same name always looks the same


async def test_changes_by_the_commands_are_in_force_after_one_look(
    directory: Directory, files: tuple[Path, Path]
) -> None:
    htpasswd, users = files
    before = await directory.find("alice")
    assert await directory.authenticate("alice", "wonderland")
    set_password(htpasswd, "alice", "looking-glass", cost=4)
    add_user(htpasswd, users, "dora", "explorer", ["kids"], cost=4)
    remove_user(htpasswd, users, "bob")
    directory.refresh()
    assert await directory.authenticate("alice", "wonderland") is None  # though it was remembered
    after = await directory.authenticate("alice", "looking-glass")
    assert before is not None
    assert after is not None
    assert after.stamp != before.stamp
    dora = await directory.authenticate("dora", "explorer")
    assert dora is not None
    assert dora.groups == {"kids"}
    assert await directory.authenticate("bob", "builder") is None
    assert await directory.find("bob") is None


async def test_a_stamp_stays_over_restarts_and_tells_users_apart(open_directory: Callable[[], Directory]) -> None:
    one, two = open_directory(), open_directory()
    alice, bob = await one.find("alice"), await one.find("bob")
    assert alice is not None
    assert bob is not None
    assert alice.stamp != bob.stamp
    assert (alice, bob) == (await two.find("alice"), await two.find("bob"))


async def test_a_broken_file_leaves_the_users_as_they_were_and_says_why_until_it_loads(
    directory: Directory, files: tuple[Path, Path]
) -> None:
    files[1].write_text("users: [oops]\n")
    for _ in range(2):
        with pytest.raises(DoesNotLoad, match=r"users\.yaml:1"):
            directory.refresh()
    assert (found := await directory.find("alice")) is not None
    assert found.groups == {"team"}


async def test_a_file_that_vanishes_leaves_the_users_as_they_were(
    directory: Directory, files: tuple[Path, Path]
) -> None:
    files[0].unlink()
    for _ in range(2):
        with pytest.raises(StartError, match="does not exist"):  # which may be a user that was removed
            directory.refresh()
    assert await directory.find("alice") is not None


def test_a_file_that_is_missing_at_the_start_stops_it(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="htpasswd"):
        htpasswd_source(tmp_path / "htpasswd", passwords=Passwords(), key=KEY)


async def test_a_password_that_is_cut_is_told_once_for_each_user_and_never_shown(tmp_path: Path) -> None:
    path, once, passwords = tmp_path / "htpasswd", LogOnce(), Passwords()
    secret, token = "s3cret-" + "x" * 73, "eyJhbGciOi" + "x" * 70
    hashes = {"ann": secret[:72], "bob": token[:72], "eve": secret[:72]}
    path.write_text("".join(f"{name}:{hash_password(cut, 4)}\n" for name, cut in hashes.items()))
    source = htpasswd_source(path, passwords=passwords, key=KEY, once=once)
    with capture_logs() as logs:
        for _ in range(2):
            assert isinstance(await source.authenticate("ann", secret), Principal)
            assert await source.authenticate("bob", token) is SourceAnswer.REFUSED
            assert await source.authenticate("eve", "y" + secret) is SourceAnswer.REFUSED
    assert [entry["user"] for entry in logs] == ["ann", "bob"]
    assert "only the first 72 bytes" in logs[0]["event"]
    assert "begins like JSON, a token or a PEM file" in logs[1]["event"]
    assert "s3cret" not in str(logs)
    assert "eyJ" not in str(logs)
    await passwords.close()
