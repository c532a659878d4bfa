"""What people do with docker, by a real daemon over TLS."""

import re
from uuid import uuid4

import httpx
import pytest

from tests.support.daemon import GREETING, Daemon, Docker
from tests.support.people import ALICE, BOB, DENIED, FROZEN, FROZEN_REASON, OPERATOR, RELEASE_REASON, User
from tests.support.server import Server

PUSHED_DIGEST = re.compile(r"digest: (sha256:[0-9a-f]{64})")


@pytest.fixture
def docker(daemon: Daemon) -> Docker:
    """A person who has never logged in anywhere."""
    return daemon.docker(uuid4().hex)


@pytest.fixture
def alice(docker: Docker, server: Server) -> Docker:
    """Somebody logged in as alice."""
    outcome = docker.login(server.host, ALICE.name, ALICE.password)
    assert outcome.code == 0, str(outcome)
    return docker


@pytest.fixture
def image(alice: Docker, server: Server, repository: str) -> str:
    """A new image of alice's that has not been pushed yet."""
    name = f"{server.host}/{repository}:v1"
    alice.make_image(name, mark=name)
    return name


@pytest.mark.parametrize("user", [OPERATOR, ALICE], ids=lambda user: user.name)
def test_login_with_the_right_password_succeeds(docker: Docker, server: Server, user: User) -> None:
    outcome = docker.login(server.host, user.name, user.password)
    assert outcome.code == 0, str(outcome)
    assert "Login Succeeded" in outcome.out


@pytest.mark.parametrize(
    ("name", "password"),
    [(ALICE.name, "wrong"), (ALICE.name, BOB.password), ("nobody-we-know", ALICE.password)],
    ids=["wrong password", "another user's password", "unknown user"],
)
def test_login_with_wrong_credentials_says_so(docker: Docker, server: Server, name: str, password: str) -> None:
    outcome = docker.login(server.host, name, password)
    assert outcome.code != 0, str(outcome)
    assert "unauthorized: incorrect username or password" in outcome.err


@pytest.mark.parametrize(
    ("name", "password", "status", "words"),
    [
        (ALICE.name, ALICE.password, 200, "Login Succeeded"),
        (ALICE.name, "wrong", 401, "unauthorized: incorrect username or password"),
        ("nobody-we-know", ALICE.password, 401, "unauthorized: incorrect username or password"),
    ],
    ids=["right", "wrong password", "unknown user"],
)
def test_login_through_the_daemons_api_has_the_status_that_programs_ask_for(
    daemon: Daemon, server: Server, name: str, password: str, status: int, words: str
) -> None:
    """docker-py and Ansible ask the daemon, where `docker login` asks the registry itself."""
    transport = httpx.HTTPTransport(uds=daemon.socket.removeprefix("unix://"))
    with httpx.Client(transport=transport, base_url="http://docker", timeout=60) as client:
        answer = client.post("/auth", json={"username": name, "password": password, "serveraddress": server.host})
    assert (answer.status_code, words in answer.text) == (status, True), answer.text


def test_image_comes_back_after_the_local_one_was_removed(alice: Docker, image: str) -> None:
    alice.must("push", image)
    before = alice.must("image", "inspect", "--format", "{{json .RootFS.Layers}}", image)
    alice.must("rmi", image)
    assert alice("image", "inspect", image).code != 0
    alice.must("pull", image)
    assert alice.must("image", "inspect", "--format", "{{json .RootFS.Layers}}", image) == before


def test_pulled_image_runs(alice: Docker, image: str) -> None:
    alice.must("push", image)
    alice.must("rmi", image)
    alice.must("pull", image)
    assert alice.must("run", "--rm", "--network", "none", image).strip() == GREETING


def test_image_is_pulled_by_the_digest_that_the_push_named(alice: Docker, image: str) -> None:
    pushed = PUSHED_DIGEST.search(alice.must("push", image))
    assert pushed is not None
    alice.must("rmi", image)
    by_digest = f"{image.removesuffix(':v1')}@{pushed[1]}"
    alice.must("pull", by_digest)
    assert alice.must("run", "--rm", "--network", "none", by_digest).strip() == GREETING


def test_second_push_finds_the_layer_there(alice: Docker, image: str) -> None:
    alice.must("push", image)
    assert "Layer already exists" in alice.must("push", image)


def test_layer_is_mounted_from_another_repository_of_the_same_user(alice: Docker, image: str) -> None:
    alice.must("push", image)
    copy = image.replace(":v1", "-copy:v1")
    alice.must("tag", image, copy)
    assert "Mounted from" in alice.must("push", copy)
    alice.must("rmi", image, copy)
    alice.must("pull", copy)


def test_push_to_another_users_repository_is_denied(alice: Docker, server: Server, image: str) -> None:
    foreign = f"{server.host}/{BOB.name}/taken:v1"
    alice.must("tag", image, foreign)
    outcome = alice("push", foreign)
    assert outcome.code != 0, str(outcome)
    assert f"denied: {ALICE.name} may not pull and push {BOB.name}/taken" in outcome.text, str(outcome)


def test_a_push_that_a_rule_denies_prints_the_rules_own_words(alice: Docker, server: Server, image: str) -> None:
    frozen = f"{server.host}/{FROZEN}:v1"
    alice.must("tag", image, frozen)
    outcome = alice("push", frozen)
    assert outcome.code != 0, str(outcome)
    assert f"denied: {ALICE.name} may not push {FROZEN}: {FROZEN_REASON}" in outcome.text, str(outcome)


def test_a_release_is_pushed_once_and_a_second_push_prints_why_not(
    alice: Docker, server: Server, repository: str
) -> None:
    release = f"{server.host}/{repository}:release-1"
    alice.make_image(release, "first")
    pushed = PUSHED_DIGEST.search(alice.must("push", release))
    alice.must("push", release)  # the same again moves nothing
    alice.make_image(release, "second")
    outcome = alice("push", release)
    assert outcome.code != 0, str(outcome)
    assert f"denied: {ALICE.name} may not overwrite {repository}:release-1: {RELEASE_REASON}" in outcome.text
    alice.must("rmi", release)
    assert pushed is not None
    assert pushed[1] in alice.must("pull", release)


def test_pull_from_another_users_repository_is_denied(
    alice: Docker, daemon: Daemon, server: Server, image: str
) -> None:
    alice.must("push", image)
    alice.must("rmi", image)
    bob = daemon.docker(uuid4().hex)
    assert bob.login(server.host, BOB.name, BOB.password).code == 0
    outcome = bob("pull", image)
    assert outcome.code != 0, str(outcome)
    assert DENIED.search(outcome.text), str(outcome)


def test_pull_after_logout_is_denied(alice: Docker, server: Server, image: str) -> None:
    alice.must("push", image)
    alice.must("rmi", image)
    alice.must("logout", server.host)
    outcome = alice("pull", image)
    assert outcome.code != 0, str(outcome)
    assert DENIED.search(outcome.text), str(outcome)
