"""The page docs/how-to/back-up-and-restore.md, followed: from a server that takes pushes, to another machine.

A machine is a folder, and the page's paths are below it.
"""

import json
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import httpx
import pytest

from authproxy.policy import DEFAULT_POLICY
from tests.deploy import pages
from tests.support.binaries import binary
from tests.support.image import MANIFEST_TYPE, Image, make_image, push_image
from tests.support.program import Outcome, environment, run
from tests.support.server import ADMIN, ADMIN_PASSWORD, AUTHPROXY, Server, running_server

PAGE = "back-up-and-restore"
REPOSITORY = "team/app"
SCOPE = f"repository:{REPOSITORY}:*"
# Where the page keeps copies: not on the machine that is lost.
ELSEWHERE = ("/backup", "/srv")

# It answers 503 for ten seconds, until it is sure that the storage is an older one.
REFUSES_WITHIN_S = 30.0

CONFIG = """\
version: 0.1
http: {{addr: "127.0.0.1:5000"}}
storage:
  filesystem: {{rootdirectory: {root}/var/lib/registry}}
  delete: {{enabled: true}}
token: {{keys: {root}/var/lib/authproxy/keys}}
identities:
  - htpasswd: {{path: {root}/var/lib/authproxy/htpasswd}}
  - users: {{path: {root}/var/lib/authproxy/users.yaml}}
policies: {{path: {root}/etc/authproxy/policies}}
audit: {{file: {{path: {root}/var/lib/authproxy/audit.log}}}}
"""


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine, and the folder of what is on no machine."""

    root: Path
    elsewhere: Path

    @property
    def config(self) -> Path:
        return self.root / "etc/authproxy/config.yml"

    @property
    def storage(self) -> Path:
        return self.root / "var/lib/registry"

    def install(self) -> None:
        """The files of a machine that serves for the first time."""
        for folder in ("etc/authproxy/policies", "var/lib/authproxy", "var/lib/registry"):
            (self.root / folder).mkdir(parents=True)
        (self.root / "etc/authproxy/policies/default.yaml").write_text(DEFAULT_POLICY)
        self.name_folders()

    def name_folders(self) -> None:
        """The configuration, which names the same folders on every machine."""
        self.config.write_text(CONFIG.format(root=self.root))

    def type(self, start: str) -> Outcome:
        """Run the page's command that begins so."""
        program, *words = shlex.split(pages.command(PAGE, start))
        words = [self._here(word) for word in words]
        argv = [AUTHPROXY if program == "authproxy" else binary(program), *words]
        cwd = self.elsewhere / "backup" if program == "restic" else self.root  # the page's `cd`
        return run(*argv, env=environment(self.elsewhere, RESTIC_PASSWORD="a password"), cwd=cwd)

    def _here(self, word: str) -> str:
        place = self.elsewhere if word.startswith(ELSEWHERE) else self.root
        return f"{place}{word}" if word.startswith("/") else word


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[tuple[Machine, Machine, Server]]:
    """A machine with a running server, and a new one."""
    (tmp_path / "elsewhere/backup").mkdir(parents=True)
    old, new = (Machine(tmp_path / name, tmp_path / "elsewhere") for name in ("old", "new"))
    old.install()
    new.root.mkdir()
    with running_server(old.root, arguments=[str(old.config)], has_tls=False) as server:
        yield old, new, server


def must(outcome: Outcome) -> Outcome:
    assert outcome.code == 0, str(outcome)
    return outcome


def push(server: Server, tag: str, image: Image) -> None:
    with server.client_for(ADMIN, ADMIN_PASSWORD, SCOPE) as client:
        push_image(client, REPOSITORY, tag, image)


def delete(server: Server, image: Image) -> None:
    with server.client_for(ADMIN, ADMIN_PASSWORD, SCOPE) as client:
        assert client.delete(f"/v2/{REPOSITORY}/manifests/{image.digest}").status_code == httpx.codes.ACCEPTED


def pull(server: Server, tag: str) -> bytes:
    """The manifest; its blobs are there too."""
    with server.client_for(ADMIN, ADMIN_PASSWORD, SCOPE) as client:
        answer = client.get(f"/v2/{REPOSITORY}/manifests/{tag}", headers={"Accept": MANIFEST_TYPE})
        assert answer.status_code == httpx.codes.OK, answer.text
        manifest = json.loads(answer.content)
        for blob in (manifest["config"], *manifest["layers"]):
            got = client.get(f"/v2/{REPOSITORY}/blobs/{blob['digest']}")
            assert (got.status_code, len(got.content)) == (httpx.codes.OK, blob["size"])
        return answer.content


def test_a_copy_beside_pushes_is_whole_and_restored_on_another_machine(
    machines: tuple[Machine, Machine, Server],
) -> None:
    old, new, server = machines
    numbers = count()

    def push_one() -> Image:
        """A new image, to which `latest` moves."""
        image = make_image(f"pushed {next(numbers)}")
        push(server, "latest", image)
        return image

    kept, gone = push_one(), make_image("deleted meanwhile")
    push(server, "v1", kept)
    push(server, "v0", gone)
    pull(server, "v1")
    must(old.type("rsync -aR --delete etc/authproxy"))
    must(old.type("rsync -aR --delete --exclude=_uploads var/lib/registry"))
    push_one()
    delete(server, gone)
    must(old.type("rsync -aR --exclude=_uploads --exclude=_manifests/tags"))
    push_one()
    must(old.type("rsync -aR --delete var/lib/registry/docker/registry/v2/blobs"))
    push_one()
    must(old.type("rsync -aR --delete var/lib/registry/authproxy"))
    must(old.type("authproxy verify --storage /backup"))
    must(old.type("restic -r /srv/restic init"))
    must(old.type("restic -r /srv/restic backup"))
    server.stop()

    must(new.type("restic -r /srv/restic restore"))
    new.name_folders()
    assert must(new.type("authproxy config check")).out.endswith(": ok: it issues its own tokens\n")
    assert "0 damaged, 0 unknown" in must(new.type("authproxy verify /etc")).out
    usage = (AUTHPROXY, "usage", "--config", str(new.config))
    assert "may be missing: a process was killed" in must(run(*usage, env=environment(new.root), cwd=new.root)).out
    with running_server(new.root, arguments=[str(new.config)], has_tls=False) as restored:
        assert pull(restored, "v1") == kept.manifest
        assert pull(restored, "latest") == kept.manifest
        assert pull(restored, "v0") == gone.manifest
        push(restored, "v2", make_image("after"))
        assert must(new.type("authproxy token revoke --all")).out


def test_a_copy_in_the_other_order_has_a_tag_without_its_content(machines: tuple[Machine, Machine, Server]) -> None:
    """What the page warns of."""
    old, _, server = machines
    push(server, "latest", make_image("before"))
    must(old.type("rsync -aR --delete var/lib/registry/docker/registry/v2/blobs"))
    push(server, "latest", make_image("meanwhile"))
    must(old.type("rsync -aR --delete --exclude=_uploads var/lib/registry"))
    outcome = old.type("authproxy verify --storage /backup")
    assert outcome.code == 1, str(outcome)
    assert f"hits {REPOSITORY}:latest" in outcome.out


def test_a_storage_that_is_older_than_the_keys_ends_logins(machines: tuple[Machine, Machine, Server]) -> None:
    old, new, server = machines
    push(server, "v1", make_image("before"))
    login = log_in(server)
    must(revoke(old, "bob"))
    must(old.type("rsync -aR --delete --exclude=_uploads var/lib/registry"))
    must(old.type("rsync -aR --delete var/lib/registry/docker"))
    must(old.type("rsync -aR --delete var/lib/registry/authproxy"))
    must(revoke(old, "carol"))
    server.wait_until(lambda: number_seen(old) == 2)
    must(old.type("rsync -aR --delete etc/authproxy"))
    assert status_of(server, login) == httpx.codes.OK
    server.stop()

    shutil.copytree(new.elsewhere / "backup", new.root, dirs_exist_ok=True)
    new.name_folders()
    with running_server(new.root, arguments=[str(new.config)], has_tls=False) as restored:
        restored.wait_until(lambda: status_of(restored, login) != httpx.codes.SERVICE_UNAVAILABLE, REFUSES_WITHIN_S)
        assert status_of(restored, login) == httpx.codes.UNAUTHORIZED
        restored.wait_until(lambda: status_of(restored, log_in(restored)) == httpx.codes.OK)


def revoke(machine: Machine, user: str) -> Outcome:
    command = (AUTHPROXY, "token", "revoke", user, "--config", str(machine.config))
    return run(*command, env=environment(machine.root), cwd=machine.root)


def number_seen(machine: Machine) -> int:
    """The highest number of a revocation that is noted beside the keys."""
    seen = json.loads((machine.root / "var/lib/authproxy/keys/.revocations").read_text())
    return max(int(table["number"]) for table in seen.values())


def log_in(server: Server) -> str:
    """What `docker login` keeps."""
    with server.client() as client:
        asked = {"offline_token": "true", "service": "authproxy", "client_id": "docker"}
        answer = client.get("/token", params=asked, auth=(ADMIN, ADMIN_PASSWORD))
        return str(answer.json().get("refresh_token", "none yet: logins are being ended"))


def status_of(server: Server, login: str) -> int:
    """How the server answers a login that was kept."""
    form = {"grant_type": "refresh_token", "refresh_token": login, "service": "authproxy", "client_id": "docker"}
    with server.client() as client:
        return client.post("/token", data=form).status_code
