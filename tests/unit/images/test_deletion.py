import datetime as dt
import json

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from authproxy.digest import Digest
from authproxy.images.deletion import DatedTag, Deletion, choose_old, delete, plan_deletions, read_dates, resolve_tags
from authproxy.registry.options import Rules
from authproxy.registry_client.errors import RegistryClientError
from tests.support.registry import image, push_blob, push_image, push_manifest
from tests.unit.images.registry import core, faked, to_push

DIGESTS = [Digest.of(bytes([number])) for number in range(5)]
DAYS = [dt.datetime(2024, 1, day, tzinfo=dt.UTC) for day in range(1, 6)]
TAGGED = [DatedTag(f"v{number}", DIGESTS[number], DAYS[number]) for number in range(5)]
UNDATED = DatedTag("undated", DIGESTS[0])

CHOSEN: list[tuple[str, int, dt.datetime | None, list[str]]] = [
    ("all", 0, None, ["v0", "v1", "v2", "v3", "v4", "undated"]),
    ("keep 2", 2, None, ["v2", "v1", "v0"]),
    ("keep more than there are", 9, None, []),
    ("older", 0, DAYS[2], ["v1", "v0"]),
    ("older, and not the newest", 4, DAYS[4], ["v0"]),
]


@pytest.mark.parametrize(("keep", "before", "chosen"), [row[1:] for row in CHOSEN], ids=[row[0] for row in CHOSEN])
def test_old_ones_are_chosen(keep: int, before: dt.datetime | None, chosen: list[str]) -> None:
    assert [one.tag for one in choose_old([*TAGGED, UNDATED], keep, before)] == chosen


TAGS = st.dictionaries(st.sampled_from("abcdefgh"), st.sampled_from(DIGESTS))


@given(TAGS, st.integers(0, 6), st.none() | st.sampled_from(DAYS), st.data())
def test_the_newest_are_kept_whatever_the_rest_is(
    tags: dict[str, Digest], keep: int, before: dt.datetime | None, data: st.DataObject
) -> None:
    tagged = [DatedTag(tag, digest, data.draw(st.none() | st.sampled_from(DAYS))) for tag, digest in tags.items()]
    chosen = choose_old(tagged, keep, before)
    dated = [one for one in tagged if one.created is not None]
    if keep or before:
        assert len(dated) - len(chosen) >= min(keep, len(dated))
        assert all(one.created is not None and (before is None or one.created < before) for one in chosen)


@given(TAGS, st.data())
def test_every_tag_of_what_goes_is_told(tags: dict[str, Digest], data: st.DataObject) -> None:
    wanted = data.draw(st.lists(st.sampled_from(sorted(tags)), unique=True)) if tags else []
    found = plan_deletions([(tag, tags[tag]) for tag in wanted], tags)
    told = [tag for deletion in found for tag in (*deletion.tags, *deletion.shared)]
    gone = set(map(tags.get, wanted))
    assert sorted(told) == sorted(tag for tag, digest in tags.items() if digest in gone)


def test_image_that_is_named_by_its_digest_takes_all_its_tags_along() -> None:
    tags = {"a": DIGESTS[0], "b": DIGESTS[0], "c": DIGESTS[1]}
    assert plan_deletions([(None, DIGESTS[0]), ("b", DIGESTS[0])], tags) == (Deletion(DIGESTS[0], ("b",), ("a",)),)


async def test_deleted_image_is_gone_with_its_tags_and_others_are_not() -> None:
    async with core() as (registry, http):
        for tag in ("v1", "v2"):
            await push_image(http, "a", tag)
        there = to_push(registry, "a")
        tags = await resolve_tags(there, ["v1", "v2", "never"])
        (deletion,) = plan_deletions([("v1", tags["v1"])], tags)
        assert await delete(there, deletion) is None
        assert list(await resolve_tags(there, ["v1", "v2"])) == ["v2"]


async def test_registry_that_deletes_nothing_is_a_fault() -> None:
    async with core(Rules()) as (registry, http):
        await push_image(http, "a", "v1")
        there = to_push(registry, "a")
        with pytest.raises(RegistryClientError, match="does not allow deletion"):
            await delete(there, plan_deletions([("v1", (await resolve_tags(there, ["v1"]))["v1"])], {})[0])


@pytest.mark.parametrize(("still", "why"), [("digest", "but still has it"), ("tag", "but still lists it as v1")])
async def test_success_that_did_not_happen_is_not_reported(still: str, why: str) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "DELETE":
            return httpx.Response(202)
        is_there = request.url.path.endswith("v1") == (still == "tag")
        return httpx.Response(200 if is_there else 404, headers={"docker-content-digest": str(DIGESTS[0])})

    fault = await delete(to_push(faked(answer), "a"), Deletion(DIGESTS[0], ("v1",)))
    assert fault is not None
    assert why in fault


async def test_what_cannot_be_read_has_no_date_and_says_why() -> None:
    config = json.dumps({"created": "2024-01-02T00:00:00Z"}).encode()
    async with core() as (registry, http):
        await push_blob(http, "a", config)
        await push_manifest(http, "a", "v1", image(config))
        there = to_push(registry, "a")
        tags = await resolve_tags(there, ["v1"])
        tagged, faults = await read_dates(there, tags | {"lost": DIGESTS[0]})
    assert [(one.tag, one.created) for one in tagged] == [("v1", DAYS[1]), ("lost", None)]
    assert list(faults) == [DIGESTS[0]]
    assert choose_old(tagged, 0, DAYS[4]) == tagged[:1]
