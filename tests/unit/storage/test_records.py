"""Records: replaced by condition, never equal, and read back where an answer was lost."""

import asyncio
import math

import pytest

from authproxy.storage.driver import MAX_SMALL_BYTES, Driver
from authproxy.storage.layout import STATE, StorePath
from authproxy.storage.memory import MemoryDriver
from authproxy.storage.records import RecordContended, Records, RecordTooLong, RecordUnreadable

PATH = StorePath(f"{STATE}/jobs/gc/lease")


@pytest.fixture
def driver() -> MemoryDriver:
    return MemoryDriver()


@pytest.fixture
def records(driver: MemoryDriver) -> Records:
    return Records(driver)


async def test_of_many_that_create_a_record_one_wins(records: Records) -> None:
    made = await asyncio.gather(*(records.create(PATH, {"holder": number}) for number in range(8)))
    [winner] = [record for record in made if record is not None]
    assert await records.read(PATH) == winner


async def test_a_record_keeps_every_text_of_a_client(records: Records) -> None:
    """Also one that is no valid Unicode, as JSON may have it: a subject of another's token."""
    await records.create(PATH, {"by": "half \ud83d"})
    found = await records.read(PATH)
    assert found is not None
    assert found.fields["by"] == "half \ud83d"


async def test_a_record_that_was_replaced_cannot_be_swapped(records: Records) -> None:
    first = await records.create(PATH, {"holder": "a"})
    assert first is not None
    assert await records.swap(first, {"holder": "b"}) is not None
    assert await records.swap(first, {"holder": "c"}) is None
    found = await records.read(PATH)
    assert found is not None
    assert found.fields["holder"] == "b"


async def test_equal_fields_make_different_contents(records: Records) -> None:
    """An ETag is the MD5 of the content: with equal contents an old condition would hold again."""
    first = await records.create(PATH, {"holder": "a"})
    assert first is not None
    second = await records.swap(first, {"holder": "a"})
    assert second is not None
    assert second.content != first.content


async def test_concurrent_updates_lose_none(records: Records) -> None:
    await asyncio.gather(
        *(records.update(PATH, lambda fields: {**fields, "count": fields.get("count", 0) + 1}) for _ in range(8))
    )
    found = await records.read(PATH)
    assert found is not None
    assert found.fields["count"] == 8


async def test_an_update_that_changes_nothing_writes_nothing(records: Records) -> None:
    assert await records.update(PATH, lambda _: None) is None
    assert await records.read(PATH) is None


async def test_fields_of_a_newer_minor_version_are_kept(driver: Driver, records: Records) -> None:
    await driver.write(PATH, b'{"version": "1.7", "nonce": "0", "holder": "a", "new": 1}')
    await records.update(PATH, lambda fields: {**fields, "holder": "b"})
    found = await records.read(PATH)
    assert found is not None
    assert (found.fields["holder"], found.fields["new"]) == ("b", 1)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"version": 1}', b'{"version": "x"}', b"\xff"])
async def test_a_damaged_record_is_an_error_that_names_it(driver: Driver, records: Records, content: bytes) -> None:
    await driver.write(PATH, content)
    with pytest.raises(RecordUnreadable, match="authproxy/v1/jobs/gc/lease"):
        await records.read(PATH)


async def test_a_record_of_a_newer_version_is_an_error(driver: Driver, records: Records) -> None:
    await driver.write(PATH, b'{"version": "2.0"}')
    with pytest.raises(RecordUnreadable, match=r"2\.0"):
        await records.read(PATH)


class LosesAnswers(MemoryDriver):
    """Each replacement takes place, and is then repeated by a library that has not seen the answer."""

    async def replace(
        self, path: StorePath, content: bytes, *, expected: bytes | None, until: float = math.inf
    ) -> bool:
        await super().replace(path, content, expected=expected, until=until)
        return await super().replace(path, content, expected=expected, until=until)


async def test_an_own_write_whose_answer_was_lost_counts() -> None:
    records = Records(LosesAnswers())
    first = await records.create(PATH, {"holder": "a"})
    assert first is not None
    assert await records.swap(first, {"holder": "b"}) is not None


class NeverWins(MemoryDriver):
    """Another writer is always faster."""

    async def replace(
        self, path: StorePath, content: bytes, *, expected: bytes | None, until: float = math.inf
    ) -> bool:
        del path, content, expected, until
        return False


async def test_a_record_that_others_always_change_is_an_error_in_the_end() -> None:
    with pytest.raises(RecordContended):
        await Records(NeverWins()).update(PATH, lambda fields: fields)


@pytest.mark.parametrize(
    ("name", "what"),
    [("gc/state", "or remove it: what nothing needs is then"), ("pulls/_began", "a backup of the storage$")],
)
async def test_a_damaged_record_says_what_to_do(driver: Driver, records: Records, name: str, what: str) -> None:
    path = StorePath(f"{STATE}/{name}")
    await driver.write(path, b"")
    with pytest.raises(RecordUnreadable, match=what):
        await records.read(path)


async def test_a_record_that_nobody_could_read_is_not_written(driver: MemoryDriver, records: Records) -> None:
    with pytest.raises(RecordTooLong):
        await records.create(PATH, {"holder": "x" * MAX_SMALL_BYTES})
    assert await driver.read([PATH]) == [None]
