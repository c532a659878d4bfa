"""What people do with podman: no daemon, and the certificate is verified."""

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.binaries import binary
from tests.support.daemon import GREETING
from tests.support.image import Image, make_image, write_layout
from tests.support.people import ALICE, BOB, DENIED, OPERATOR, User
from tests.support.program import Outcome, environment, run
from tests.support.server import Server

# podman reads these from the home before it looks into /etc; a fresh machine may have none there.
POLICY = '{"default": [{"type": "insecureAcceptAnything"}]}'

# A container that a machine without much of its own can run: no network, and limits below podman's
# wish for a million open files.
CONFINED = ("--network", "none", "--ulimit", "nofile=1024", "--ulimit", "nproc=1024")


@dataclass(frozen=True, slots=True)
class Podman:
    """The podman command of one person, with storage of its own and the server's CA in its certificate folder."""

    home: Path
    server: Server

    def __call__(self, *arguments: str, stdin: str = "") -> Outcome:
        """Run `podman <arguments>` to its end, good or bad."""
        env = environment(self.home, REGISTRY_AUTH_FILE=str(self.home / "auth.json"))
        storage = (
            *("--root", f"{self.home}/root", "--runroot", f"{self.home}/run", "--tmpdir", f"{self.home}/state"),
            *(
                "--storage-driver",
                "vfs",
                "--runtime",
                binary("runc"),
                "--cgroup-manager",
                "cgroupfs",
                "--events-backend",
                "none",
            ),
        )
        return run(binary("podman"), *storage, *arguments, env=env, stdin=stdin)

    def must(self, *arguments: str) -> str:
        """The same for what has to end well: what it printed. Raises AssertionError with its words."""
        outcome = self(*arguments)
        assert outcome.code == 0, str(outcome)
        return outcome.out

    @property
    def trust(self) -> tuple[str, str]:
        """The option that names the folder with the server's CA."""
        return ("--cert-dir", str(self.home / "certificates"))

    def login(self, name: str, password: str) -> Outcome:
        """Log in, the password on standard input."""
        return self("login", *self.trust, "--username", name, "--password-stdin", self.server.host, stdin=password)


@pytest.fixture
def podman(server: Server) -> Iterator[Podman]:
    """A person who has never logged in anywhere and trusts the server's CA."""
    # Not pytest's folder: podman refuses a run root whose path has more than 50 characters.
    home = Path(tempfile.mkdtemp(prefix="podman-"))
    for folder in ("certificates", ".config/containers"):
        (home / folder).mkdir(parents=True)
    (home / "certificates" / "ca.crt").write_bytes(server.ca.read_bytes())
    (home / ".config" / "containers" / "policy.json").write_text(POLICY)
    yield Podman(home, server)
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def alice(podman: Podman) -> Podman:
    """Somebody logged in as alice."""
    outcome = podman.login(ALICE.name, ALICE.password)
    assert outcome.code == 0, str(outcome)
    return podman


@pytest.fixture
def image(repository: str) -> Image:
    """An image that no other test has."""
    return make_image(repository)


@pytest.fixture
def local(alice: Podman, image: Image, tmp_path: Path) -> str:
    """The image in podman's own storage: its id."""
    return alice.must("pull", "--quiet", write_layout(image, tmp_path / "layout", "v1")).strip()


@pytest.mark.parametrize("user", [OPERATOR, ALICE], ids=lambda user: user.name)
def test_login_with_the_right_password_succeeds(podman: Podman, user: User) -> None:
    outcome = podman.login(user.name, user.password)
    assert outcome.code == 0, str(outcome)
    assert "Login Succeeded" in outcome.text


def test_login_with_a_wrong_password_says_so(podman: Podman) -> None:
    outcome = podman.login(ALICE.name, "wrong")
    assert outcome.code != 0, str(outcome)
    assert "invalid username/password" in outcome.text


def test_pushed_image_comes_back_and_runs(alice: Podman, local: str, repository: str) -> None:
    name = f"{alice.server.host}/{repository}:v1"
    alice.must("push", *alice.trust, local, f"docker://{name}")
    alice.must("rmi", "--force", local)
    alice.must("pull", *alice.trust, name)
    assert alice.must("run", "--rm", *CONFINED, name).strip() == GREETING


def test_image_is_pulled_by_digest(alice: Podman, local: str, repository: str) -> None:
    name = f"{alice.server.host}/{repository}"
    digest_file = alice.home / "digest"
    alice.must("push", *alice.trust, "--digestfile", str(digest_file), local, f"docker://{name}:v1")
    alice.must("rmi", "--force", local)
    alice.must("pull", *alice.trust, f"{name}@{digest_file.read_text().strip()}")


def test_push_to_another_users_repository_is_denied(alice: Podman, local: str) -> None:
    outcome = alice("push", *alice.trust, local, f"docker://{alice.server.host}/{BOB.name}/taken:v1")
    assert outcome.code != 0, str(outcome)
    assert DENIED.search(outcome.text), str(outcome)


def test_pull_after_logout_is_denied(alice: Podman, local: str, repository: str) -> None:
    name = f"{alice.server.host}/{repository}:v1"
    alice.must("push", *alice.trust, local, f"docker://{name}")
    alice.must("rmi", "--force", local)
    alice.must("logout", alice.server.host)
    outcome = alice("pull", *alice.trust, name)
    assert outcome.code != 0, str(outcome)
    assert DENIED.search(outcome.text), str(outcome)
