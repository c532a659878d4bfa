"""The pods of the Helm chart, run: with no values at all, and with what exists already."""

import base64
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import bcrypt
import pytest

from tests.deploy.chart import Objects, notes, render
from tests.deploy.conftest import Built
from tests.deploy.people import ACCOUNT, PASSWORD, push_and_pull, write_certificate
from tests.deploy.pod import docker_options
from tests.support.container import Container, running_container

HOST = "localhost:443"
# What docker's own health check of the image has beside the kubelet's: nothing that a test of these pods needs.
PROBES = ("startup", "readiness", "liveness")


@contextmanager
def running(built: Built, objects: Objects, folder: Path) -> Iterator[Container]:
    folder.mkdir(exist_ok=True)
    options = docker_options(objects["Deployment", "authproxy"], objects, folder)
    with running_container(built.docker, "-p", "443:5000", *options, built.image) as pod:
        yield pod


@pytest.fixture
def clean(built: Built) -> Iterator[None]:
    yield
    built.docker("volume", "rm", "pod-authproxy-registry", "pod-authproxy-state")


def ask(built: Built, pod: Container, url: str, header: str = "Server", **headers: str) -> tuple[int, str]:
    """Status and a header of an answer that the pod gives to itself, without following."""
    code = (
        "import json, sys, urllib.request as r, urllib.error as e\n"
        "url, header, headers = sys.argv[1:]\n"
        "try: answer = r.urlopen(r.Request(url, headers=json.loads(headers)))\n"
        "except e.HTTPError as error: answer = error\n"
        "print(json.dumps([answer.status, answer.headers[header] or '']))"
    )
    words = ("/opt/authproxy/bin/python3", "-c", code, url, header, json.dumps(headers))
    status, found = json.loads(built.docker.must("exec", pod.name, *words))
    return status, found


def secret(content: Mapping[str, bytes]) -> dict[str, Any]:
    return {"kind": "Secret", "data": {name: base64.b64encode(text).decode() for name, text in content.items()}}


@pytest.mark.usefixtures("clean")
def test_a_release_without_values_is_a_registry_with_a_login(built: Built, tmp_path: Path) -> None:
    objects = render()
    password = base64.b64decode(objects["Secret", "authproxy-admin"]["data"]["password"]).decode()
    with running(built, objects, tmp_path / "first") as pod:
        push_and_pull(built.docker, HOST, "admin", password)
        assert pod.user_id == ACCOUNT
        container = objects["Deployment", "authproxy"]["spec"]["template"]["spec"]["containers"][0]
        for kind in PROBES:
            path = container[f"{kind}Probe"]["httpGet"]["path"]
            assert ask(built, pod, f"http://127.0.0.1:5001{path}")[0] == 200
        # What the notes say next, without a terminal.
        line = next(line for line in notes().splitlines() if "user add alice" in line).partition(" -- ")[2]
        built.docker.must("exec", "-i", pod.name, *line.split(), "--password-stdin", stdin="alice's own password")
        assert "warning" not in pod.output
    # An upgrade with another password in the Secret, and another pod: the users are those of the volume.
    objects["Secret", "authproxy-admin"] = secret({"password": b"another password"})
    with running(built, objects, tmp_path / "second"):
        push_and_pull(built.docker, HOST, "admin", password)
        login = built.docker.login(HOST, "alice", "alice's own password")
        assert "Login Succeeded" in login.text, str(login)
        assert built.docker.login(HOST, "admin", "another password").code != 0
        built.docker("logout", HOST)


@pytest.mark.usefixtures("clean")
def test_a_release_with_existing_secrets_serves_their_users_and_certificate(built: Built, tmp_path: Path) -> None:
    objects = render({"tls": {"existingSecret": "mine"}, "users": {"existingSecret": "people"}})
    write_certificate(tmp_path / "certs")
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(5, prefix=b"2b"))
    objects["Secret", "people"] = secret(
        {"htpasswd": b"root:" + hashed + b"\n", "users.yaml": b"users:\n  root: {groups: [admins]}\n"}
    )
    objects["Secret", "mine"] = secret(
        {
            "tls.crt": (tmp_path / "certs/domain.crt").read_bytes(),
            "tls.key": (tmp_path / "certs/domain.key").read_bytes(),
        }
    )
    with running(built, objects, tmp_path / "pod") as pod:
        push_and_pull(built.docker, HOST, "root")
        assert built.docker.login(HOST, "admin", PASSWORD).code != 0
        assert "warning" not in pod.output


@pytest.mark.usefixtures("clean")
def test_a_release_behind_an_ingress_sends_clients_to_the_ingress(built: Built, tmp_path: Path) -> None:
    values = {"host": "registry.example.com", "tls": {"enabled": False}, "ingress": {"enabled": True}}
    with running(built, render(values), tmp_path / "pod") as pod:
        status, challenge = ask(built, pod, "http://127.0.0.1:5000/v2/", "WWW-Authenticate", Host="10.0.0.7:5000")
        assert status == 401
        assert 'realm="https://registry.example.com/token"' in challenge
        assert 'service="registry.example.com"' in challenge
