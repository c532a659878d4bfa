"""Users made before the server's first start, with hashes that a busy machine checks in time too."""

from collections.abc import Iterable
from pathlib import Path

from authproxy.config.embedded import Layout
from authproxy.identity.accounts import add_user
from authproxy.identity.bcrypt_hash import MIN_COST
from authproxy.quickstart import ADMIN, ADMINS
from tests.support.server import ADMIN_PASSWORD


def add_cheap_users(folder: Path, users: Iterable[tuple[str, str]], *, cost: int = MIN_COST) -> None:
    """The admin, and `users` by name and password, in the folder of an embedded server that has not started yet."""
    layout = Layout(folder)
    layout.data.mkdir(mode=0o700, parents=True)
    add_user(layout.htpasswd, layout.users, ADMIN, ADMIN_PASSWORD, [ADMINS], cost=cost)
    for name, password in users:
        add_user(layout.htpasswd, layout.users, name, password, cost=cost)
