"""The folder of a docker-registry: what `authproxy gc` says of it while that runs, and that it changes nothing.

What docker-registry's own collector says is compared, where it is right. Then ours serves the folder and collects, and
docker-registry serves it again.
"""

import asyncio
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from authproxy.digest import Digest
from authproxy.maintenance.gc.collector import CollectOptions, Collector
from authproxy.maintenance.gc.marking import mark
from authproxy.maintenance.gc.options import MarkingOptions, Untagged
from authproxy.maintenance.ticks import Ticks
from authproxy.oci.media_types import OCI_IMAGE, OCI_INDEX
from authproxy.registry.gc_marks import Kind
from authproxy.storage import state_layout
from authproxy.storage.filesystem.driver import FilesystemDriver
from authproxy.storage.records import Records
from tests.support.binaries import binary
from tests.support.image import make_image, open_upload, push_blob, push_image
from tests.support.peers import running_docker_registry, running_open_server
from tests.support.program import Outcome, environment, run
from tests.support.registry import descriptor, index, sha256
from tests.support.server import AUTHPROXY

ELIGIBLE = re.compile(r"(?:blob|manifest) eligible for deletion: (sha256:[0-9a-f]{64})")


@dataclass
class Story:
    """What was pushed, and what the two collectors say."""

    kept: set[str] = field(default_factory=set)  # what a client can pull by a tag
    untagged: set[str] = field(default_factory=set)
    orphans: set[str] = field(default_factory=set)
    signed: set[str] = field(default_factory=set)  # a referrer of a tagged image: manifest, config and layer
    platforms: set[str] = field(default_factory=set)  # of a tagged index: manifests, configs and layers
    theirs: Outcome | None = None
    theirs_untagged: Outcome | None = None
    ours: dict[Untagged, set[str]] = field(default_factory=dict)
    ours_damaged: dict[Untagged, set[str]] = field(default_factory=dict)
    reports: list[Outcome] = field(default_factory=list)
    tree_before: dict[str, Any] = field(default_factory=dict)
    tree_after: dict[str, Any] = field(default_factory=dict)


def tree(root: Path) -> dict[str, Any]:
    """Every file and folder with its content and its times, except those of access."""
    found = {}
    for path in root.rglob("*"):
        status = path.lstat()
        content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() and not path.is_symlink() else None
        found[str(path)] = (
            status.st_ino,
            status.st_mode,
            status.st_size,
            status.st_mtime_ns,
            status.st_ctime_ns,
            content,
        )
    return found


def push_manifest(client: httpx.Client, repository: str, reference: str, content: bytes, media_type: str) -> str:
    answer = client.put(
        f"/v2/{repository}/manifests/{reference}", content=content, headers={"Content-Type": media_type}
    )
    assert answer.status_code == httpx.codes.CREATED, answer.text
    return sha256(content)


def push_parts(client: httpx.Client, repository: str, reference: str, mark_of_it: str, **more: Any) -> set[str]:
    """An image that is pushed with further fields: its digests."""
    made = make_image(mark_of_it)
    body = json.loads(made.manifest) | more
    push_blob(client, repository, made.layer)
    push_blob(client, repository, made.config)
    content = json.dumps(body).encode()
    digest = sha256(content)
    push_manifest(client, repository, reference or digest, content, OCI_IMAGE)
    return {digest, sha256(made.layer), sha256(made.config)}


def fill(client: httpx.Client, story: Story) -> None:
    """Images of all kinds, in two repositories of which one is below the other."""
    for repository in ("app", "app/below"):
        story.kept |= push_parts(client, repository, "v1", f"{repository} one")
        story.untagged |= push_parts(client, repository, "moved", f"{repository} two")
        story.kept |= push_parts(client, repository, "moved", f"{repository} three")
        story.orphans.add(str(push_blob(client, repository, f"an orphan of {repository}".encode())))
        session = open_upload(client, repository)
        client.patch(session, content=b"the beginning of something")
    parts = [make_image(f"part {number}") for number in range(2)]
    for made in parts:
        for content in (made.layer, made.config):
            story.platforms.add(str(push_blob(client, "app", content)))
        story.platforms.add(push_manifest(client, "app", sha256(made.manifest), made.manifest, OCI_IMAGE))
    story.kept.add(push_manifest(client, "app", "multi", index([made.manifest for made in parts]), OCI_INDEX))
    subject = client.get("/v2/app/manifests/v1", headers={"Accept": OCI_IMAGE})
    story.signed = push_parts(client, "app", "", "signature", subject=descriptor(subject.content, OCI_IMAGE))
    cosign = f"sha256-{Digest.of(subject.content).hex}.sig"
    story.kept |= push_parts(client, "app", cosign, "signature of cosign")
    gone = make_image("gone")
    push_image(client, "app", "gone", gone)
    deleted = client.delete(f"/v2/app/manifests/{gone.digest}")
    assert deleted.status_code == httpx.codes.ACCEPTED
    story.orphans |= {sha256(content) for content in (gone.layer, gone.config, gone.manifest)}


def damage(root: Path) -> None:
    """In repositories of their own: links and manifests that a crash or a bad disk leaves."""
    repositories = root / "docker/registry/v2/repositories"
    hexes = "ab" * 32
    links = {
        f"damaged/links/_layers/sha256/{hexes}/link": b"",
        f"damaged/links/_layers/sha256/{'cd' * 32}/link": b"\xff\x00",
        f"damaged/manifest/_manifests/revisions/sha256/{hexes}/link": b"sha256:" + hexes.encode(),
        "damaged/tag/_manifests/tags/v1/current/link": b"",
        "damaged/tag/_layers/sha256/short/link": b"sha256:short",
    }
    for path, content in links.items():
        (repositories / path).parent.mkdir(parents=True)
        (repositories / path).write_bytes(content)
    (repositories / "damaged/loop").symlink_to(repositories)
    (root / "docker/registry/v2/blobs/sha256/not-a-shard").mkdir()
    empty = root / f"docker/registry/v2/blobs/sha256/ab/{hexes}/data"
    empty.parent.mkdir(parents=True)
    empty.write_bytes(b"")


def collect_ours(root: Path, untagged: Untagged) -> set[str]:
    """The bytes that we would free."""

    async def find() -> set[str]:
        driver = FilesystemDriver(root, read_only=True)
        with await mark(driver, MarkingOptions(untagged=untagged)) as marking:
            found = {str(one.digest) for one in marking.candidates() if one.kind is Kind.BYTES}
        await driver.close()
        return found

    return asyncio.run(find())


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """A registry is filled, looked at by both collectors while it serves, then damaged, and looked at by ours."""
    folder = tmp_path_factory.mktemp("collected")
    home = tmp_path_factory.mktemp("home")
    root = folder / "registry"
    seen = Story()

    def theirs(*options: str) -> Outcome:
        command = (binary("docker-registry"), "garbage-collect", "--dry-run", *options, "config.yml")
        return run(*command, env=environment(home), cwd=folder)

    with running_docker_registry(folder) as url, httpx.Client(base_url=url, trust_env=False) as client:
        fill(client, seen)
        seen.ours = {untagged: collect_ours(root, untagged) for untagged in Untagged}
        seen.theirs, seen.theirs_untagged = theirs(), theirs("-m")
        damage(root)
        seen.tree_before = tree(root)
        seen.ours_damaged = {untagged: collect_ours(root, untagged) for untagged in Untagged}
        for options in (("gc", "--storage", str(root)), ("gc", "--delete-untagged", "--json", "--storage", str(root))):
            seen.reports.append(run(AUTHPROXY, *options, env=environment(home), cwd=home))
        seen.tree_after = tree(root)
        for digest in seen.kept | seen.signed | seen.platforms | seen.untagged:
            answers = {
                client.get(
                    f"/v2/{repository}/{kind}/{digest}", headers={"Accept": f"{OCI_IMAGE}, {OCI_INDEX}"}
                ).status_code
                for repository in ("app", "app/below")
                for kind in ("manifests", "blobs")
            }
            assert httpx.codes.OK in answers, "it serves all that it did"
        yield seen


def eligible(outcome: Outcome | None) -> set[str]:
    assert outcome is not None
    assert outcome.code == 0, str(outcome)
    return set(ELIGIBLE.findall(outcome.text))


def test_a_dry_run_changes_nothing(story: Story) -> None:
    assert [report.code for report in story.reports] == [0, 0], str(story.reports)
    assert story.tree_after == story.tree_before


def test_nothing_that_a_client_can_pull_is_a_candidate(story: Story) -> None:
    for found in (*story.ours.values(), *story.ours_damaged.values()):
        assert not found & (story.kept | story.signed | story.platforms)
    assert not story.ours[Untagged.KEEP] & story.untagged


def test_candidates_are_those_of_docker_registry(story: Story) -> None:
    assert story.ours[Untagged.KEEP] == story.orphans == eligible(story.theirs)


def test_untagged_manifests_are_those_of_docker_registry_where_it_is_right(story: Story) -> None:
    """With -m version 2.8 also deletes what a tagged index lists, and signatures that refer to a tagged image."""
    ours, theirs = story.ours[Untagged.REMOVE], eligible(story.theirs_untagged)
    assert ours == story.orphans | story.untagged
    assert theirs - ours == story.signed | story.platforms


def test_damage_adds_no_candidate_and_is_named(story: Story) -> None:
    assert story.ours_damaged == story.ours
    text, document = story.reports[0].out, json.loads(story.reports[1].out)
    assert "damaged/manifest: kept whole: the manifest sha256:abab" in text
    assert "note: damaged/links: the link _layers/sha256:cdcd" in text
    kept_whole = {row["repository"] for row in document["repositories"] if row["kept_whole"]}
    assert kept_whole == {"damaged/manifest", "damaged/tag"}


@dataclass
class Collected:
    """A folder that docker-registry filled, ours collected, and docker-registry serves again."""

    story: Story = field(default_factory=Story)
    promised: int = 0  # the bytes that the dry run said it would free
    freed: int = 0
    verified: Outcome | None = None
    pushed: set[str] = field(default_factory=set)  # while ours served
    stored: set[str] = field(default_factory=set)
    before: dict[str, int] = field(default_factory=dict)  # how docker-registry answers for each tag
    after: dict[str, int] = field(default_factory=dict)


async def collect(root: Path, runs: int) -> int:
    """Collect so many times, each when the grace and the trash are over. Returns the bytes that were freed."""
    driver = FilesystemDriver(root)
    records, now = Records(driver), [0.0]
    ticks = Ticks(records, tick_s=1.0, now=lambda: now[0], boot="of the test")
    await records.create(state_layout.gc_enabled(), {})
    freed = 0
    for _ in range(runs):
        for _ in range(2):  # time counts from the next tick on
            await ticks.advance()
            now[0] += 100.0
        done = await Collector(driver, CollectOptions(grace_s=90.0, trash_s=90.0), ticks=ticks).run()
        freed += done.swept.bytes
    await driver.close()
    return freed


def pull_all(client: httpx.Client) -> dict[str, int]:
    """For each tag of each repository that is whole, the worst status of its manifests and of all that they name."""
    statuses = {}
    for repository in ("app", "app/below"):
        for tag in client.get(f"/v2/{repository}/tags/list").json()["tags"]:
            statuses[f"{repository}:{tag}"] = max(pull(client, repository, tag))
    return statuses


def pull(client: httpx.Client, repository: str, reference: str) -> Iterator[int]:
    headers = {"Accept": f"{OCI_IMAGE}, {OCI_INDEX}"}
    answer = client.get(f"/v2/{repository}/manifests/{reference}", headers=headers)
    yield answer.status_code
    manifest = answer.json()
    for entry in manifest.get("manifests", []):
        yield from pull(client, repository, entry["digest"])
    for blob in (manifest["config"], *manifest["layers"]) if "config" in manifest else ():
        content = client.get(f"/v2/{repository}/blobs/{blob['digest']}").content
        yield httpx.codes.OK if sha256(content) == blob["digest"] else httpx.codes.INTERNAL_SERVER_ERROR


def stored(root: Path) -> set[str]:
    return {f"sha256:{path.parent.name}" for path in (root / "docker/registry/v2/blobs").rglob("data")}


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> Collected:
    folder, home = tmp_path_factory.mktemp("switched"), tmp_path_factory.mktemp("home")
    root = folder / "registry"
    seen = Collected()
    with running_docker_registry(folder) as url, httpx.Client(base_url=url, trust_env=False) as client:
        fill(client, seen.story)
        damage(root)
        seen.before = pull_all(client)
        report = run(AUTHPROXY, "gc", "--json", "--storage", str(root), env=environment(home), cwd=home)
        seen.promised = json.loads(report.out)["would_free_bytes"]
    with running_open_server(folder / "ours", root) as server, server.client() as client:
        seen.pushed = push_parts(client, "app", "ours", "pushed to ours")
        seen.freed = asyncio.run(collect(root, 4))
        seen.verified = run(*(AUTHPROXY, "verify", "--json", "--storage", str(root)), env=environment(home), cwd=home)
    seen.stored = stored(root)
    with running_docker_registry(folder) as url, httpx.Client(base_url=url, trust_env=False) as client:
        seen.after = pull_all(client)
    return seen


def test_it_frees_what_the_dry_run_said(collected: Collected) -> None:
    assert collected.freed == collected.promised > 0


def test_docker_registry_serves_each_tag_again(collected: Collected) -> None:
    assert set(collected.before.values()) == {httpx.codes.OK}
    assert collected.after == collected.before | {"app:ours": httpx.codes.OK}


def test_verify_finds_nothing_but_the_damage(collected: Collected) -> None:
    assert collected.verified is not None
    findings = [row for row in json.loads(collected.verified.out)["findings"] if row["severity"] == "damaged"]
    hit = {row["repository"] or image for row in findings for image in row["hit"] or [""]}
    assert hit
    assert [each for each in hit if not each.startswith("damaged/")] == []


def test_what_was_pushed_meanwhile_is_among_the_rest(collected: Collected) -> None:
    """What is left is what a tag leads to, what has no tag, which is kept by default, and the damage."""
    assert collected.stored >= collected.story.kept | collected.story.untagged | collected.pushed
    assert not collected.stored & collected.story.orphans
