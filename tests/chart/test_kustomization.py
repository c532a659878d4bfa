"""The Helm chart and the plain manifests of deploy/kubernetes are one deployment: each difference is named here."""

from pathlib import Path
from typing import Any

import pytest

from authproxy import __version__
from tests.deploy.chart import Objects, render
from tests.deploy.kustomization import build
from tests.deploy.people import write_certificate
from tests.support.binaries import ROOT

# The chart as the plain manifests are: users and certificate in Secrets, a load balancer.
VALUES: dict[str, Any] = {
    "image": {"repository": "registry.example.com/authproxy", "tag": __version__},
    "host": "registry.example.com",
    "users": {"existingSecret": "users"},
    "tls": {"existingSecret": "tls"},
    "persistence": {"keep": False},
    "service": {"type": "LoadBalancer", "externalTrafficPolicy": "Local"},
    "serviceAccount": {"create": False},
}

# Paths in the pod's specification, below the names of its container and volumes, and why they differ.
POD = {
    ("serviceAccountName",): "the chart names the account that it may make; the manifests say nothing: `default`",
    ("volumes", "config", "configMap", "name"): "kustomize gives the name a hash, the chart the release's name",
    ("volumes", "policies", "configMap", "name"): "the same",
    ("volumes", "users"): "the chart takes one Secret; the manifests project the groups from a ConfigMap beside it",
    ("volumes", "registry", "persistentVolumeClaim", "claimName"): "the chart's claim has the release's name",
    ("volumes", "authproxy", "persistentVolumeClaim", "claimName"): "the same, and ends in -state",
    ("containers", "authproxy", "env", "REGISTRY_IDENTITIES_0_HTPASSWD_PATH"): "the chart writes it into config.yml",
    ("containers", "authproxy", "env", "REGISTRY_IDENTITIES_1_USERS_PATH"): "the same",
    ("containers", "authproxy", "imagePullPolicy"): "a value of the chart; its default is Kubernetes' own",
}
CLAIMS = {"registry": "authproxy-registry", "authproxy": "authproxy-state"}


@pytest.fixture
def kustomized(tmp_path: Path) -> Objects:
    folder = tmp_path / "registry"
    folder.mkdir()
    for file in (ROOT / "deploy/kubernetes").iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    for file in (ROOT / "deploy/config.yml", ROOT / "policies/default.yaml"):
        (folder / file.name).write_bytes(file.read_bytes())
    write_certificate(folder / "certs")
    (folder / "data").mkdir()
    (folder / "data/htpasswd").touch()
    (folder / "data/users.yaml").touch()
    return build(folder)


def differences(one: Any, other: Any, path: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    """Where two values differ. Lists of things with names are compared by these."""
    one, other = named(one), named(other)
    if isinstance(one, dict) and isinstance(other, dict):
        return {
            found
            for key in one.keys() | other.keys()
            for found in (
                differences(one[key], other[key], (*path, key)) if key in one and key in other else {(*path, key)}
            )
        }
    return set() if one == other else {path}


def named(value: Any) -> Any:
    key = next((key for key in ("name", "mountPath") if isinstance(value, list) and value and key in value[0]), None)
    if key == "name" and any("mountPath" in each for each in value):
        key = "mountPath"
    return {each[key]: each for each in value} if key else value


def test_the_pods_differ_in_what_is_named_here_alone(kustomized: Objects) -> None:
    one, other = kustomized["Deployment", "authproxy"], render(VALUES)["Deployment", "authproxy"]
    found = differences(one["spec"]["template"]["spec"], other["spec"]["template"]["spec"])
    assert {path[:2] if path[:2] == ("volumes", "users") else path for path in found} == set(POD)
    for key in ("replicas", "strategy"):
        assert one["spec"][key] == other["spec"][key]


@pytest.mark.parametrize("kind", ["Service", "PodDisruptionBudget", "NetworkPolicy"])
def test_the_other_objects_differ_in_labels_alone(kustomized: Objects, kind: str) -> None:
    """The chart's selectors have the release's name beside that of the program."""
    one, other = kustomized[kind, "authproxy"]["spec"], render(VALUES)[kind, "authproxy"]["spec"]
    selector = {"Service": ("selector",), "PodDisruptionBudget": ("selector", "matchLabels")}.get(
        kind, ("podSelector", "matchLabels")
    )
    assert differences(one, other) == {(*selector, "app.kubernetes.io/instance")}


@pytest.mark.parametrize("ours", CLAIMS)
def test_the_claims_differ_in_their_names_alone(kustomized: Objects, ours: str) -> None:
    charts = render(VALUES)["PersistentVolumeClaim", CLAIMS[ours]]
    assert differences(kustomized["PersistentVolumeClaim", ours]["spec"], charts["spec"]) == set()


def test_the_policies_are_the_same(kustomized: Objects) -> None:
    assert kustomized["ConfigMap", "policies"]["data"] == render(VALUES)["ConfigMap", "authproxy-policies"]["data"]


def test_no_kind_is_in_one_of_them_alone(kustomized: Objects) -> None:
    """But for the namespace, which `helm install --create-namespace` makes, and Secrets, which exist already."""
    plain = {kind for kind, _ in kustomized}
    assert plain - {kind for kind, _ in render(VALUES)} == {"Namespace", "Secret"}
    assert {kind for kind, _ in render(VALUES)} <= plain
