"""Archives as real programs write them, read; and what is written here, loaded by them."""

import gzip
import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import zstandard

from authproxy.images.archive.archive import Archive, ArchivedImage
from authproxy.images.archive.opening import find_archives, open_archive
from authproxy.images.archive.output import parse_target
from authproxy.images.archive.staging import open_staging
from authproxy.images.archive.writing import write_archive
from authproxy.images.daemon import choose, find_socket, open_daemon
from authproxy.oci.manifest import Descriptor
from tests.images.conftest import Images, Registry
from tests.support.binaries import binary
from tests.support.daemon import GREETING, Daemon, Docker
from tests.support.program import environment, succeed

NAME = "localhost:5000/team/app:v1"


@dataclass(frozen=True, slots=True)
class Storage:
    """podman, buildah and skopeo with a storage of their own."""

    home: Path

    def ask(self, program: str, *arguments: str) -> str:
        """Run one of them, which has to end well: what it printed."""
        options = ["--root", f"{self.home}/root", "--runroot", f"{self.home}/run", "--storage-driver", "vfs"]
        if program == "skopeo":
            options = ["--insecure-policy"]
        return succeed(binary(program), *options, *arguments, env=environment(self.home), cwd=self.home).out


@pytest.fixture(scope="module")
def docker(daemon: Daemon) -> Docker:
    """Somebody whose daemon holds an image of three layers, two of them equal, under two names, and another image."""
    docker = daemon.docker("archivist")
    docker.make_image("base:v0", mark="archives")
    (docker.home / "Dockerfile").write_text("FROM base:v0\nCOPY Dockerfile /etc/\nCOPY Dockerfile /etc/\n")
    docker.must("build", "--tag", NAME, "--tag", "app:v2", str(docker.home))
    return docker


@pytest.fixture(scope="module")
def saved(docker: Docker) -> Path:
    """What `docker save` writes of it."""
    path = docker.home / "saved.tar"
    docker.must("save", "--output", str(path), NAME)
    return path


@pytest.fixture(scope="module")
def storage(saved: Path) -> Iterator[Storage]:
    # Not pytest's folder: podman refuses a run root whose path has more than 50 characters.
    home = Path(tempfile.mkdtemp(prefix="archives-"))
    try:
        (home / ".config" / "containers").mkdir(parents=True)
        (home / ".config" / "containers" / "policy.json").write_text(
            '{"default": [{"type": "insecureAcceptAnything"}]}'
        )
        storage = Storage(home)
        storage.ask("podman", "load", "--quiet", "--input", str(saved))
        yield storage
    finally:
        shutil.rmtree(home, ignore_errors=True)


Write = Callable[[Storage, Path, Path], object]

# Who writes an archive of the image that `docker save` wrote, and how: (storage, what docker saved, where).
WRITERS: list[tuple[str, Write]] = [
    ("docker", lambda _, saved, path: shutil.copy(saved, path)),
    ("gzip of docker", lambda _, saved, path: path.write_bytes(gzip.compress(saved.read_bytes(), 1))),
    ("zstd of docker", lambda _, saved, path: path.write_bytes(zstandard.compress(saved.read_bytes()))),
    ("docker, extracted", lambda _, saved, path: shutil.unpack_archive(saved, path, format="tar")),
    *(
        (f"skopeo {form}", lambda storage, saved, path, form=form: storage.ask(
            "skopeo", "copy", "--quiet", f"docker-archive:{saved}", f"{form}:{path}:{NAME}"
        ))
        for form in ("docker-archive", "oci-archive", "oci")
    ),
    *(
        (f"podman {form}", lambda storage, _, path, form=form: storage.ask(
            "podman", "save", "--quiet", "--format", form, "--output", str(path), NAME
        ))
        for form in ("docker-archive", "oci-archive", "oci-dir")
    ),
    *(
        (f"buildah {form}", lambda storage, _, path, form=form: storage.ask(
            "buildah", "push", "--quiet", NAME, f"{form}:{path}:{NAME}"
        ))
        for form in ("docker-archive", "oci-archive", "oci")
    ),
]  # fmt: skip


@pytest.mark.parametrize("write", [row[1] for row in WRITERS], ids=[row[0] for row in WRITERS])
async def test_the_image_is_had_out_of_what_another_wrote_and_pushed(
    storage: Storage,
    docker: Docker,
    saved: Path,
    tmp_path: Path,
    write: Write,
    images: Images,
    plain: Registry,
    request: pytest.FixtureRequest,
) -> None:
    path = tmp_path / "archive"
    write(storage, saved, path)
    with open_archive(path) as archive:
        (image,) = archive.images
        layers = json.loads(docker.must("image", "inspect", "--format", "{{json .RootFS.Layers}}", NAME))
        assert await plain_layers(archive, image) == layers
    # podman's layout in a folder is the only one that says no name.
    assert NAME in image.names or path.is_dir()
    target = f"{plain.host}/written/{''.join(filter(str.isalnum, request.node.callspec.id))}:v1"
    pushed = images.process("push", path, target)
    assert pushed.out.startswith(f"pushed {target} sha256:"), str(pushed)
    shown = storage.ask("skopeo", "inspect", "--config", "--tls-verify=false", f"docker://{target}")
    assert json.loads(shown)["rootfs"]["diff_ids"] == layers


async def plain_layers(archive: Archive, image: ArchivedImage) -> list[str]:
    """The digests of an image's plain layers, each blob compared with its own digest on the way."""
    manifest = await archive.manifest(image.reference)
    assert manifest.config is not None
    assert hashlib.sha256(await read(archive, manifest.config)).hexdigest() == manifest.config.digest.hex
    digests = []
    for layer in manifest.layers:
        content = await read(archive, layer)
        assert (hashlib.sha256(content).hexdigest(), len(content)) == (layer.digest.hex, layer.size)
        digests.append(f"sha256:{hashlib.sha256(gzip.decompress(content)).hexdigest()}")
    return digests


async def read(archive: Archive, blob: Descriptor) -> bytes:
    return b"".join([piece async for piece in archive.blob(blob)])


async def rewrite(source: Path, text: str, *names: str) -> None:
    """Write the one image of an archive into another, under these names."""
    target = parse_target(text, None, is_folder=False)
    with open_archive(source) as archive, open_staging(target) as stage:
        manifest = await archive.manifest(archive.images[0].reference)
        for blob in manifest.blobs:
            await stage.put_blob(blob, archive.blob(blob))
        for name in names:
            await stage.put_manifest(manifest, name)
        write_archive(stage, target)


@pytest.mark.parametrize("ending", ["tar", "tar.gz"])
async def test_docker_loads_what_is_written_as_the_very_image(
    docker: Docker, saved: Path, tmp_path: Path, ending: str
) -> None:
    await rewrite(saved, f"{tmp_path}/ours.{ending}", NAME, "ours:v1")
    identity = docker.must("image", "inspect", "--format", "{{.Id}}", NAME)
    docker.must("rmi", NAME, "app:v2")
    assert docker("image", "inspect", NAME).code != 0
    docker.must("load", "--input", f"{tmp_path}/ours.{ending}")
    assert docker.must("image", "inspect", "--format", "{{.Id}}", NAME) == identity
    assert docker.must("run", "--rm", "--network", "none", "ours:v1").strip() == GREETING
    docker.must("tag", NAME, "app:v2")
    docker.must("rmi", "ours:v1")


@pytest.mark.parametrize(
    ("name", "transport"),
    [("ours.tar", "docker-archive"), ("ours.oci.tar", "oci-archive"), ("ours/", "oci")],
    ids=["docker archive", "layout in a tar", "layout in a folder"],
)
async def test_podman_and_skopeo_read_what_is_written(
    storage: Storage, docker: Docker, saved: Path, tmp_path: Path, name: str, transport: str
) -> None:
    # skopeo passes over Docker's media types in an OCI layout: the image is OCI's from the beginning.
    storage.ask("skopeo", "copy", "--quiet", f"docker-archive:{saved}", f"oci:{tmp_path}/before:{NAME}")
    await rewrite(tmp_path / "before", f"{tmp_path}/{name}", NAME)
    source = f"{transport}:{tmp_path}/{name.rstrip('/')}:{NAME}"
    config = json.loads(storage.ask("skopeo", "inspect", "--config", source))
    layers = json.loads(docker.must("image", "inspect", "--format", "{{json .RootFS.Layers}}", NAME))
    assert config["rootfs"]["diff_ids"] == layers
    identity = storage.ask("podman", "pull", "--quiet", source).strip()
    assert json.loads(storage.ask("podman", "image", "inspect", identity))[0]["RootFS"]["Layers"] == layers


async def test_a_folder_of_archives_is_read_one_after_another(docker: Docker, saved: Path, tmp_path: Path) -> None:
    shutil.copy(saved, tmp_path / "b.tar")
    docker.must("save", "--output", str(tmp_path / "a.tar"), "base:v0", "app:v2")
    names = []
    for path in find_archives(tmp_path):
        with open_archive(path) as archive:
            names.append(sorted(name for image in archive.images for name in image.names))
    assert names == [["app:v2", "base:v0"], [NAME]]


async def test_the_daemon_tells_its_images_and_hands_them_out(docker: Docker, daemon: Daemon, tmp_path: Path) -> None:
    async with open_daemon(find_socket({"DOCKER_HOST": daemon.socket})) as asked:
        images = choose(await asked.images(), ["app"])
        assert [image.names for image in images] == [("app:v2",)]
        assert str(images[0].identity) == docker.must("image", "inspect", "--format", "{{.Id}}", "app:v2").strip()
        with (tmp_path / "exported.tar").open("wb") as file:
            await asked.export([NAME, "app:v2"], file)
    with open_archive(tmp_path / "exported.tar") as archive:
        (image,) = archive.images
        assert (image.names, image.identity) == ((NAME, "app:v2"), images[0].identity)


async def test_the_daemon_takes_an_archive(docker: Docker, daemon: Daemon, saved: Path, tmp_path: Path) -> None:
    await rewrite(saved, f"{tmp_path}/ours.tar", "ours:v3")
    with (tmp_path / "ours.tar").open("rb") as archive:
        async with open_daemon(find_socket({"DOCKER_HOST": daemon.socket})) as asked:
            assert await asked.load(archive) == ("Loaded image: ours:v3",)
    assert docker.must("run", "--rm", "--network", "none", "ours:v3").strip() == GREETING
    docker.must("rmi", "ours:v3")
