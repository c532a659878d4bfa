"""One password file, made by Apache's `htpasswd` and by hand, given to nginx, to docker-registry and to us.

A row says who lets whom in. Where ours differs from one of the two, the row says why.
"""

from collections.abc import Iterator
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from tests.support.binaries import binary
from tests.support.nginx import running_nginx
from tests.support.peers import running_docker_registry
from tests.support.program import environment, succeed
from tests.support.server import running_server

HEX = "0123456789abcdef" * 5  # 80 characters, as a secret generator makes them
TOKEN = ("eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6IjEifQ.eyJpc3MiOiJodHRwczovL3Rva2Vucy5leGFtcGxlLm9yZyJ9.").ljust(
    120, "s"
)

OURS = """\
version: 0.1
storage: inmemory
http: {addr: "127.0.0.1:5000", secret: x}
auth: {htpasswd: {realm: r, path: htpasswd}}
"""
IN_NGINX = 'location / {{ auth_basic "r"; auth_basic_user_file {folder}/htpasswd; try_files /none =404; }}'


class Row(NamedTuple):
    what: str
    user: str
    password: str
    nginx: bool
    registry: bool
    ours: bool


ROWS = [
    Row("a plain entry", "plain", "secret", nginx=True, registry=True, ours=True),
    Row("a wrong password", "plain", "other", nginx=False, registry=False, ours=False),
    Row("a comment behind the hash", "ann", "secret", nginx=True, registry=True, ours=True),
    Row("80 characters", "long", HEX, nginx=True, registry=True, ours=True),
    Row("80 characters, the last another", "long", HEX[:-1] + "0", nginx=True, registry=True, ours=True),
    Row("80 characters, the 72nd another", "long", HEX[:71] + "x" * 9, nginx=False, registry=False, ours=False),
    Row("71 of 80 characters", "long", HEX[:71], nginx=False, registry=False, ours=False),
    # Decision 0052: its first 72 bytes are in every token of the issuer.
    Row("a token", "token", TOKEN, nginx=True, registry=True, ours=False),
    # docker-registry lets the last line of a name count.
    Row("a name twice, the first password", "twice", "secret", nginx=True, registry=False, ours=True),
    Row("a name twice, the second password", "twice", "other", nginx=False, registry=True, ours=False),
]


def entry(folder: Path, user: str, password: str) -> str:
    """A line that the real htpasswd makes."""
    made = succeed(binary("htpasswd"), "-nbB", "-C", "5", user, password, env=environment(folder))
    return made.out.strip()


@pytest.fixture(scope="module")
def addresses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Where each of the three answers, over one and the same file."""
    folder = tmp_path_factory.mktemp("htpasswd")
    lines = [
        entry(folder, "plain", "secret"),
        f"{entry(folder, 'ann', 'secret')}:Ann of sales",
        entry(folder, "long", HEX),
        entry(folder, "token", TOKEN),
        entry(folder, "twice", "secret"),
        entry(folder, "twice", "other"),
    ]
    path = folder / "htpasswd"
    path.write_text("".join(f"{line}\n" for line in lines))
    (folder / "config.yml").write_text(OURS)
    section = f"auth: {{htpasswd: {{realm: r, path: {path}}}}}\n"
    with (
        running_nginx(folder / "nginx", IN_NGINX.format(folder=folder)) as nginx,
        running_docker_registry(folder / "registry", section) as registry,
        running_server(folder, arguments=["config.yml"], has_tls=False) as ours,
    ):
        yield {"nginx": nginx, "registry": f"{registry}/v2/", "ours": f"{ours.url}/v2/"}


@pytest.mark.parametrize("row", ROWS, ids=attrgetter("what"))
def test_who_is_let_in(addresses: dict[str, str], row: Row) -> None:
    let_in = {
        who: httpx.get(url, auth=(row.user, row.password), trust_env=False).status_code != httpx.codes.UNAUTHORIZED
        for who, url in addresses.items()
    }
    assert let_in == {"nginx": row.nginx, "registry": row.registry, "ours": row.ours}
