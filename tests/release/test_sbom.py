"""The SBOMs: valid, complete, and found in our registry beside the image that was pushed."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from release.dependencies import read_wheel
from release.sbom import MEDIA_TYPE
from tests.release.rootfs import Layout, open_layout
from tests.support.program import environment, succeed
from tests.support.released import FOLDER, released
from tests.support.server import ADMIN, ADMIN_PASSWORD, AUTHPROXY, Server, running_server

ARCHITECTURES = ("amd64", "arm64")


@pytest.fixture(scope="module")
def layout() -> Iterator[Layout]:
    with open_layout() as opened:
        yield opened


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("registry")) as running:
        yield running


def bom(architecture: str) -> Any:
    return json.loads(released(f"authproxy-*-linux-{architecture}.cdx.json").read_bytes())


@pytest.mark.parametrize(
    "file", ["authproxy_registry-*.cdx.json", *(f"authproxy-*-{one}.cdx.json" for one in ARCHITECTURES)]
)
def test_it_is_cyclonedx_1_6(file: str) -> None:
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(released(file).read_text()) is None


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_it_lists_every_package_and_wheel_of_the_image(layout: Layout, architecture: str) -> None:
    packages, wheels = set(), set()
    for layer in layout.layers(architecture):
        for name in layer.getnames():
            if name.startswith("var/lib/dpkg/status.d/"):
                packages.add(name.rpartition("/")[2])
            elif name.endswith(".dist-info/METADATA"):
                wheels.add(name.split("/")[-2].partition("-")[0].replace("_", "-").lower())
    listed = [one["purl"] for one in bom(architecture)["components"]]
    assert {one.removeprefix("pkg:deb/debian/").partition("@")[0] for one in listed if "deb" in one[:8]} == packages
    assert {one.removeprefix("pkg:pypi/").partition("@")[0] for one in listed if "pypi" in one[:9]} == wheels


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_component_has_a_licence(architecture: str) -> None:
    assert [one["name"] for one in bom(architecture)["components"] if not one.get("licenses")] == []


def test_the_wheels_sbom_lists_what_it_needs() -> None:
    found = json.loads(released("authproxy_registry-*.cdx.json").read_bytes())
    wheel = read_wheel(released("*.whl"))
    reference = f"pkg:pypi/authproxy-registry@{wheel.version}"
    assert found["metadata"]["component"]["purl"] == reference
    (needed,) = (one["dependsOn"] for one in found["dependencies"] if one["ref"] == reference)
    assert "pkg:pypi/cryptography" in {one.partition("@")[0] for one in needed}
    assert {one["bom-ref"] for one in found["components"]} >= set(needed)


def test_a_push_takes_the_sboms_along_and_our_registry_lists_them(
    layout: Layout, server: Server, tmp_path: Path
) -> None:
    file = released("*.oci.tar")
    words = ("images", "push", "--ca", str(server.ca), "--user", ADMIN, "--password-stdin")
    env = environment(tmp_path)
    first = succeed(AUTHPROXY, *words, str(file), server.host, env=env, stdin=ADMIN_PASSWORD)
    assert first.out.endswith(f"{layout.entries[0]['digest']}, with 2 referrers\n"), str(first)
    again = succeed(AUTHPROXY, *words, str(file), server.host, env=env, stdin=ADMIN_PASSWORD)
    assert again.out.startswith("already there "), str(again)
    assert "referrer" not in again.out

    with server.client_for(ADMIN, ADMIN_PASSWORD, "repository:authproxy:pull") as client:
        for architecture, digest in layout.platforms.items():
            answer = client.get(f"/v2/authproxy/referrers/{digest}").raise_for_status().json()
            (listed,) = answer["manifests"]
            assert listed["artifactType"] == MEDIA_TYPE
            manifest = client.get(f"/v2/authproxy/manifests/{listed['digest']}").raise_for_status().json()
            (blob,) = manifest["layers"]
            content = client.get(f"/v2/authproxy/blobs/{blob['digest']}").raise_for_status().content
            name = blob["annotations"]["org.opencontainers.image.title"]
            assert content == (FOLDER / name).read_bytes()
            assert name.endswith(f"-linux-{architecture}.cdx.json")
