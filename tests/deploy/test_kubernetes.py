"""The manifests of deploy/kubernetes: valid, agreed with each other, and what the Deployment runs serves."""

import json
import shutil
from pathlib import Path
from typing import Any

import bcrypt
import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml

from authproxy import __version__
from tests.deploy import pages
from tests.deploy.conftest import Built
from tests.deploy.kustomization import Object, build
from tests.deploy.people import ACCOUNT, PASSWORD, push_and_pull, write_certificate
from tests.deploy.pod import docker_options
from tests.support.binaries import ROOT
from tests.support.container import Container, running_container

PAGE = "run-on-kubernetes"
FOLDER = ROOT / "deploy/kubernetes"
# From the oldest release that is of use to somebody to the newest that the schemas know.
VERSIONS = ("1.27", kubernetes_validate.latest_version())
HOST = "localhost:443"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder that the page has one make."""
    here = tmp_path / "registry"
    words = pages.command(PAGE, "cp deploy/config.yml").split()[1:-1]
    shutil.copytree(FOLDER, here)
    for name in words:
        shutil.copy(ROOT / name, here)
    write_certificate(here / "certs")
    (here / "data").mkdir()
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(5, prefix=b"2b")).decode()
    (here / "data/htpasswd").write_text(f"admin:{hashed}\n")
    (here / "data/users.yaml").write_text("users:\n  admin: {groups: [admins]}\n")
    return here


@pytest.fixture
def objects(folder: Path) -> dict[tuple[str, str], Object]:
    return build(folder)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_object_is_one_of_kubernetes(objects: dict[tuple[str, str], Object], version: str) -> None:
    for each in objects.values():
        kubernetes_validate.validate(each, version, strict=True)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_field_that_kubernetes_does_not_know_would_be_found(
    objects: dict[tuple[str, str], Object], version: str
) -> None:
    deployment = objects["Deployment", "authproxy"]
    deployment["spec"]["template"]["spec"]["containers"][0]["securityContext"]["readOnlyFilesystem"] = True
    with pytest.raises(kubernetes_validate.ValidationError, match="readOnlyFilesystem"):
        kubernetes_validate.validate(deployment, version, strict=True)


def test_the_kinds_are_there(objects: dict[tuple[str, str], Object]) -> None:
    assert {kind for kind, _ in objects} == {
        *("Namespace", "Deployment", "Service", "ConfigMap", "Secret"),
        *("PersistentVolumeClaim", "PodDisruptionBudget", "NetworkPolicy"),
    }


def test_every_file_of_the_folder_is_a_resource() -> None:
    named = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())["resources"]
    assert {*named, "kustomization.yaml"} == {file.name for file in FOLDER.iterdir()}


def test_who_speaks_of_the_pods_means_these(objects: dict[tuple[str, str], Object]) -> None:
    template = objects["Deployment", "authproxy"]["spec"]["template"]
    labels = template["metadata"]["labels"]
    assert objects["Service", "authproxy"]["spec"]["selector"] == labels
    for kind, key in (
        ("Deployment", "selector"),
        ("PodDisruptionBudget", "selector"),
        ("NetworkPolicy", "podSelector"),
    ):
        assert objects[kind, "authproxy"]["spec"][key]["matchLabels"] == labels


def test_ports_are_named_as_the_container_names_them(objects: dict[tuple[str, str], Object]) -> None:
    container = objects["Deployment", "authproxy"]["spec"]["template"]["spec"]["containers"][0]
    ports = {port["name"] for port in container["ports"]}
    service = {port["targetPort"] for port in objects["Service", "authproxy"]["spec"]["ports"]}
    policy = objects["NetworkPolicy", "authproxy"]["spec"]["ingress"]
    opened = {port["port"] for rule in policy for port in rule["ports"]}
    assert service == {"https"}
    assert opened == ports == {"https", "health"}
    assert {container[f"{kind}Probe"]["httpGet"]["port"] for kind in ("startup", "readiness", "liveness")} == {"health"}


def test_the_pod_of_the_deployment_serves_and_its_probes_answer(
    built: Built, objects: dict[tuple[str, str], Object], tmp_path: Path
) -> None:
    deployment = objects["Deployment", "authproxy"]
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == f"registry.example.com/authproxy:{__version__}"
    port = next(port["containerPort"] for port in container["ports"] if port["name"] == "https")
    options = docker_options(deployment, objects, tmp_path)
    with running_container(built.docker, "-p", f"443:{port}", *options, built.image) as pod:
        push_and_pull(built.docker, HOST, "admin")
        assert pod.user_id == ACCOUNT
        for kind in ("startup", "readiness", "liveness"):
            assert probe(built, pod, container, kind) == 200
        assert "warning" not in pod.output
    built.docker.must("volume", "rm", "pod-registry", "pod-authproxy")


def probe(built: Built, pod: Container, container: dict[str, Any], kind: str) -> int:
    """The status that a probe of the kubelet would get: it asks the pod's own address."""
    asked = container[f"{kind}Probe"]["httpGet"]
    port = next(port["containerPort"] for port in container["ports"] if port["name"] == asked["port"])
    address = json.loads(built.docker.must("inspect", pod.name))[0]["NetworkSettings"]["IPAddress"]
    ask = f"import urllib.request as r; print(r.urlopen('http://{address}:{port}{asked['path']}').status)"
    return int(built.docker.must("exec", pod.name, "/opt/authproxy/bin/python3", "-c", ask))
