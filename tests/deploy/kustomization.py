"""What `kubectl kustomize` makes of deploy/kubernetes. No package has that program for the tests, so they do it here.

As kustomize does, but for the hash behind the names of what is generated: resources, generators, namespace, labels and
images. A field of kustomization.yaml that is none of these is refused, so that it cannot pass unseen.
"""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

KNOWN = {
    *("apiVersion", "kind", "namespace", "labels", "resources", "images"),
    *("configMapGenerator", "secretGenerator"),
}
Object = dict[str, Any]


def build(folder: Path) -> dict[tuple[str, str], Object]:
    """Every object by its kind and name."""
    file = yaml.safe_load((folder / "kustomization.yaml").read_text())
    assert set(file) <= KNOWN, set(file) - KNOWN
    objects = [*_resources(folder, file), *_generated(folder, file)]
    for each in objects:
        if each["kind"] != "Namespace":
            each["metadata"]["namespace"] = file["namespace"]
        for labels in file["labels"]:
            _label(each, labels)
        for image in file["images"]:
            _name_image(each, image)
    return {(each["kind"], each["metadata"]["name"]): each for each in objects}


def _resources(folder: Path, file: Object) -> Iterator[Object]:
    for name in file["resources"]:
        yield from yaml.safe_load_all((folder / name).read_text())


def _generated(folder: Path, file: Object) -> Iterator[Object]:
    for entry in file["configMapGenerator"]:
        data = {key: content.decode() for key, content in _files(folder, entry)}
        yield {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": entry["name"]}, "data": data}
    for entry in file["secretGenerator"]:
        secret = {key: base64.b64encode(content).decode() for key, content in _files(folder, entry)}
        kind = entry.get("type", "Opaque")
        yield {"apiVersion": "v1", "kind": "Secret", "type": kind, "metadata": {"name": entry["name"]}, "data": secret}


def _files(folder: Path, entry: Object) -> Iterator[tuple[str, bytes]]:
    """`key=path`, or a path whose last part is the key."""
    for text in entry["files"]:
        key, equals, path = text.partition("=")
        yield (key, (folder / path).read_bytes()) if equals else (Path(text).name, (folder / text).read_bytes())


def _label(each: Object, labels: Object) -> None:
    assert labels["includeSelectors"]
    assert labels["includeTemplates"]
    each["metadata"].setdefault("labels", {}).update(labels["pairs"])
    selectors = {
        "Deployment": ("matchLabels", each.get("spec", {}).get("selector")),
        "Service": (None, each.get("spec", {}).get("selector")),
        "PodDisruptionBudget": ("matchLabels", each.get("spec", {}).get("selector")),
        "NetworkPolicy": ("matchLabels", each.get("spec", {}).get("podSelector")),
    }
    if each["kind"] in selectors:
        key, selector = selectors[each["kind"]]
        (selector if key is None else selector[key]).update(labels["pairs"])
    if each["kind"] == "Deployment":
        each["spec"]["template"]["metadata"]["labels"].update(labels["pairs"])


def _name_image(each: Object, image: Object) -> None:
    if each["kind"] == "Deployment":
        for container in each["spec"]["template"]["spec"]["containers"]:
            if container["image"] == image["name"]:
                container["image"] = f"{image['newName']}:{image['newTag']}"
