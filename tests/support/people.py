"""Who logs in during the tests. The embedded policy gives each `<name>/**`, and the admin everything."""

from dataclasses import dataclass

from tests.support.server import ADMIN, ADMIN_PASSWORD


@dataclass(frozen=True, slots=True)
class User:
    """Somebody with a password."""

    name: str
    password: str


OPERATOR = User(ADMIN, ADMIN_PASSWORD)
ALICE = User("alice", "alice's own password")
BOB = User("bob", "bob's own password")
