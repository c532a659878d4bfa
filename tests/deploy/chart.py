"""The Helm chart of deploy/chart, rendered by Helm's own SDK."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import helm_python as helm
import yaml

from tests.deploy.kustomization import Object
from tests.support.binaries import ROOT

FOLDER = ROOT / "deploy/chart"
RELEASE, NAMESPACE = "authproxy", "registry"
Objects = dict[tuple[str, str], Object]


def render(values: Mapping[str, Any] | None = None, *, name: str = RELEASE, chart: Path = FOLDER) -> Objects:
    """Every object that `helm install` would make, by its kind and name. Raises helm.HelmError."""
    return objects_of("\n---\n".join(sources(values, name=name, chart=chart).values()))


def notes(values: Mapping[str, Any] | None = None) -> str:
    """What `helm install` prints at its end."""
    with helm.Chart.load(FOLDER) as loaded:
        texts = loaded.render(dict(values or {}), name=RELEASE, namespace=NAMESPACE)
    return str(texts["authproxy/templates/NOTES.txt"])


def sources(values: Mapping[str, Any] | None = None, *, name: str = RELEASE, chart: Path = FOLDER) -> dict[str, str]:
    """The text of each template."""
    with helm.Chart.load(chart) as loaded:
        texts = loaded.render(dict(values or {}), name=name, namespace=NAMESPACE)
    return {path: text for path, text in texts.items() if not path.endswith("NOTES.txt")}


def objects_of(manifest: str) -> Objects:
    """The objects of a manifest; two of one kind and name are an error."""
    found = [each for each in yaml.load_all(manifest, Loader=yaml.CSafeLoader) if each]
    objects = {(each["kind"], each["metadata"]["name"]): each for each in found}
    assert len(objects) == len(found), "two objects have one name"
    return objects


def merged(*values: Mapping[str, Any]) -> dict[str, Any]:
    """Values as Helm merges several files: maps key by key, the later wins."""
    result: dict[str, Any] = {}
    for each in values:
        for key, value in each.items():
            both = isinstance(value, dict) and isinstance(result.get(key), dict)
            result[key] = merged(result[key], value) if both else value
    return result
