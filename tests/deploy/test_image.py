"""The image in place of CNCF Distribution's: the command lines of its documentation, with another name."""

import json
import shlex
import shutil
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from authproxy import __version__
from tests.deploy import cncf, pages
from tests.deploy.conftest import Built
from tests.deploy.people import ACCOUNT, REPOSITORY, USER, push_and_pull, write_certificate, write_passwords
from tests.support.binaries import binary
from tests.support.container import Container, running_container
from tests.support.program import environment, succeed
from tests.support.released import released

SMALL_MB = 180

CONFIG = """\
version: 0.1
storage:
  filesystem:
    rootdirectory: /var/lib/registry
http:
  addr: :5000
"""


def typed(line: str, built: Built, folder: Path) -> list[str]:
    """What stands behind `docker run` in a line, typed in `folder`."""
    run, *rest = cncf.words(line, built.image, folder)
    assert run == "run"
    return rest


def pushed(data: Path) -> bool:
    return (data / f"docker/registry/v2/repositories/{REPOSITORY}/_manifests/tags/1").is_dir()


def test_nothing_but_its_name_and_port(built: Built, tmp_path: Path) -> None:
    with running_container(built.docker, *typed(cncf.PLAIN, built, tmp_path)) as registry:
        push_and_pull(built.docker, "localhost:5000")
        assert registry.user_id == ACCOUNT, registry.output
        assert "OPEN: anyone who reaches port 5000 may push, pull and delete" in registry.output
        assert "authproxy:/var/lib/authproxy authproxy serve --embedded --host NAME\n" in registry.output


def test_another_port_by_a_variable(built: Built, tmp_path: Path) -> None:
    with running_container(built.docker, *typed(cncf.ANOTHER_PORT, built, tmp_path)):
        push_and_pull(built.docker, "localhost:5001")


def test_a_data_folder(built: Built, data: Path) -> None:
    with running_container(built.docker, *typed(cncf.DATA_FOLDER, built, data.parent)) as registry:
        push_and_pull(built.docker, "localhost:5000")
        assert registry.user_id == ACCOUNT, registry.output
    assert pushed(data)


@pytest.mark.parametrize("line", cncf.CONFIGURATIONS, ids=["2.8", "3.0"])
def test_a_configuration_of_ones_own(built: Built, tmp_path: Path, line: str) -> None:
    (tmp_path / "config.yml").write_text(CONFIG)
    with running_container(built.docker, *typed(line, built, tmp_path)):
        push_and_pull(built.docker, "localhost:5000")


def test_the_configuration_named_as_the_command_alone(built: Built, tmp_path: Path) -> None:
    (tmp_path / "config.yml").write_text(CONFIG)
    line = ("-p", "5000:5000", "-v", f"{tmp_path}:/elsewhere", built.image, "/elsewhere/config.yml")
    with running_container(built.docker, *line):
        push_and_pull(built.docker, "localhost:5000")


def test_tls_on_port_443_by_variables(built: Built, tmp_path: Path) -> None:
    write_certificate(tmp_path / "certs", ACCOUNT)
    with running_container(built.docker, *typed(cncf.TLS, built, tmp_path)) as registry:
        push_and_pull(built.docker, "localhost:443")
        assert registry.user_id == ACCOUNT, registry.output


def test_a_key_of_roots_alone_keeps_it_root(built: Built, tmp_path: Path) -> None:
    write_certificate(tmp_path / "certs")
    with running_container(built.docker, *typed(cncf.TLS, built, tmp_path)) as registry:
        push_and_pull(built.docker, "localhost:443")
        assert registry.user_id == 0
        assert "still root: /certs/domain.key cannot be read as 65532:65532; chown" in registry.output


def test_passwords_of_an_htpasswd_file_by_variables(built: Built, tmp_path: Path) -> None:
    write_certificate(tmp_path / "certs", ACCOUNT)
    write_passwords(tmp_path / "auth")
    with running_container(built.docker, *typed(cncf.PASSWORDS, built, tmp_path)):
        push_and_pull(built.docker, "localhost:5000", USER)


def test_the_data_of_a_registry_that_ran_as_root(built: Built, data: Path) -> None:
    line = typed(cncf.DATA_FOLDER, built, data.parent)
    with running_container(built.docker, *line):
        push_and_pull(built.docker, "localhost:5000")
    for path in (data, *data.rglob("*")):
        shutil.chown(path, 0, 0)
    with running_container(built.docker, *line) as registry:
        push_and_pull(built.docker, "localhost:5000")
        assert registry.user_id == 0
        assert "still root: /var/lib/registry cannot be written as 65532:65532" in registry.output
    for path in (data, *data.rglob("*")):
        shutil.chown(path, ACCOUNT, ACCOUNT)
    with running_container(built.docker, *line) as registry:
        push_and_pull(built.docker, "localhost:5000")
        assert registry.user_id == ACCOUNT, registry.output


def test_the_strict_form_of_the_page_is_healthy_and_stops_well(built: Built, tmp_path: Path) -> None:
    docker, run, *options = pages.typed("run-in-docker", "docker run -d -p 5000:5000 --name registry --user", tmp_path)
    assert (docker, run) == ("docker", "run")
    with running_container(built.docker, "--health-interval", "1s", *options) as registry:
        push_and_pull(built.docker, "localhost:5000")
        assert registry.user_id == ACCOUNT
        wait_until_healthy(registry)
        built.docker.must("stop", registry.name)
        ended = built.docker.must("inspect", "--format", "{{.State.ExitCode}}", registry.name)
        assert ended.strip() == "0", registry.output


def wait_until_healthy(container: Container) -> None:
    deadline = time.monotonic() + 60
    while container.health != "healthy":
        assert container.health != "unhealthy", container.output
        assert time.monotonic() < deadline, "never healthy"
        time.sleep(0.2)


@pytest.mark.parametrize(
    "line", [cncf.DATA_FOLDER, cncf.TLS, cncf.PASSWORDS, cncf.CONFIGURATIONS[1]], ids=["data", "tls", "users", "config"]
)
def test_the_page_has_cncfs_line_with_the_name_of_the_image(line: str) -> None:
    here = [shlex.split(command) for command in pages.commands("run-in-docker")]
    assert shlex.split(line.replace("\\\n", "").replace(cncf.REGISTRY, "authproxy")) in here


def test_no_shell_is_needed(built: Built) -> None:
    """Nothing that it runs by itself is a line for a shell, and what it runs by itself runs without one."""
    about = json.loads(built.docker.must("inspect", built.image))[0]["Config"]
    assert about["Entrypoint"] == ["authproxy"]
    assert about["Cmd"] == ["serve"]
    assert about["Healthcheck"]["Test"] == ["CMD", "authproxy", "health"]
    without = ("-v", "/dev/null:/bin/sh", "-v", "/dev/null:/bin/bash", "-v", "/dev/null:/bin/dash")
    with running_container(built.docker, *without, "-p", "5000:5000", "--health-interval", "1s", built.image) as it:
        wait_until_healthy(it)


def test_it_is_small_and_says_what_it_is(built: Built) -> None:
    about = json.loads(built.docker.must("inspect", built.image))[0]
    assert about["Size"] / 1e6 < SMALL_MB
    assert about["Config"]["Labels"]["org.opencontainers.image.title"] == "authproxy"
    versions = json.loads(built.docker.must("run", "--rm", "--network", "none", built.image, "version", "--json"))
    assert versions["python"].startswith("3.")


def test_the_file_of_a_release_is_read_by_skopeo_for_docker_and_by_podman(built: Built, tmp_path: Path) -> None:
    layout = released("*.oci.tar")
    env = environment(tmp_path, XDG_RUNTIME_DIR=str(tmp_path))

    def typed_here(line: str) -> list[str]:
        """With the file of this build."""
        name, version = line.split("oci-archive:")[1].split(maxsplit=1)[0].split(".oci.tar:authproxy:")
        assert name == f"authproxy-{version}"
        here = line.replace(f"{name}.oci.tar", layout.name)
        return here.replace(f"authproxy:{version}", f"authproxy:{__version__}").split()

    _, *copy = typed_here(pages.command("run-in-docker", "skopeo copy"))
    where = ("--dest-daemon-host", built.docker.daemon.socket)
    copy[-1] = copy[-1].replace(":latest", ":from-file")  # `authproxy:latest` is the image of all tests
    succeed(binary("skopeo"), *copy[:1], *where, *copy[1:], env=env, cwd=layout.parent)
    assert json.loads(built.docker.must("inspect", "authproxy:from-file"))[0]["Config"]["Entrypoint"]
    built.docker.must("rmi", "authproxy:from-file")

    _, *pull = typed_here(pages.command("run-in-docker", "podman pull"))
    with TemporaryDirectory(prefix="run-", dir="/tmp") as run:
        storage = ("--root", str(tmp_path / "root"), "--runroot", run, "--storage-driver", "vfs")
        succeed(binary("podman"), *storage, *pull, env=env, cwd=layout.parent)
