"""After a storm: is all there that was promised, is all whole that shows, is nothing there that was deleted?"""

import hashlib
from pathlib import Path

import httpx

from tests.support.ledger import Ledger, Name
from tests.support.server import Server
from tests.support.storm_client import REPOSITORIES, pull, signed_in


async def find_faults(server: Server, ledger: Ledger) -> list[str]:
    """All that is wrong, a sentence each. The server runs and nobody writes."""
    faults = find_damaged_blobs(server.storage)
    async with signed_in(server) as http:
        for image in ledger.kept():
            faults += await pull(http.request, image)
        for image in ledger.gone():
            answer = await http.head(f"/v2/{image.repository}/manifests/{image.reference}")
            if answer.status_code != httpx.codes.NOT_FOUND:
                faults.append(f"{image} was deleted, and is answered with {answer.status_code}")
        for repository in REPOSITORIES:
            faults += await _find_faulty_tags(http, ledger, repository)
        faults += await _find_faulty_catalog(http, ledger)
    return faults


def find_damaged_blobs(storage: Path) -> list[str]:
    """Files that show as blobs and are not what their path says."""
    faults = []
    for data in (storage / "docker" / "registry" / "v2" / "blobs").glob("*/*/*/data"):
        algorithm, name = data.parts[-4], data.parts[-2]
        with data.open("rb") as file:
            if hashlib.file_digest(file, algorithm).hexdigest() != name:
                faults.append(f"{data} has {data.stat().st_size} bytes of something else")
    return faults


async def _find_faulty_tags(http: httpx.AsyncClient, ledger: Ledger, repository: str) -> list[str]:
    answer = await http.get(f"/v2/{repository}/tags/list")
    if answer.status_code == httpx.codes.NOT_FOUND:
        return [
            f"{name} is in a repository that is not there" for name in ledger.kept() if name.repository == repository
        ]
    faults = []
    shown: dict[str, str] = {}
    for tag in answer.json()["tags"]:
        faults += await pull(http.request, Name(repository, tag))
        head = await http.head(f"/v2/{repository}/manifests/{tag}")
        shown[tag] = head.headers.get("docker-content-digest", "")
    return faults + ledger.find_faults(repository, shown)


async def _find_faulty_catalog(http: httpx.AsyncClient, ledger: Ledger) -> list[str]:
    listed = set((await http.get("/v2/_catalog")).json()["repositories"])
    faults = [f"{name} is not in the catalog" for name in {image.repository for image in ledger.kept()} - listed]
    answers = {name: await http.get(f"/v2/{name}/tags/list") for name in listed}
    faults += [f"{name} is listed: {answer.status_code}" for name, answer in answers.items() if not answer.is_success]
    return faults
