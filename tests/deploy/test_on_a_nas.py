"""The page docs/how-to/on-a-nas.md: its Compose file, and Unraid's fields, on folders of other accounts."""

import os
import re
from pathlib import Path

import pytest
import yaml

from tests.deploy import pages
from tests.deploy.conftest import Built
from tests.deploy.people import push_and_pull
from tests.support.binaries import binary
from tests.support.container import Container, running_container, wait_until_it_listens
from tests.support.program import Outcome, environment, run

PAGE = "on-a-nas"
ADMIN, PASSWORD = "admin", "an admin's password of a test"
SYNOLOGY, TRUENAS, UNRAID = (1026, 100), (568, 568), (99, 100)


def page() -> str:
    return (pages.HOW_TO / f"{PAGE}.md").read_text()


def compose_file() -> str:
    found: list[str] = re.findall(r"^```yaml\n(.*?)^```$", page(), re.MULTILINE | re.DOTALL)
    assert len(found) == 1
    return found[0]


def owners(folder: Path) -> set[tuple[int, int]]:
    """Whose the files below a folder are, the folder's own among them."""
    paths = [Path(top, name) for top, folders, names in os.walk(folder) for name in (*folders, *names)]
    return {(at.st_uid, at.st_gid) for at in (path.lstat() for path in (folder, *paths))}


class Nas:
    """A NAS with the page's Compose file, whose folder is this one."""

    def __init__(self, built: Built, folder: Path, *, user: tuple[int, int], owner: tuple[int, int]) -> None:
        self.built = built
        self.data = folder / "registry"
        self.data.mkdir(mode=0o700)
        os.chown(self.data, *owner)
        self.folder = folder
        text = compose_file().replace('"1026:100"', f'"{user[0]}:{user[1]}"').replace("nas.lan", "localhost")
        text = text.replace("/volume1/docker/registry", str(self.data))
        text += f"    environment: {{AUTHPROXY_ADMIN_PASSWORD: {PASSWORD}}}\n"
        (folder / "compose.yaml").write_text(text)

    def compose(self, *arguments: str) -> Outcome:
        env = environment(self.built.docker.home, DOCKER_HOST=self.built.daemon.socket)
        return run(binary("docker-compose"), "-f", "compose.yaml", *arguments, env=env, cwd=self.folder)

    def container(self) -> Container:
        return Container(self.built.docker, self.compose("ps", "-q", "registry").out.strip())


@pytest.mark.parametrize("account", [SYNOLOGY, TRUENAS], ids=["Synology", "TrueNAS"])
def test_the_compose_file_serves_as_the_account_that_owns_the_folder(
    built: Built, tmp_path: Path, account: tuple[int, int]
) -> None:
    tmp_path.chmod(0o755)
    nas = Nas(built, tmp_path, user=account, owner=account)
    try:
        started = nas.compose("up", "-d")
        assert started.code == 0, str(started)
        wait_until_it_listens(nas.container())
        push_and_pull(built.docker, "localhost:5050", ADMIN, PASSWORD)
        assert nas.container().user_id == account[0]
        assert owners(nas.data) == {account}
        assert (nas.data / "certs/ca.pem").is_file()
        listed = nas.compose("exec", "-T", "registry", "authproxy", "user", "list")
        assert listed.out.startswith(ADMIN), str(listed)
        words = pages.command(PAGE, "docker exec CONTAINER authproxy trust").split()
        trust = nas.compose("exec", "-T", "registry", *words[3:])
        assert "/etc/docker/certs.d/nas.lan:5050" in trust.out, str(trust)
        assert "BEGIN CERTIFICATE" in trust.out
    finally:
        nas.compose("down", "--volumes", "--timeout", "5")


def test_a_folder_of_another_account_is_named(built: Built, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    nas = Nas(built, tmp_path, user=SYNOLOGY, owner=TRUENAS)
    try:
        text = (nas.folder / "compose.yaml").read_text()
        (nas.folder / "compose.yaml").write_text(text.replace("restart: unless-stopped", 'restart: "no"'))
        ended = nas.compose("up")
        assert "/var/lib/authproxy" in ended.text
        assert "Traceback" not in ended.text
    finally:
        nas.compose("down", "--volumes", "--timeout", "5")


def test_unraids_fields_start_it(built: Built, tmp_path: Path) -> None:
    fields = dict(re.findall(r"^\| (.+?) \| (.+?) \|$", page(), re.MULTILINE))
    options, arguments = (fields[name].strip("`").split() for name in ("Extra Parameters", "Post Arguments"))
    assert f"--user={UNRAID[0]}:{UNRAID[1]}" in options
    tmp_path.chmod(0o755)
    data = tmp_path / "registry"
    data.mkdir()
    os.chown(data, *UNRAID)
    mounted = ("--publish", "5050:5000", "--volume", f"{data}:/var/lib/authproxy")
    password = ("--env", f"AUTHPROXY_ADMIN_PASSWORD={PASSWORD}")
    with running_container(built.docker, *options, *mounted, *password, built.image, *arguments) as container:
        push_and_pull(built.docker, "localhost:5050", ADMIN, PASSWORD)
        assert container.user_id == UNRAID[0]
    assert owners(data) == {UNRAID}


def test_the_compose_file_has_four_lines_to_change() -> None:
    assert len(re.findall(r" # ", compose_file())) == 4
    assert list(yaml.safe_load(compose_file())["services"]) == ["registry"]
