"""What people do with skopeo: it verifies the certificate, unlike docker, which trusts any on localhost."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.binaries import binary
from tests.support.image import Image, make_image, write_layout
from tests.support.people import ALICE, BOB, DENIED, OPERATOR, User
from tests.support.program import Outcome, environment, run
from tests.support.server import Server


@dataclass(frozen=True, slots=True)
class Skopeo:
    """The skopeo command of one person, with the server's CA in its certificate folder."""

    home: Path
    server: Server

    def __call__(self, verb: str, *arguments: str, stdin: str = "") -> Outcome:
        """Run `skopeo <verb> <arguments>` to its end, good or bad."""
        env = environment(self.home, REGISTRY_AUTH_FILE=str(self.home / "auth.json"))
        return run(binary("skopeo"), "--insecure-policy", verb, *arguments, env=env, stdin=stdin)

    def must(self, verb: str, *arguments: str) -> str:
        """The same for what has to end well: what it printed. Raises AssertionError with its words."""
        outcome = self(verb, *arguments)
        assert outcome.code == 0, str(outcome)
        return outcome.out

    @property
    def certificates(self) -> str:
        """The folder that holds the server's CA."""
        return str(self.home / "certificates")

    def login(self, name: str, password: str) -> Outcome:
        """Log in, the password on standard input."""
        options = ("--cert-dir", self.certificates, "--username", name, "--password-stdin")
        return self("login", *options, self.server.host, stdin=password)

    def push(self, source: str, target: str) -> Outcome:
        """Copy an image layout into a repository, `<repository>:<tag>`."""
        return self("copy", "--dest-cert-dir", self.certificates, source, f"docker://{self.server.host}/{target}")

    def pull(self, source: str, folder: Path) -> Outcome:
        """Copy an image out of a repository into a folder."""
        return self(
            "copy", "--src-cert-dir", self.certificates, f"docker://{self.server.host}/{source}", f"dir:{folder}"
        )


@pytest.fixture
def skopeo(tmp_path: Path, server: Server) -> Skopeo:
    """A person who has never logged in anywhere and trusts the server's CA."""
    (tmp_path / "certificates").mkdir()
    (tmp_path / "certificates" / "ca.crt").write_bytes(server.ca.read_bytes())
    return Skopeo(tmp_path, server)


@pytest.fixture
def alice(skopeo: Skopeo) -> Skopeo:
    """Somebody logged in as alice."""
    outcome = skopeo.login(ALICE.name, ALICE.password)
    assert outcome.code == 0, str(outcome)
    return skopeo


@pytest.fixture
def image(repository: str) -> Image:
    """An image that no other test has."""
    return make_image(repository)


@pytest.fixture
def layout(tmp_path: Path, image: Image) -> str:
    """The image as skopeo reads it from disk."""
    return write_layout(image, tmp_path / "layout", "v1")


@pytest.mark.parametrize("user", [OPERATOR, ALICE], ids=lambda user: user.name)
def test_login_with_the_right_password_succeeds(skopeo: Skopeo, user: User) -> None:
    outcome = skopeo.login(user.name, user.password)
    assert outcome.code == 0, str(outcome)
    assert "Login Succeeded" in outcome.text


def test_login_with_a_wrong_password_says_so(skopeo: Skopeo) -> None:
    outcome = skopeo.login(ALICE.name, "wrong")
    assert outcome.code != 0, str(outcome)
    assert "invalid username/password" in outcome.text


def test_certificate_of_an_unknown_authority_is_refused(skopeo: Skopeo) -> None:
    (skopeo.home / "certificates" / "ca.crt").unlink()
    outcome = skopeo.login(ALICE.name, ALICE.password)
    assert outcome.code != 0, str(outcome)
    assert "certificate" in outcome.text


def test_image_comes_back_byte_for_byte(
    alice: Skopeo, repository: str, image: Image, layout: str, tmp_path: Path
) -> None:
    pushed = alice.push(layout, f"{repository}:v1")
    assert pushed.code == 0, str(pushed)
    pulled = alice.pull(f"{repository}:v1", tmp_path / "pulled")
    assert pulled.code == 0, str(pulled)
    assert (tmp_path / "pulled" / "manifest.json").read_bytes() == image.manifest


def test_inspect_shows_digest_and_tags(alice: Skopeo, repository: str, image: Image, layout: str) -> None:
    assert alice.push(layout, f"{repository}:v1").code == 0
    assert alice.push(layout, f"{repository}:v2").code == 0
    target = f"docker://{alice.server.host}/{repository}:v1"
    shown = json.loads(alice.must("inspect", "--cert-dir", alice.certificates, target))
    assert (shown["Digest"], shown["RepoTags"]) == (str(image.digest), ["v1", "v2"])


def test_deleted_image_is_gone(alice: Skopeo, repository: str, layout: str, tmp_path: Path) -> None:
    assert alice.push(layout, f"{repository}:v1").code == 0
    alice.must("delete", "--cert-dir", alice.certificates, f"docker://{alice.server.host}/{repository}:v1")
    outcome = alice.pull(f"{repository}:v1", tmp_path / "pulled")
    assert outcome.code != 0, str(outcome)
    assert "manifest unknown" in outcome.text


@pytest.mark.parametrize("verb", ["push", "pull"])
def test_another_users_repository_is_denied(alice: Skopeo, layout: str, tmp_path: Path, verb: str) -> None:
    target = f"{BOB.name}/taken:v1"
    outcome = alice.push(layout, target) if verb == "push" else alice.pull(target, tmp_path / "pulled")
    assert outcome.code != 0, str(outcome)
    assert DENIED.search(outcome.text), str(outcome)


def test_copy_between_repositories_keeps_the_digest(
    alice: Skopeo, repository: str, image: Image, layout: str, tmp_path: Path
) -> None:
    assert alice.push(layout, f"{repository}:v1").code == 0
    host, folder = alice.server.host, alice.certificates
    alice.must(
        *("copy", "--src-cert-dir", folder, "--dest-cert-dir", folder),
        *(f"docker://{host}/{repository}:v1", f"docker://{host}/{repository}-copy:v1"),
    )
    assert alice.pull(f"{repository}-copy@{image.digest}", tmp_path / "pulled").code == 0
