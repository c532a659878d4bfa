"""The recipes that people have for a registry's images, each beside the command that takes its place."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.images.conftest import Images, Registry
from tests.support.binaries import binary
from tests.support.daemon import GREETING, Daemon, Docker
from tests.support.image import make_image, write_layout
from tests.support.program import environment, succeed

ACCEPT = "Accept: application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"


@pytest.fixture(scope="module")
def docker(daemon: Daemon) -> Docker:
    """Somebody whose daemon holds two images, one of them under two names."""
    docker = daemon.docker("recipes")
    docker.make_image("recipe/one:v1", mark="recipe one")
    docker.make_image("recipe/two:v1", mark="recipe two")
    docker.must("tag", "recipe/two:v1", "recipe/two:v2")
    return docker


NAMES = ("recipe/one:v1", "recipe/two:v1", "recipe/two:v2")


def curl(*arguments: str) -> str:
    return succeed(binary("curl"), "--silent", "--show-error", *arguments, env=environment(Path("/"))).out


def jq(program: str, text: str) -> list[str]:
    return succeed(binary("jq"), "--raw-output", program, env=environment(Path("/")), stdin=text).out.splitlines()


def identity(docker: Docker, name: str) -> str:
    return docker.must("image", "inspect", "--format", "{{.Id}}", name).strip()


def test_flat_list_is_that_of_the_curl_and_jq_pipe(images: Images, plain: Registry, tmp_path: Path) -> None:
    for repository, tags in {"flat/a": ("v1", "v2"), "flat/b": ("v1",)}.items():
        for tag in tags:
            write_layout(make_image(f"{repository}{tag}"), tmp_path / tag / repository, tag)
            images.must("push", tmp_path / tag / repository, f"{plain.host}/{repository}")
    url = f"http://{plain.host}/v2"
    old = []
    for repository in jq(".repositories[]", curl(f"{url}/_catalog?n=1000")):
        old += jq('"\\(.name):\\(.tags[]?)"', curl(f"{url}/{repository}/tags/list"))
    assert images.process("list", plain.host).out.splitlines() == old
    assert {"flat/a:v1", "flat/a:v2", "flat/b:v1"} <= set(old)


def test_push_of_all_is_that_of_the_docker_loop(
    images: Images, docker: Docker, plain: Registry, second: Registry
) -> None:
    for name in NAMES:
        docker.must("tag", name, f"{plain.host}/{name}")
        docker.must("push", f"{plain.host}/{name}")
        docker.must("rmi", f"{plain.host}/{name}")
    settings = {"DOCKER_HOST": docker.daemon.socket}
    pushed = images.objects("push", "--docker", "recipe/*", second.host, **settings)
    assert [(each["name"], each["outcome"]) for each in pushed] == [
        (f"{second.host}/{name}", "pushed") for name in NAMES
    ]
    for name in NAMES:
        configs = [
            json.loads(curl("--header", ACCEPT, f"http://{each.host}/v2/{name.replace(':', '/manifests/')}"))["config"]
            for each in (plain, second)
        ]
        assert configs[0] == configs[1]
    again = images.objects("push", "--docker", "recipe/*", second.host, **settings)
    assert {each["outcome"] for each in again} == {"already there"}
    # What the loop has pushed is the same image, though docker packs its layers otherwise.
    there = images.objects("push", "--docker", "recipe/*", plain.host, **settings)
    assert {each["outcome"] for each in there} == {"already there"}
    missing = images("push", "--docker", "recipe/three:*", second.host, **settings)
    assert (missing.code, missing.out) == (1, "")
    assert missing.err == "authproxy: docker: the docker daemon has no image that matches recipe/three:*\n"


def test_folder_of_archives_is_pushed_as_loaded_tagged_and_pushed(
    images: Images, docker: Docker, plain: Registry, second: Registry
) -> None:
    folder = docker.home / "archives"
    folder.mkdir()
    docker.must("tag", "recipe/one:v1", "elsewhere.example.org:5000/folder/one:v1")
    docker.must("tag", "recipe/two:v1", "folder/two:v1")
    names = {"elsewhere.example.org:5000/folder/one:v1": "folder/one:v1", "folder/two:v1": "folder/two:v1"}
    for number, name in enumerate(names):
        docker.must("save", "--output", f"{folder}/{number}.tar", name)
        docker.must("rmi", name)
    for number, (name, below) in enumerate(names.items()):
        docker.must("load", "--input", f"{folder}/{number}.tar")
        docker.must("tag", name, f"{plain.host}/{below}")
        docker.must("push", f"{plain.host}/{below}")
        docker.must("rmi", name, f"{plain.host}/{below}")
    done = images.process("push", folder, second.host)
    assert [line.split()[:2] for line in done.out.splitlines()] == [
        ["pushed", f"{second.host}/{below}"] for below in names.values()
    ]
    for below in names.values():
        for registry in (plain, second):
            docker.must("pull", f"{registry.host}/{below}")
        assert identity(docker, f"{plain.host}/{below}") == identity(docker, f"{second.host}/{below}")
    assert set(images.list(plain, "--filter", "folder/*")) == set(names.values())
    assert set(images.list(second, "--filter", "folder/*")) == set(names.values())


def test_delete_by_tag_is_that_of_two_curls(images: Images, plain: Registry, tmp_path: Path) -> None:
    image = make_image("delete by tag")
    write_layout(image, tmp_path / "layout", "v1")
    left = []
    for repository in ("delete/old", "delete/new"):
        images.must("push", tmp_path / "layout", f"{plain.host}/{repository}")
        url = f"http://{plain.host}/v2/{repository}/manifests"
        if repository == "delete/old":
            head = curl("--head", "--header", ACCEPT, f"{url}/v1")
            (digest,) = [
                line.split()[1] for line in head.splitlines() if line.lower().startswith("docker-content-digest")
            ]
            status = curl("--request", "DELETE", "--write-out", "%{http_code}", f"{url}/{digest}")
            assert status == "202"
        else:
            done = images.process("delete", "--yes", f"{plain.host}/{repository}:v1")
            assert (done.code, done.out) == (0, f"deleted {plain.host}/{repository}:v1 {image.digest}\n")
        left.append([
            curl("--output", "/dev/null", "--write-out", "%{http_code}", "--header", ACCEPT, f"{url}/{reference}")
            for reference in ("v1", image.digest)
        ])  # fmt: skip
    assert left == [["404", "404"], ["404", "404"]]


@pytest.mark.parametrize("ending", ["tar", "tar.gz"])
def test_saved_image_is_that_of_docker_save(
    images: Images, docker: Docker, plain: Registry, tmp_path: Path, ending: str
) -> None:
    name = f"{plain.host}/save/{ending}:v1"
    docker.must("tag", "recipe/one:v1", name)
    docker.must("push", name)
    docker.must("save", "--output", f"{tmp_path}/docker.tar", name)
    done = images.process("pull", name, "--output", f"{tmp_path}/ours.{ending}")
    assert done.out.startswith(f"pulled {name} sha256:"), str(done)
    loaded = []
    for archive in ("docker.tar", f"ours.{ending}"):
        docker.must("rmi", name)
        docker.must("load", "--input", f"{tmp_path}/{archive}")
        loaded.append(identity(docker, name))
        assert docker.must("run", "--rm", "--network", "none", name).strip() == GREETING
    assert loaded[0] == loaded[1]


def test_image_goes_from_a_registry_into_the_daemon(images: Images, docker: Docker, ours: Registry) -> None:
    settings = {"DOCKER_HOST": docker.daemon.socket}
    target = f"{ours.host}/recipe/direct:v1"
    images.must("push", "--docker", "recipe/one:v1", target, **settings)
    before = identity(docker, "recipe/one:v1")
    assert images.must("pull", "--docker", target, **settings).startswith(f"pulled {target} sha256:")
    assert identity(docker, target) == before


def test_archive_on_standard_output_goes_straight_into_docker(images: Images, docker: Docker, plain: Registry) -> None:
    name = f"{plain.host}/recipe/piped:v1"
    docker.must("tag", "recipe/one:v1", name)
    docker.must("push", name)
    docker.must("rmi", name)
    done = subprocess.run(
        images.command("pull", name, "--output", "-"), env=images.environment(), capture_output=True, check=True
    )
    assert done.stderr.decode().startswith(f"pulled {name} sha256:")
    (docker.home / "piped.tar").write_bytes(done.stdout)
    docker.must("load", "--input", str(docker.home / "piped.tar"))
    assert identity(docker, name) == identity(docker, "recipe/one:v1")
