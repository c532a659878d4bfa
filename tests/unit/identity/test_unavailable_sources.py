"""Sources that cannot be asked, beside local users: nobody is refused for it, and nobody gets past it.

A network source does not exist yet; `RemoteUsers` is one in memory.
"""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from authproxy.errors import CredentialsRefused
from authproxy.identity.accounts import add_user
from authproxy.identity.bcrypt_hash import check_password
from authproxy.identity.directory import Directory
from authproxy.identity.file_source import htpasswd_source, users_source
from authproxy.identity.passwords import Passwords
from authproxy.identity.source import SourceUnavailable
from tests.support.remote_users import RemoteUsers

KEY = b"k" * 32


class Machine:
    """Two local files with alice and bob, and remote sources beside them; every bcrypt is counted."""

    def __init__(self, folder: Path) -> None:
        self.htpasswd, self.users = folder / "htpasswd", folder / "users.yaml"
        add_user(self.htpasswd, self.users, "alice", "wonderland", ["admins"], cost=4)
        self.users.write_text(self.users.read_text() + "  carol: {groups: [local]}\n  dave: {disabled: true}\n")
        self.bcrypts = 0
        self.passwords = Passwords(check=self._check)

    def directory(self, *remote: RemoteUsers) -> Directory:
        local = [
            htpasswd_source(self.htpasswd, passwords=self.passwords, key=KEY),
            users_source(self.users, passwords=self.passwords, key=KEY),
        ]
        return Directory(local, remote, passwords=self.passwords, key=KEY)

    def _check(self, password: str, hashed: str) -> bool:
        self.bcrypts += 1
        return check_password(password, hashed)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


async def test_a_local_user_logs_in_and_is_refused_while_a_source_is_down(machine: Machine) -> None:
    remote = RemoteUsers({"alice": "of another"}, is_down=True)
    directory = machine.directory(remote)
    assert await directory.authenticate("alice", "wonderland") is not None
    assert await directory.authenticate("alice", "of another") is None
    assert await directory.find("alice") is not None
    assert remote.asked == []


async def test_a_name_that_the_source_may_know_is_neither_accepted_nor_refused_while_it_is_down(
    machine: Machine,
) -> None:
    remote = RemoteUsers({"carol": "right"}, is_down=True)
    directory = machine.directory(remote)
    for name in ("carol", "nobody"):
        with pytest.raises(SourceUnavailable):
            await directory.authenticate(name, "right")
        with pytest.raises(SourceUnavailable):
            await directory.find(name)
    remote.is_down = False
    principal = await directory.authenticate("carol", "right")
    assert principal is not None
    assert (principal.source, set(principal.groups)) == ("remote", {"local"})


async def test_no_later_source_decides_in_place_of_one_that_is_down(machine: Machine) -> None:
    later = RemoteUsers({"carol": "right"}, kind="later")
    directory = machine.directory(RemoteUsers({"carol": "other"}, is_down=True), later)
    with pytest.raises(SourceUnavailable):
        await directory.authenticate("carol", "right")
    with pytest.raises(SourceUnavailable):
        await directory.find("carol")
    assert later.asked == []


async def test_a_source_that_is_down_holds_up_only_names_that_it_may_know(machine: Machine) -> None:
    directory = machine.directory(RemoteUsers(prefix="ldap:", is_down=True), RemoteUsers({"carol": "right"}))
    assert await directory.authenticate("carol", "right") is not None
    assert await directory.authenticate("carol", "wrong") is None
    assert await directory.authenticate("nobody", "right") is None
    with pytest.raises(SourceUnavailable):
        await directory.authenticate("ldap:carol", "right")


async def test_the_first_remote_source_that_knows_the_name_decides(machine: Machine) -> None:
    first, second = RemoteUsers({"carol": "first"}, kind="first"), RemoteUsers({"carol": "second"}, kind="second")
    directory = machine.directory(first, second)
    principal = await directory.authenticate("carol", "first")
    assert principal is not None
    assert principal.source == "first"
    assert await directory.authenticate("carol", "second") is None


async def test_every_refusal_costs_one_bcrypt_with_remote_sources_too(machine: Machine) -> None:
    directory = machine.directory(RemoteUsers({"carol": "right"}))
    for name in ("alice", "carol", "nobody"):
        machine.bcrypts = 0
        assert await directory.authenticate(name, "wrong") is None
        assert machine.bcrypts == 1, name


async def test_a_user_of_a_remote_source_is_shut_out_locally(machine: Machine) -> None:
    directory = machine.directory(RemoteUsers({"carol": "right", "dave": "right"}))
    with pytest.raises(CredentialsRefused, match=CredentialsRefused.message) as caught:
        await directory.authenticate("dave", "right")
    assert str(caught.value.__cause__) == "the user is disabled"
    assert await directory.find("dave") is None
    assert await directory.find("carol") is not None
    machine.users.write_text(machine.users.read_text().replace("carol: {", "carol: {disabled: true, "))
    directory.refresh()
    assert await directory.find("carol") is None


async def test_there_may_be_no_local_users_at_all(machine: Machine) -> None:
    directory = Directory((), [RemoteUsers({"carol": "right"})], passwords=machine.passwords, key=KEY)
    directory.refresh()
    assert await directory.authenticate("carol", "right") is not None
    assert await directory.authenticate("carol", "wrong") is None
    assert await directory.authenticate("nobody", "right") is None
    assert machine.bcrypts == 0


async def test_an_outage_is_in_the_log_with_its_reason_and_not_in_the_answer(machine: Machine) -> None:
    reason = "ldap.internal:636: an outage that no other test has"
    directory = machine.directory(RemoteUsers(is_down=True, reason=reason))
    with capture_logs() as lines, pytest.raises(SourceUnavailable) as caught:
        await directory.find("carol")
    assert "ldap.internal" not in str(caught.value)
    assert dict(caught.value.headers)["Retry-After"] == "5"
    assert lines == [
        {"event": "identity source unavailable", "log_level": "error", "reason": reason, "source": "remote"}
    ]
