"""The clients that are programs: docker, podman, buildah and skopeo, each by the commands that people type."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from tests.clients.matrix.driver import TAG, Login, Setting
from tests.support.binaries import binary
from tests.support.daemon import Daemon, Docker
from tests.support.image import write_layout
from tests.support.program import Outcome, environment, run

# podman and buildah read it from the home before they look into /etc.
TRUST_ANY_SIGNER = '{"default": [{"type": "insecureAcceptAnything"}]}'


@dataclass(frozen=True, slots=True)
class DockerDriver:
    """docker with a daemon, which remembers from which repository it has each layer."""

    setting: Setting
    daemon: Daemon
    fresh: str = "matrix/fresh"

    def prepare(self) -> None:
        """Have the base images that alice may pull, and the fresh one, in the daemon."""
        self._person(Login()).make_image(self.fresh, mark=self.fresh)
        for repository in pullable_bases(self.setting):
            self._fetch(repository)

    def pull(self, login: Login, repository: str) -> Outcome:
        """And forget it, so that the next pull has to fetch it again."""
        docker = self._person(login)
        outcome = docker("pull", self._name(repository))
        docker("rmi", self._name(repository))
        return outcome

    def push(self, login: Login, repository: str) -> Outcome:
        """Tag and push."""
        return self._push(login, self.fresh, repository)

    def mount(self, login: Login, source: str, repository: str) -> Outcome:
        """The daemon offers the mount by itself. One that has failed makes it forget where it has the layer from."""
        self._person(Login()).must("rmi", self._name(source))
        self._fetch(source)
        return self._push(login, self._name(source), repository)

    def _fetch(self, repository: str) -> None:
        self._person(self.setting.right).must("pull", "--quiet", self._name(repository))

    def _push(self, login: Login, image: str, repository: str) -> Outcome:
        docker = self._person(login)
        docker.must("tag", image, self._name(repository))
        outcome = docker("push", self._name(repository))
        docker.must("rmi", self._name(repository))
        return outcome

    def _name(self, repository: str) -> str:
        return f"{self.setting.server.host}/{repository}:{TAG}"

    def _person(self, login: Login) -> Docker:
        docker = self.daemon.docker(uuid4().hex)
        (docker.home / ".docker").mkdir()
        (docker.home / ".docker" / "config.json").write_text(login.as_config(self.setting.server.host))
        return docker


@dataclass(frozen=True, slots=True)
class StorageDriver:
    """podman or buildah, which share a library and, for what the matrix does, their words."""

    setting: Setting
    home: Path
    options: tuple[str, ...]  # the program, and what stands before its verb
    fresh: str = "localhost/fresh:v1"

    def prepare(self) -> None:
        """Have the base images that alice may pull, and the fresh one, in the storage."""
        _write_trust(self.setting, self.home)
        layout = write_layout(self.setting.fresh, self.home / "layout", TAG)
        _must(self._run(Login(), "pull", "--quiet", layout))
        identity = _must(self._run(Login(), "images", "--quiet")).strip()
        _must(self._run(Login(), "tag", identity, self.fresh))
        for repository in pullable_bases(self.setting):
            _must(self._run(self.setting.right, "pull", "--quiet", *self._trust, self._name(repository)))

    def pull(self, login: Login, repository: str) -> Outcome:
        """And forget it, so that the next pull has to fetch it again."""
        outcome = self._run(login, "pull", *self._trust, self._name(repository))
        if outcome.code == 0:
            _must(self._run(login, "rmi", self._name(repository)))
        return outcome

    def push(self, login: Login, repository: str) -> Outcome:
        """Push under another name than its own."""
        return self._push(login, self.fresh, repository)

    def mount(self, login: Login, source: str, repository: str) -> Outcome:
        """The library offers the mount by itself: it remembers where it has each layer from."""
        return self._push(login, self._name(source), repository)

    def _push(self, login: Login, image: str, repository: str) -> Outcome:
        return self._run(login, "push", *self._trust, image, f"docker://{self._name(repository)}")

    @property
    def _trust(self) -> tuple[str, str]:
        return ("--cert-dir", str(self.home / "certificates"))

    def _name(self, repository: str) -> str:
        return f"{self.setting.server.host}/{repository}:{TAG}"

    def _run(self, login: Login, *arguments: str) -> Outcome:
        return run(*self.options, *arguments, env=_environment_with(login, self.setting, self.home))


@dataclass(frozen=True, slots=True)
class SkopeoDriver:
    """skopeo, which copies between the registry and image layouts on disk."""

    setting: Setting
    home: Path

    def prepare(self) -> None:
        """Have the base images that alice may pull, and the fresh one, on disk."""
        _write_trust(self.setting, self.home)
        write_layout(self.setting.fresh, self.home / "fresh", TAG)
        for repository in pullable_bases(self.setting):
            _must(self._copy(self.setting.right, "src", self._name(repository), self._layout(repository)))

    def pull(self, login: Login, repository: str) -> Outcome:
        """Copy into a new folder."""
        return self._copy(login, "src", self._name(repository), f"dir:{self.home}/{uuid4().hex}")

    def push(self, login: Login, repository: str) -> Outcome:
        """Copy from a layout."""
        return self._copy(login, "dest", f"oci:{self.home}/fresh:{TAG}", self._name(repository))

    def delete(self, login: Login, repository: str) -> Outcome:
        """By tag: skopeo looks the digest up."""
        return self._run(login, "delete", *_bearer(login, ""), *self._trust(""), self._name(repository))

    def mount(self, login: Login, source: str, repository: str) -> Outcome:
        """The library offers the mount by itself: it remembers where it has each layer from."""
        return self._copy(login, "dest", self._layout(source), self._name(repository))

    def _copy(self, login: Login, side: str, source: str, target: str) -> Outcome:
        options = (*_bearer(login, f"{side}-"), *self._trust(f"{side}-"))
        return self._run(login, "copy", *options, source, target)

    def _run(self, login: Login, *arguments: str) -> Outcome:
        env = _environment_with(login, self.setting, self.home)
        return run(binary("skopeo"), "--insecure-policy", *arguments, env=env)

    def _trust(self, side: str) -> tuple[str, str]:
        return (f"--{side}cert-dir", str(self.home / "certificates"))

    def _layout(self, repository: str) -> str:
        return f"oci:{self.home}/{repository.replace('/', '-')}:{TAG}"

    def _name(self, repository: str) -> str:
        return f"docker://{self.setting.server.host}/{repository}:{TAG}"


def pullable_bases(setting: Setting) -> list[str]:
    """The repositories whose image a mount may begin with: alice may pull them."""
    return [name for name in setting.bases if name.endswith("/base") and not name.startswith("bob/")]


@contextmanager
def storage_driver(program: str, setting: Setting) -> Iterator[StorageDriver]:
    """podman or buildah with storage of its own, for the length of a block."""
    # Not pytest's folder: podman refuses a run root whose path has more than 50 characters. And not one of mkdtemp:
    # from the path of a layout the library makes a name for the image, in which no segment may end with a "_".
    home = Path(tempfile.gettempdir()) / f"matrix-{uuid4().hex[:16]}"
    home.mkdir(mode=0o700)
    options = [binary(program), "--root", f"{home}/root", "--runroot", f"{home}/run", "--storage-driver", "vfs"]
    if program == "podman":
        options += ["--tmpdir", f"{home}/state", "--cgroup-manager", "cgroupfs", "--events-backend", "none"]
        options += ["--runtime", binary("runc")]
    try:
        driver = StorageDriver(setting, home, tuple(options))
        driver.prepare()
        yield driver
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _bearer(login: Login, side: str) -> tuple[str, ...]:
    return (f"--{side}registry-token", login.access_token) if login.access_token else ()


def _environment_with(login: Login, setting: Setting, home: Path) -> dict[str, str]:
    file = home / "auth.json"
    file.write_text(login.as_config(setting.server.host))
    return environment(home, REGISTRY_AUTH_FILE=str(file))


def _write_trust(setting: Setting, home: Path) -> None:
    for folder in ("certificates", ".config/containers"):
        (home / folder).mkdir(parents=True)
    (home / "certificates" / "ca.crt").write_bytes(setting.server.ca.read_bytes())
    (home / ".config" / "containers" / "policy.json").write_text(TRUST_ANY_SIGNER)


def _must(outcome: Outcome) -> str:
    assert outcome.code == 0, str(outcome)
    return outcome.out
