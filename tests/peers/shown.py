"""All that a registry shows, read over HTTP: what two registries on the same folder have to agree on."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.peers.stock import ACCEPT
from tests.support.registry import sha256


@dataclass
class Shown:
    """Repositories, tags, manifests and blobs. Content stands as its SHA-256, which is computed here."""

    catalog: list[str] = field(default_factory=list)
    tags: dict[str, list[str]] = field(default_factory=dict)  # by repository
    manifests: dict[str, tuple[str, str, str]] = field(default_factory=dict)  # `repo:tag`, `repo@digest`: see below
    blobs: dict[str, str] = field(default_factory=dict)  # `repo@digest`


def look(url: str) -> Shown:
    """Read all that can be reached from the catalog. Raises AssertionError where something of it is not there."""
    shown = Shown()
    with httpx.Client(base_url=url, trust_env=False, timeout=60) as client:
        shown.catalog = sorted(_get(client, "/v2/_catalog?n=1000").json()["repositories"])
        for repository in shown.catalog:
            answer = client.get(f"/v2/{repository}/tags/list")
            # A repository without tags: ours lists none, Distribution says that it has no such name.
            shown.tags[repository] = sorted(answer.json().get("tags") or [])
            for tag in shown.tags[repository]:
                _read_manifest(client, shown, repository, tag)
    return shown


def _read_manifest(client: httpx.Client, shown: Shown, repository: str, reference: str) -> None:
    answer = _get(client, f"/v2/{repository}/manifests/{reference}", Accept=ACCEPT)
    key = f"{repository}{'@' if ':' in reference else ':'}{reference}"
    if key in shown.manifests:
        return
    shown.manifests[key] = (
        answer.headers["docker-content-digest"],
        answer.headers["content-type"],
        sha256(answer.content),
    )
    if ":" not in reference:
        _read_manifest(client, shown, repository, answer.headers["docker-content-digest"])
        return
    body = json.loads(answer.content)
    for entry in body.get("manifests", []):
        _read_manifest(client, shown, repository, entry["digest"])
    for digest in _blobs(body):
        shown.blobs[f"{repository}@{digest}"] = sha256(_get(client, f"/v2/{repository}/blobs/{digest}").content)


def _blobs(body: dict[str, Any]) -> Iterator[str]:
    if "config" in body:
        yield body["config"]["digest"]
    for layer in body.get("layers", []):
        yield layer["digest"]


def _get(client: httpx.Client, path: str, **headers: str) -> httpx.Response:
    answer = client.get(path, headers=headers)
    assert answer.status_code == httpx.codes.OK, f"{path}: {answer.status_code} {answer.text}"
    return answer
