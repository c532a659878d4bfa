"""`serve --embedded --host NAME`, and the lines of `authproxy trust`, typed where clients call the server by that name.

Server and clients share a network namespace in which the names lead to an address that is not loopback's: clients
verify no certificate of 127.0.0.1. What the lines write to /etc and /usr/local is gone at the end.
"""

import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.binaries import binary
from tests.support.daemon import Daemon, running_daemon
from tests.support.image import make_image, write_layout
from tests.support.program import Outcome, environment, run
from tests.support.server import ADMIN_PASSWORD, AUTHPROXY

ADDRESS = "192.0.2.10"
HOSTS = ("nas.lan", ADDRESS)
PORT = 5000
READY_WITHIN_S = 60.0

# What the lines write to, and where names are looked up.
SETUP = """
set -eu
mkdir "$1/over"
mount -t tmpfs tmpfs "$1/over"
for folder in etc usr/local/share; do
    mkdir -p "$1/over/$folder" "$1/over/work/$folder"
    mount -t overlay overlay -o "lowerdir=/$folder,upperdir=$1/over/$folder,workdir=$1/over/work/$folder" "/$folder"
done
printf '127.0.0.1 localhost\\n%s nas.lan\\n' "$2" >/etc/hosts
ip link set lo up
ip addr add "$2/32" dev lo
mkdir "$1/bin"
printf '#!/bin/sh\\nexec "$@"\\n' >"$1/bin/sudo"
chmod 755 "$1/bin/sudo"
touch "$1/ready"
exec sleep infinity
"""

FORGET = """
rm -rf /etc/docker/certs.d /etc/containers/certs.d
if [ -e /usr/local/share/ca-certificates/authproxy-ca.crt ]; then
    rm /usr/local/share/ca-certificates/authproxy-ca.crt
    update-ca-certificates --fresh
fi
"""


@dataclass(frozen=True, slots=True)
class Machine:
    """Where it all happens, and the server's folder."""

    pid: int
    folder: Path

    @property
    def inside(self) -> tuple[str, ...]:
        """The program that becomes another inside."""
        namespaces = (f"--net=/proc/{self.pid}/ns/net", f"--mount=/proc/{self.pid}/ns/mnt")
        return (binary("nsenter"), *namespaces, f"--wdns={self.folder}")

    def __call__(self, *argv: str, stdin: str = "") -> Outcome:
        """Run a program inside."""
        env = environment(self.folder, REGISTRY_AUTH_FILE=str(self.folder / "auth.json"))
        env["PATH"] = f"{self.folder}/bin:{env['PATH']}"
        return run(*self.inside, *argv, env=env, stdin=stdin)

    def must(self, *argv: str, stdin: str = "") -> str:
        """The same for what has to end well: what it printed."""
        outcome = self(*argv, stdin=stdin)
        assert outcome.code == 0, str(outcome)
        return outcome.out

    def shell(self, lines: str) -> str:
        """Type lines that have to end well: what they printed."""
        return self.must(binary("bash"), "-e", stdin=lines)

    def paste(self, client: str) -> None:
        """Type the lines for a client."""
        self.shell(self.must(AUTHPROXY, "trust", "--for", client))


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A server with `--host` for both names, on every address of the namespace."""
    folder = tmp_path_factory.mktemp("machine")
    command = (binary("unshare"), "--net", "--mount", binary("bash"), "-c", SETUP, "bash", str(folder), ADDRESS)
    with _running(command, folder, "setup.log", (folder / "ready").exists) as holder:
        it = Machine(holder, folder)
        serve = (AUTHPROXY, "serve", "--embedded", *(word for host in HOSTS for word in ("--host", host)))
        log = folder / "serve.log"
        with _running((*it.inside, *serve), folder, log.name, lambda: "listening on" in log.read_text()):
            yield it


@pytest.fixture(autouse=True)
def _nothing_is_trusted(machine: Machine) -> None:
    machine.shell(FORGET)


@contextmanager
def _running(command: tuple[str, ...], folder: Path, log: str, is_ready: Callable[[], bool]) -> Iterator[int]:
    env = environment(folder, AUTHPROXY_ADMIN_PASSWORD=ADMIN_PASSWORD)
    with (folder / log).open("wb") as output:
        process = subprocess.Popen(command, env=env, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + READY_WITHIN_S
        while not is_ready():
            assert process.poll() is None, (folder / log).read_text()
            assert time.monotonic() < deadline, (folder / log).read_text()
            time.sleep(0.05)
        yield process.pid
    finally:
        process.terminate()
        process.wait(READY_WITHIN_S)


@pytest.fixture(scope="module")
def daemon(machine: Machine) -> Iterator[Daemon]:
    with running_daemon(through=machine.inside[:3]) as running:
        yield running


def test_the_start_says_where_it_listens_and_what_docker_needs_elsewhere(machine: Machine) -> None:
    said = (machine.folder / "serve.log").read_text()
    assert f"listening on https://nas.lan:{PORT}, https://{ADDRESS}:{PORT}\n" in said
    assert f"docker login nas.lan:{PORT} -u admin" in said
    assert re.search(rf"`\S*authproxy trust nas\.lan:{PORT}`", said)


@pytest.mark.parametrize("host", HOSTS)
def test_docker_logs_in_and_pushes_by_the_printed_lines(machine: Machine, daemon: Daemon, host: str) -> None:
    docker = daemon.docker(host)
    place = f"{host}:{PORT}"
    refused = docker.login(place, "admin", ADMIN_PASSWORD)
    assert "certificate signed by unknown authority" in refused.err, "the test proves nothing without this"
    machine.paste("docker")
    assert docker.login(place, "admin", ADMIN_PASSWORD).code == 0
    image = f"{place}/team/docker:{host}"
    docker.make_image(image, host)
    docker.must("push", image)
    docker.must("pull", image)


def test_skopeo_pushes_by_the_printed_lines(machine: Machine) -> None:
    place = f"nas.lan:{PORT}"
    layout = write_layout(make_image("trust"), machine.folder / "layout", "v1")
    copy = (binary("skopeo"), "copy", layout, f"docker://{place}/team/skopeo:v1")
    credentials = ("--dest-creds", f"admin:{ADMIN_PASSWORD}")
    assert "x509" in machine(*copy, *credentials).err
    machine.paste("podman")
    machine.must(*copy, *credentials)


def test_podman_logs_in_by_the_printed_lines(machine: Machine) -> None:
    machine.paste("podman")
    for host in HOSTS:
        login = (binary("podman"), "login", f"{host}:{PORT}", "--username", "admin", "--password-stdin")
        assert "Login Succeeded" in machine.must(*login, stdin=ADMIN_PASSWORD)


@pytest.mark.parametrize("program", ["skopeo", "podman"])
def test_the_folder_of_our_certificates_is_one_of_theirs(machine: Machine, program: str) -> None:
    """A `.key` in it would be taken for a client's, and its `.cert` be missed."""
    login = (binary(program), "login", f"nas.lan:{PORT}", "--username", "admin", "--password-stdin")
    assert "x509" in machine(*login, stdin=ADMIN_PASSWORD).err
    machine.must(*login, "--cert-dir", "certs", stdin=ADMIN_PASSWORD)


def test_curl_gets_an_answer_by_the_printed_lines(machine: Machine) -> None:
    """They end with the request itself, whose 401 is the answer of a registry."""
    machine.paste("curl")
    ask = (binary("curl"), "--silent", "--cacert", "authproxy-ca.crt", "-u", f"admin:{ADMIN_PASSWORD}")
    assert json.loads(machine.must(*ask, f"https://nas.lan:{PORT}/v2/_catalog"))["repositories"] is not None


def test_every_program_gets_an_answer_once_the_system_trusts_the_ca(machine: Machine) -> None:
    ask = (binary("curl"), "--silent", "--show-error", f"https://{ADDRESS}:{PORT}/livez")
    assert "certificate" in machine(*ask).err
    machine.paste("system")
    machine.must(*ask)
    said = machine.must(AUTHPROXY, "trust", f"nas.lan:{PORT}", "--for", "docker")
    assert said.startswith("# this machine trusts CN=authproxy own CA ")


def test_the_lines_for_containerd_and_k3s_write_what_they_read(machine: Machine) -> None:
    machine.paste("containerd")
    toml = machine.shell(f"cat /etc/containerd/certs.d/nas.lan:{PORT}/hosts.toml")
    assert f'[host."https://nas.lan:{PORT}"]\n  ca = "/etc/containerd/authproxy-ca.crt"' in toml
    lines = machine.must(AUTHPROXY, "trust", "--for", "k3s").replace("sudo systemctl restart k3s", "")
    machine.shell(lines)
    written = machine.shell("cat /etc/rancher/k3s/registries.yaml")
    assert f'  "{ADDRESS}:{PORT}":\n    tls:\n      ca_file: /etc/rancher/k3s/authproxy-ca.crt\n' in written
    again = machine.shell(lines)
    assert "add these lines yourself" in again
    ca = (machine.folder / "certs/ca.pem").read_text()
    for file in ("/etc/containerd/authproxy-ca.crt", "/etc/rancher/k3s/authproxy-ca.crt"):
        assert machine.shell(f"cat {file}") == ca


def test_health_finds_the_server_of_the_folder(machine: Machine) -> None:
    assert machine.must(AUTHPROXY, "health") == "healthy\n"


def test_tokens_are_for_the_name_that_the_client_used(machine: Machine) -> None:
    ask = (binary("curl"), "--silent", "--cacert", "certs/ca.pem", "--include")
    for host in HOSTS:
        answer = machine.must(*ask, f"https://{host}:{PORT}/v2/")
        assert f'realm="https://{host}:{PORT}/token"' in answer


def test_our_own_commands_trust_the_ca_of_the_folder_on_this_machine_alone(machine: Machine) -> None:
    machine.shell(
        "rm -rf /etc/docker/certs.d; rm -f /usr/local/share/ca-certificates/*; update-ca-certificates --fresh"
    )
    here = machine(AUTHPROXY, "registry", "ping", f"localhost:{PORT}")
    assert "certs/ca.pem vouches for it" in here.out, str(here)
    assert "/v2/ answered 401" in here.out
    by_another_name = machine(AUTHPROXY, "registry", "ping", f"nas.lan:{PORT}")
    assert (by_another_name.code, "vouches" in by_another_name.out) == (1, False)
    named = machine(AUTHPROXY, "registry", "ping", f"nas.lan:{PORT}", "--ca", "certs/ca.pem")
    assert "certs/ca.pem vouches for it" in named.out, str(named)
