"""Retention over a real core: what is removed, what stays, and what happens beside it."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from authproxy.digest import Digest, parse_digest
from authproxy.maintenance.retention import deleting
from authproxy.maintenance.retention import run as run_module
from authproxy.maintenance.retention.deleting import StoreDeleter
from authproxy.maintenance.retention.run import RetentionJob, carry_out, load_retention
from authproxy.maintenance.retention.steady_clock import SteadyClock
from authproxy.policy.load import PolicyError
from authproxy.policy.retention import Outcome, RetentionRefused
from authproxy.policy.running_images import RunningImages
from authproxy.reference import Repository, Tag
from authproxy.registry.history import Push, entry_of
from authproxy.registry.links import to_link
from authproxy.registry.pull_log import PullLog
from authproxy.registry.pull_times import PullTimes
from authproxy.registry.trash import Trash
from authproxy.storage import layout
from authproxy.storage.driver import Driver
from authproxy.storage.filesystem.driver import FilesystemDriver
from authproxy.storage.memory import MemoryDriver
from authproxy.storage.records import Records
from tests.support.registry import connect, image, index, push_blob, push_image, push_manifest

APP = Repository("team/app")
RULES = "rules: [{name: all, allow: [pull], to: {everyone: true}, on: {repositories: ['**']}}]\n"


@pytest.fixture(params=["filesystem", "memory"])
async def driver(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Driver]:
    made: Driver = FilesystemDriver(tmp_path / "store") if request.param == "filesystem" else MemoryDriver()
    yield made
    await made.close()


@pytest.fixture
async def registry(driver: Driver) -> AsyncIterator[httpx.AsyncClient]:
    async with connect(driver) as client:
        yield client


@pytest.fixture
def deleter(driver: Driver) -> StoreDeleter:
    return make_deleter(driver)


def make_deleter(driver: Driver) -> StoreDeleter:
    return StoreDeleter(driver)


class Pulls:
    """Pull times that a test sets."""

    def __init__(self, began: datetime) -> None:
        self.began = began
        self.at: dict[str, datetime] = {}

    def records_began(self) -> datetime | None:
        return self.began

    async def last_pull(self, repository: Repository, digest: Digest, tag: Tag | None) -> datetime | None:
        del repository
        times = [time for name in (str(digest), tag) if name and (time := self.at.get(name))]
        return max([self.began, *times])


def policies(tmp_path: Path, keep: str, more: str = "") -> Path:
    path = tmp_path / "policy.yaml"
    path.write_text(
        f"version: 1\n{RULES}retention:\n  - {{name: one, on: {{repositories: ['team/**']}}, keep: {keep}{more}}}\n",
        encoding="utf-8",
    )
    return path


def days_on(days: float) -> datetime:
    return datetime.now(UTC) + timedelta(days=days)


async def run(
    driver: Driver,
    path: Path,
    *,
    pulls: Pulls | None = None,
    now: datetime | None = None,
    deleter: StoreDeleter | None = None,
) -> dict[str, str]:
    """Decide about the application and carry it out; why each image that was to be removed stayed, "" if it is gone."""
    retention = load_retention(path, pulls, now or days_on(0.01))
    plan = await retention.plan(driver, APP)
    assert plan is not None
    return {
        str(one.planned.retained.image.tag or "untagged"): one.why_not
        async for one in carry_out(plan, deleter or make_deleter(driver))
    }


async def tags_of(registry: httpx.AsyncClient) -> list[str]:
    answer = await registry.get(f"/v2/{APP}/tags/list")
    return list(answer.json().get("tags", [])) if answer.status_code == 200 else []


async def status(registry: httpx.AsyncClient, reference: str) -> int:
    return (await registry.get(f"/v2/{APP}/manifests/{reference}")).status_code


async def test_tags_go_with_their_manifests_into_the_trash(
    driver: Driver, registry: httpx.AsyncClient, tmp_path: Path
) -> None:
    digests = {tag: await push_image(registry, APP, tag) for tag in ("v1", "pr-1", "pr-2")}
    await push_manifest(registry, APP, "same", image(b"config pr-1", [b"a layer"]))
    assert await run(driver, policies(tmp_path, '[{tags: ["v*", same]}]')) == {"pr-1": "", "pr-2": ""}
    assert await tags_of(registry) == ["same", "v1"]
    assert [await status(registry, digests[tag]) for tag in ("v1", "pr-1", "pr-2")] == [200, 200, 404]
    trashed = [one async for one in Trash(driver).of(APP)]
    assert {tag for one in trashed for tag in one.links.tags} == {"pr-1", "pr-2"}
    assert {one.by for one in trashed} == {"retention"}
    assert all("policy.yaml:" in one.why for one in trashed)


async def test_a_manifest_that_was_pushed_by_its_sha512_digest(
    driver: Driver, registry: httpx.AsyncClient, tmp_path: Path
) -> None:
    await push_image(registry, APP, "v1")
    content = image(b"config v1", [b"a layer"], annotations={"a": "b"})
    by_sha512 = str(Digest.of(content, "sha512"))
    answer = await registry.put(
        f"/v2/{APP}/manifests/{by_sha512}?tag=pr-1",
        content=content,
        headers={"Content-Type": "application/vnd.oci.image.manifest.v1+json"},
    )
    assert answer.status_code == 201
    assert await status(registry, "pr-1") == 200
    assert await run(driver, policies(tmp_path, '[{tags: ["v*"]}]')) == {"pr-1": ""}
    assert await tags_of(registry) == ["v1"]
    assert [await status(registry, name) for name in (by_sha512, str(Digest.of(content)))] == [404, 404]


async def test_what_an_index_names_goes_with_the_last_index(
    driver: Driver, registry: httpx.AsyncClient, tmp_path: Path
) -> None:
    amd, arm, other = image(b"{}", [b"amd"]), image(b"{}", [b"arm"]), image(b"{}", [b"other"])
    for blob in (b"{}", b"amd", b"arm", b"other"):
        await push_blob(registry, APP, blob)
    digests = [await push_manifest(registry, APP, str(Digest.of(one)), one) for one in (amd, arm, other)]
    kept = await push_manifest(
        registry, APP, "kept", index([amd]), media_type="application/vnd.oci.image.index.v1+json"
    )
    gone = index([amd, arm, other])
    await push_manifest(registry, APP, "gone", gone, media_type="application/vnd.oci.image.index.v1+json")
    assert await run(
        driver, policies(tmp_path, "[{tags: [kept]}]", ", untagged: [{pushed-within: 1h}]"), now=days_on(1)
    ) == {"gone": ""}
    assert [await status(registry, digest) for digest in (kept, *digests, str(Digest.of(gone)))] == [
        200,
        200,
        404,
        404,
        404,
    ]


async def test_an_image_that_had_a_tag_does_not_go_with_an_index_that_names_it(
    driver: Driver, registry: httpx.AsyncClient, tmp_path: Path
) -> None:
    victim = await push_image(registry, APP, "main")
    await push_manifest(registry, APP, "main", image(b"config main", [b"a layer"], annotations={"a": "b"}))
    named = index([image(b"config main", [b"a layer"])])
    await push_manifest(registry, APP, "mine", named, media_type="application/vnd.oci.image.index.v1+json")
    keep_mine = policies(tmp_path, "[{tags: [main, mine]}]", ", untagged: [{pushed-within: 1h}]")
    assert await run(driver, keep_mine, now=days_on(1)) == {}
    assert await run(driver, policies(tmp_path, "[{tags: [main]}]"), now=days_on(1)) == {"mine": ""}
    assert await status(registry, victim) == 200
    expire = policies(tmp_path, "[{tags: [main]}]", ", untagged: [{pushed-within: 1h}]")
    assert await run(driver, expire, now=days_on(1)) == {"untagged": ""}
    assert await status(registry, victim) == 404


async def test_signatures_go_after_their_image(driver: Driver, registry: httpx.AsyncClient, tmp_path: Path) -> None:
    signatures = {}
    for tag in ("v1", "pr-1"):
        digest = await push_image(registry, APP, tag)
        signatures[tag] = f"{digest.replace(':', '-')}.sig"
        await push_image(registry, APP, signatures[tag])
    assert list(await run(driver, policies(tmp_path, '[{tags: ["v*"]}]'))) == ["pr-1", signatures["pr-1"]]
    assert await tags_of(registry) == sorted(["v1", signatures["v1"]])


async def test_untagged_manifests_and_referrers(driver: Driver, registry: httpx.AsyncClient, tmp_path: Path) -> None:
    tagged, untagged = await push_image(registry, APP, "v1"), image(b"{}", [b"untagged"])
    for blob in (b"{}", b"untagged", b"referrer"):
        await push_blob(registry, APP, blob)
    old = await push_manifest(registry, APP, str(Digest.of(untagged)), untagged)
    referring = image(b"{}", [b"referrer"], subject={"mediaType": "a/b", "digest": tagged, "size": 1})
    referrer = await push_manifest(registry, APP, str(Digest.of(referring)), referring)
    path = policies(tmp_path, "[{tags: [v1]}]", ", untagged: [{pushed-within: 7d}]")
    assert await run(driver, path, now=days_on(6.9)) == {}
    assert await run(driver, policies(tmp_path, "[{tags: [v1]}]"), now=days_on(99)) == {}
    path = policies(tmp_path, "[{tags: [v1]}]", ", untagged: [{pushed-within: 7d}, {pulled-within: 7d}]")
    pulls = Pulls(days_on(-9))
    pulls.at[old] = days_on(3)
    assert await run(driver, path, now=days_on(9), pulls=pulls) == {}
    assert await run(driver, path, now=days_on(11), pulls=pulls) == {"untagged": ""}
    assert [await status(registry, digest) for digest in (tagged, old, referrer)] == [200, 404, 200]


async def test_an_image_that_was_pulled_stays(driver: Driver, registry: httpx.AsyncClient, tmp_path: Path) -> None:
    by_digest = await push_image(registry, APP, "a")
    for tag in ("b", "c"):
        await push_image(registry, APP, tag)
    pulls = Pulls(days_on(-300))
    pulls.at = {by_digest: days_on(80), "b": days_on(90)}
    assert await run(driver, policies(tmp_path, "[{pulled-within: 30d}]"), now=days_on(100), pulls=pulls) == {"c": ""}


async def test_recorded_pulls_count(driver: Driver, registry: httpx.AsyncClient, tmp_path: Path) -> None:
    digests = {tag: parse_digest(await push_image(registry, APP, tag)) for tag in ("by-tag", "by-digest", "quiet")}
    by_digest = digests["by-digest"]
    pulled: dict[Tag | Digest, Digest] = {Tag("by-tag"): digests["by-tag"], by_digest: by_digest}
    async with PullLog(driver, now=days_on(1).timestamp).recording():
        pass  # records began then
    pulls = PullLog(driver, now=days_on(80).timestamp)
    async with pulls.recording():
        for reference, stored in pulled.items():
            pulls.note(APP, reference, stored, "bob")
    path, now = policies(tmp_path, "[{pulled-within: 30d}]"), days_on(100)
    retention = load_retention(path, await PullTimes.load(driver, now=now.timestamp), now)
    plan = await retention.plan(driver, APP)
    assert plan is not None
    assert {one.retained.image.tag: one.retained.outcome for one in plan.images} == {
        "by-tag": Outcome.KEPT,
        "by-digest": Outcome.KEPT,
        "quiet": Outcome.REMOVED,
    }


async def test_what_is_freed_is_counted_once(driver: Driver, registry: httpx.AsyncClient, tmp_path: Path) -> None:
    for blob in (b"{}", b"k" * 1000, b"s" * 100, b"a" * 10, b"b" * 20):
        await push_blob(registry, APP, blob)
    manifests = {
        "kept": image(b"{}", [b"k" * 1000]),
        "a": image(b"{}", [b"k" * 1000, b"s" * 100, b"a" * 10]),
        "b": image(b"{}", [b"s" * 100, b"b" * 20]),
    }
    for tag, content in manifests.items():
        await push_manifest(registry, APP, tag, content)
    plan = await load_retention(policies(tmp_path, "[{tags: [kept]}]"), None, days_on(0.01)).plan(driver, APP)
    assert plan is not None
    frees = {one.retained.image.tag: one.frees for one in plan.images}
    assert frees == {"kept": 0, "a": 110 + len(manifests["a"]), "b": 20 + len(manifests["b"])}
    assert plan.frees == 130 + len(manifests["a"]) + len(manifests["b"])


async def test_a_manifest_that_cannot_be_read_keeps_all_manifests(
    driver: Driver, registry: httpx.AsyncClient, tmp_path: Path
) -> None:
    digest, damaged = await push_image(registry, APP, "pr-1"), await push_image(registry, APP, "v1")
    await driver.delete(layout.blob(parse_digest(damaged)))
    assert await run(driver, policies(tmp_path, '[{tags: ["v*"]}]')) == {"pr-1": ""}
    assert await status(registry, digest) == 200
    assert await tags_of(registry) == ["v1"]


async def test_a_push_since_the_decision_stays(driver: Driver, registry: httpx.AsyncClient, tmp_path: Path) -> None:
    digests = {tag: await push_image(registry, APP, tag) for tag in ("again", "moved", "other", "quiet")}
    retention = load_retention(policies(tmp_path, "[{tags: [x]}]"), None, days_on(0.01))
    plan = await retention.plan(driver, APP)
    assert plan is not None
    await push_image(registry, APP, "again")
    await push_manifest(registry, APP, "moved", image(b"config quiet", [b"a layer"]))
    await push_manifest(registry, APP, "new", image(b"config other", [b"a layer"]))
    found = {one.planned.retained.image.tag: one.why_not async for one in carry_out(plan, make_deleter(driver))}
    assert found == {
        "again": "it was pushed or deleted since",
        "moved": "it was pushed or deleted since",
        "other": "",
        "quiet": "",
    }
    assert await tags_of(registry) == ["again", "moved", "new"]
    for tag in ("again", "other", "quiet"):
        assert await status(registry, digests[tag]) == 200


async def test_very_many_names_stop_it_in_their_repository(
    driver: Driver, registry: httpx.AsyncClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        await push_image(registry, APP, f"pr-{number}")
    retention = load_retention(policies(tmp_path, "[{tags: [x]}]"), None, days_on(0.01))
    monkeypatch.setattr("authproxy.maintenance.retention.contents.MAX_REFERENCES", 8)
    assert await retention.plan(driver, APP) is not None
    monkeypatch.setattr("authproxy.maintenance.retention.contents.MAX_REFERENCES", 7)
    with pytest.raises(RetentionRefused, match="team/app: its manifests name more than 7 others and blobs"):
        await retention.plan(driver, APP)


HOSTILE = [
    b"[]",
    b"{",
    b'{"manifests": {"digest": "sha256:x"}, "layers": "x", "config": []}',
    b'{"layers": [{"digest": "sha256:' + b"0" * 64 + b'", "size": -5}, {"digest": 3}, null, 7], "subject": []}',
    b'{"layers": [{"digest": "sha256:' + b"0" * 64 + b'", "size": 1e999}], "a": ' + b"9" * 5000 + b"}",
    b"[" * 100_000,
    b"\xff\xfe{}",
]


@pytest.mark.parametrize("content", HOSTILE)
async def test_any_content_of_a_manifest_is_read(driver: Driver, tmp_path: Path, content: bytes) -> None:
    digest = Digest.of(content)
    await driver.write(layout.blob(digest), content)
    await driver.write(layout.revision_link(APP, digest), to_link(digest))
    await driver.write(layout.tag_current(APP, Tag("v1")), to_link(digest))
    plan = await load_retention(policies(tmp_path, "[{tags: [x]}]"), None, days_on(0.01)).plan(driver, APP)
    assert plan is not None
    assert [one.retained.outcome for one in plan.images] == [Outcome.REMOVED]
    assert 0 <= plan.frees <= len(content)


async def test_one_that_is_needed_does_not_keep_the_others(
    driver: Driver, registry: httpx.AsyncClient, tmp_path: Path
) -> None:
    digests = [await push_image(registry, APP, f"pr-{number}") for number in range(7)]
    retention = load_retention(policies(tmp_path, "[{tags: [x]}]"), None, days_on(0.01))
    plan = await retention.plan(driver, APP)
    assert plan is not None
    named = index([image(b"config pr-3", [b"a layer"])])
    await push_manifest(registry, APP, "new", named, media_type="application/vnd.oci.image.index.v1+json")
    await push_manifest(registry, APP, "tagged", image(b"config pr-5", [b"a layer"]))
    found = [one.why_not async for one in carry_out(plan, make_deleter(driver))]
    assert found == [""] * 7  # their tags are gone
    assert [await status(registry, one) for one in digests] == [404, 404, 404, 200, 404, 200, 404]
    assert [await status(registry, tag) for tag in ("new", "tagged")] == [200, 200]


async def test_a_deletion_of_many_is_several(
    driver: Driver, registry: httpx.AsyncClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each push to the repository reads the names of what is being deleted."""
    monkeypatch.setattr(deleting, "BATCH", 2)
    digests = [await push_image(registry, APP, f"pr-{number}") for number in range(5)]
    images = [image(f"config pr-{number}".encode(), [b"a layer"]) for number in range(5)]
    await push_manifest(registry, APP, "pr-all", index(images), media_type="application/vnd.oci.image.index.v1+json")
    retention = load_retention(policies(tmp_path, "[{tags: [x]}]"), None, days_on(0.01))
    plan = await retention.plan(driver, APP)
    assert plan is not None
    assert [one.why_not async for one in carry_out(plan, make_deleter(driver))] == [""] * 6
    assert [await status(registry, one) for one in digests] == [404] * 5


async def test_a_push_between_the_look_and_the_deletion_stays(
    driver: Driver, registry: httpx.AsyncClient, tmp_path: Path
) -> None:
    digest = parse_digest(await push_image(registry, APP, "pr-1"))
    deleter = make_deleter(driver)
    delete = deleter._through.delete_tag

    async def push_meanwhile(*arguments: object, **more: object) -> bool:
        # A push that finds its tag as it should be leaves only its entry.
        path, content = entry_of(APP, Push(digest, Tag("pr-1"), datetime.now(UTC), "abc"), "bob")
        await driver.write(path, content)
        return await delete(*arguments, **more)  # type: ignore[arg-type]

    deleter._through.delete_tag = push_meanwhile  # type: ignore[method-assign]
    assert await run(driver, policies(tmp_path, "[{tags: [x]}]"), deleter=deleter) == {
        "pr-1": "it was pushed or deleted since"
    }
    assert await status(registry, "pr-1") == 200


async def test_content_of_another_program_is_as_old_as_the_records(
    driver: Driver, registry: httpx.AsyncClient, tmp_path: Path
) -> None:
    digest = await push_image(registry, APP, "known")
    await driver.write(layout.tag_current(APP, Tag("old")), to_link(Digest.of(b"elsewhere")))
    path = policies(tmp_path, "[{pushed-within: 30d}]")
    assert await run(driver, path, now=days_on(29)) == {}
    assert await run(driver, path, now=days_on(29), pulls=Pulls(days_on(-2))) == {"old": ""}
    assert await status(registry, digest) == 200


async def test_files_that_do_not_load_stop_it(driver: Driver, tmp_path: Path) -> None:
    path = policies(tmp_path, "[{images: running, hosts: [r.example.org]}, {newest: 1}]")
    with pytest.raises(RetentionRefused, match=r"policy.yaml:4: .*running: cannot be read: No such file"):
        load_retention(path, None, datetime.now(UTC))
    (tmp_path / "running").write_text("r.example.org:443/team/app:v1\n", encoding="utf-8")
    with pytest.raises(RetentionRefused, match=r"names no image of r.example.org; correct hosts"):
        load_retention(path, None, datetime.now(UTC))
    (tmp_path / "running").write_text("r.example.org/team/app:v1\n", encoding="utf-8")
    assert load_retention(path, None, datetime.now(UTC)).running
    path.write_text("version: 1\nretention: []\n", encoding="utf-8")
    with pytest.raises(PolicyError):
        load_retention(path, None, datetime.now(UTC))
    del driver


class Node:
    """A machine with a clock and a time since boot that are moved by hand."""

    def __init__(self, driver: Driver, path: Path) -> None:
        self.driver = driver
        self.now = datetime.now(UTC) + timedelta(hours=1)
        self.uptime = 1000.0
        self.job = RetentionJob(
            driver,
            path,
            make_deleter(driver),
            SteadyClock(Records(driver), uptime=lambda: self.uptime, boot="boot"),
            self.load,
            now=lambda: self.now,
            uptime=lambda: self.uptime,
        )
        self.pulls: Callable[[], Pulls | None] = lambda: None

    async def load(self) -> Pulls | None:
        return self.pulls()

    def wait(self, **times: float) -> None:
        self.now += timedelta(**times)
        self.uptime += timedelta(**times).total_seconds()


async def test_the_job_removes_once_its_clock_was_steady(
    driver: Driver, registry: httpx.AsyncClient, tmp_path: Path
) -> None:
    await push_image(registry, APP, "v1")
    await push_image(registry, APP, "pr-1")
    node = Node(driver, policies(tmp_path, '[{tags: ["v*"]}, {pushed-within: 1h}]'))
    node.wait(days=30)
    nothing = {"repositories": 1, "removed": 0, "would_be_removed": 1, "freed": 0, "skipped": 0, "only_reports": True}
    assert await node.job.run() == nothing
    node.wait(hours=23)
    assert await node.job.run() == nothing
    node.now += timedelta(days=2)  # set, not passed
    assert await node.job.run() == nothing
    node.wait(hours=24)
    report = await node.job.run()
    assert (report["removed"], report["would_be_removed"], report["only_reports"]) == (1, 0, False)
    assert report["freed"] > 100
    assert await tags_of(registry) == ["v1"]


async def test_the_job_skips_a_repository_with_a_push_in_the_future(
    driver: Driver, registry: httpx.AsyncClient, tmp_path: Path
) -> None:
    digest = parse_digest(await push_image(registry, APP, "pr-1"))
    await push_image(registry, "team/other", "pr-1")
    path, content = entry_of(APP, Push(digest, Tag("x"), days_on(99), "abc"), "")
    await driver.write(path, content)
    node = Node(driver, policies(tmp_path, "[{tags: [x]}]"))
    await node.job.run()
    node.wait(hours=25)
    report = await node.job.run()
    # That push is to another tag, so it says nothing about this one.
    assert (report["removed"], report["skipped"]) == (2, 0)
    await push_image(registry, APP, "x")
    digest = parse_digest(await push_image(registry, APP, "pr-1"))
    path, content = entry_of(APP, Push(digest, Tag("pr-1"), days_on(99), "abc"), "")
    await driver.write(path, content)
    report = await node.job.run()
    assert (report["removed"], report["skipped"]) == (0, 1)


async def test_without_entries_the_job_writes_nothing(driver: Driver, tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(f"version: 1\n{RULES}", encoding="utf-8")
    assert await Node(driver, path).job.run() == {}
    assert await driver.list_names(layout.STATE) == []


async def test_dry_entries_remove_nothing(driver: Driver, registry: httpx.AsyncClient, tmp_path: Path) -> None:
    await push_image(registry, APP, "pr-1")
    path = policies(tmp_path, "[{tags: [x]}]", ", dry-run: true")
    assert await run(driver, path) == {}
    plan = await load_retention(path, None, days_on(0.01)).plan(driver, APP)
    assert plan is not None
    assert [(one.retained.outcome, one.frees > 100) for one in plan.images] == [(Outcome.DRY, True)]
    assert plan.frees == 0


async def test_a_file_of_running_images_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[Path] = []

    def read(path: Path, *, now: datetime) -> RunningImages:
        del now
        reads.append(path)
        return RunningImages(frozenset(), frozenset())

    monkeypatch.setattr(run_module, "read_running_images", read)
    load_retention(policies(tmp_path, "[{images: running}, {images: running}]"), None, days_on(0.01))
    assert [path.name for path in reads] == ["running"]
