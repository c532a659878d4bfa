"""After a storm: is all there that was promised, is all whole that shows, is nothing there that was deleted?"""

import hashlib
import json
from pathlib import Path

import httpx

from authproxy.maintenance.gc.collector import CollectOptions, Collector
from authproxy.maintenance.gc.options import Untagged
from authproxy.maintenance.ticks import Ticks
from authproxy.storage.filesystem.driver import FilesystemDriver
from authproxy.storage.records import Records
from tests.support.ledger import Ledger, Name
from tests.support.program import environment, run
from tests.support.server import AUTHPROXY, Server
from tests.support.storm_client import GRACE_S, REPOSITORIES, pull, signed_in
from tests.support.storm_collector import FLEETING

# Runs of a collector after which nothing is left to remove, each after a grace.
MAX_RUNS = 8


class _Clock:
    """Graces pass by an assignment."""

    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


async def find_faults(server: Server, ledger: Ledger) -> list[str]:
    """All that is wrong, a sentence each. The server runs and nobody writes."""
    faults = find_damaged_blobs(server.storage)
    async with signed_in(server) as http:
        for image in ledger.recent():
            found = await pull(http.request, image)
            if image in ledger.recent():  # the check takes its time too
                faults += found
        for image in ledger.gone():
            answer = await http.head(f"/v2/{image.repository}/manifests/{image.reference}")
            if answer.status_code != httpx.codes.NOT_FOUND:
                faults.append(f"{image} was deleted, and is answered with {answer.status_code}")
        for repository in (*REPOSITORIES, FLEETING):
            faults += await _find_faulty_tags(http, ledger, repository)
        faults += await _find_faulty_catalog(http, ledger)
    return faults


async def collect_to_the_end(server: Server, ledger: Ledger) -> list[str]:
    """Let collectors remove all that they may, as if graces had passed: what is wrong then.

    Nothing is left to remove, nothing is damaged, and every tag still leads to a whole image.
    """
    options = CollectOptions(GRACE_S, 0.0, Untagged.REMOVE, ends_trash=True)
    driver = FilesystemDriver(server.storage, threads=2)
    clock = _Clock()
    ticks = Ticks(Records(driver), tick_s=0.001, now=clock, boot="the aftermath's")
    try:
        for _ in range(MAX_RUNS):
            for _ in range(3):  # the first only sees the record; time counts from the next tick on
                await ticks.advance()
                clock.now_s += GRACE_S + 1
            if not (await Collector(driver, options, ticks=ticks).run()).condemned:
                break
    finally:
        await driver.close()
    faults = _find_leftovers(server)
    async with signed_in(server) as http:
        for repository in (*REPOSITORIES, FLEETING):
            faults += await _find_faulty_tags(http, ledger, repository)
    return [f"after collections: {fault}" for fault in faults] + verify(server)


def verify(server: Server) -> list[str]:
    """What `authproxy verify` finds."""
    done = run(AUTHPROXY, "verify", "--storage", str(server.storage), env=environment(server.folder), cwd=server.folder)
    return [] if done.code == 0 else [f"verify: {done.code} {done.text[-3000:]}"]


def _find_leftovers(server: Server) -> list[str]:
    arguments = ("gc", "--dry-run", "--delete-untagged", "--json", "--storage", str(server.storage))
    done = run(AUTHPROXY, *arguments, env=environment(server.folder), cwd=server.folder)
    assert done.code == 0, done
    found = json.loads(done.out)
    return [f"gc would remove {found}"] if _would_remove(found) else []


def _would_remove(found: object) -> bool:
    return "digest" in json.dumps(found)


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
    certain = [(tag, digest) for tag, digest in ledger.certain() if tag.repository == repository]
    if answer.status_code == httpx.codes.NOT_FOUND:
        return [f"{name} is in a repository that is not there" for name, _ in certain]
    faults = []
    shown: dict[str, str] = {}
    for tag in answer.json()["tags"]:
        head = await http.head(f"/v2/{repository}/manifests/{tag}")
        shown[tag] = head.headers.get("docker-content-digest", "")
        if not ledger.is_unsettled(Name(repository, tag), shown[tag]):
            faults += await pull(http.request, Name(repository, tag))
    for _, digest in certain:
        faults += await pull(http.request, Name(repository, digest))
    return faults + ledger.find_faults(repository, shown)


async def _find_faulty_catalog(http: httpx.AsyncClient, ledger: Ledger) -> list[str]:
    listed = set((await http.get("/v2/_catalog")).json()["repositories"])
    faults = [f"{name} is not in the catalog" for name in {tag.repository for tag, _ in ledger.certain()} - listed]
    answers = {name: await http.get(f"/v2/{name}/tags/list") for name in listed}
    faults += [f"{name} is listed: {answer.status_code}" for name, answer in answers.items() if not answer.is_success]
    return faults
