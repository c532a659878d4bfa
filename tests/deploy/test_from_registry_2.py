"""The page docs/how-to/from-registry-2.md, followed: there, and back again."""

import shlex
import time
from pathlib import Path

from tests.deploy import cncf, pages
from tests.deploy.conftest import Built
from tests.deploy.people import PASSWORD, REPOSITORY, USER, write_passwords
from tests.deploy.registry2 import make_registry_2
from tests.support.container import Container, wait_until_it_listens

PAGE = "from-registry-2"
HOST = "localhost:5000"
STARTED_WITHIN_S = 20.0

CONFIG = """\
version: 0.1
log: {fields: {service: registry}}
storage: {filesystem: {rootdirectory: /var/lib/registry}}
http: {addr: ":5000"}
auth: {htpasswd: {realm: Registry Realm, path: /auth/htpasswd}}
"""
# CNCF's line for data of one's own and that for a configuration of one's own, in one.
LINE = """\
docker run -d -p 5000:5000 --restart=always --name registry \\
  -v /mnt/registry:/var/lib/registry \\
  -v "$(pwd)"/auth:/auth \\
  -v "$(pwd)"/config.yml:/etc/docker/registry/config.yml \\
  registry:2
"""


def test_only_the_name_changes_and_back_again(built: Built, data: Path, tmp_path: Path) -> None:
    docker = built.docker
    make_registry_2(built, tmp_path / "registry2")
    (tmp_path / "config.yml").write_text(CONFIG)
    write_passwords(tmp_path / "auth")
    names = [f"{HOST}/{REPOSITORY}:{tag}" for tag in (1, 2)]
    for name in names:
        docker.make_image(name, name)
    docker.must(*cncf.words(LINE, "registry:2", tmp_path))
    log_in(built)
    docker.must("push", names[0])

    for options in ("gc --dry-run --storage", "gc --dry-run --delete-untagged"):
        assert "would free " in docker.must(*dry_run(options, tmp_path)).splitlines()[-1]
    asked = pages.typed(PAGE, 'docker run --rm -v "$(pwd)', tmp_path)[1:]
    assert docker.must(*asked).endswith("\n/etc/distribution/config.yml: ok: a password with each request\n")
    type_in(built, "docker stop registry")
    type_in(built, "docker rename registry")
    ours = Container(docker, docker.must(*cncf.words(LINE, built.image, tmp_path)).strip())
    try:
        wait_until_it_listens(ours)
        docker.must("rmi", names[0])
        docker.must("pull", names[0])  # nobody had to log in again
        docker.must("push", names[1])
        type_in(built, "docker exec registry authproxy verify")
        type_in(built, "docker exec registry authproxy gc --enable")
        type_in(built, "docker exec registry authproxy gc --disable")

        type_in(built, "docker stop registry")
        type_in(built, "docker start registry-before")
        docker.must("rmi", names[1])
        deadline = time.monotonic() + STARTED_WITHIN_S
        while (pulled := docker("pull", names[1])).code != 0:
            assert time.monotonic() < deadline, str(pulled)
            time.sleep(0.1)
    finally:
        docker("rm", "--force", "--volumes", "registry", "registry-before")
        docker("logout", HOST)


def type_in(built: Built, start: str) -> None:
    """Run a command of the page; it has `docker stop registry` in both directions."""
    line = next(line for line in pages.commands(PAGE) if line.startswith(start))
    built.docker.must(*shlex.split(line)[1:])


def dry_run(options: str, folder: Path) -> list[str]:
    """The words of the page's line; the folder that registry:2 serves is the test's."""
    line = pages.command(PAGE, f"docker run --rm -v /mnt/registry:/var/lib/registry:ro authproxy {options}")
    return shlex.split(line.replace("/mnt/registry", str(folder / "registry")))[1:]


def log_in(built: Built) -> None:
    """As soon as the registry listens."""
    deadline = time.monotonic() + STARTED_WITHIN_S
    while (login := built.docker.login(HOST, USER, PASSWORD)).code != 0:
        assert time.monotonic() < deadline, str(login)
        time.sleep(0.1)
