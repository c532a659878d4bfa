"""The history: entries that are found by the digest of their manifest, and read back as they were written."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authproxy.digest import Digest
from authproxy.reference import Repository, Tag
from authproxy.registry.history import Push, all_pushes, entry_of, parse_entry, pushed_by, pushes_of
from authproxy.storage.memory import MemoryDriver

APP = Repository("team/app")
AT = datetime(2026, 11, 30, 16, 0, 0, 123, tzinfo=UTC)
TAGS = st.none() | st.from_regex(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}", fullmatch=True).map(Tag)


def push(content: bytes, tag: str | None, seconds: int = 0) -> Push:
    return Push(Digest.of(content), Tag(tag) if tag else None, AT + timedelta(seconds=seconds), f"{seconds:016x}")


@given(content=st.binary(), tag=TAGS, seconds=st.integers(0, 10**8))
def test_the_name_of_an_entry_states_the_push(content: bytes, tag: Tag | None, seconds: int) -> None:
    made = push(content, tag, seconds)
    path, _ = entry_of(APP, made, "alice")
    _, first, name = path.rsplit("/", 2)
    assert parse_entry(first, name) == made
    assert len(name) <= 255  # the longest name of a file


@pytest.mark.parametrize("name", ["", "x", "a" * 62, f"{'a' * 62}_v1_20261399T000000000000Z_0", f"{'a' * 62}_-_2_0"])
def test_other_names_are_skipped(name: str) -> None:
    assert parse_entry("00", name) is None


async def test_a_subject_may_be_any_text_of_json() -> None:
    driver = MemoryDriver()
    made = push(b"", "v1")
    await driver.write(*entry_of(APP, made, "half \ud83d"))
    assert await pushed_by(driver, APP, made) == "half ?"


def test_the_time_is_written_in_utc() -> None:
    east = Push(Digest.of(b""), None, AT.astimezone(timezone(timedelta(hours=9))), "0")
    assert entry_of(APP, east, "") == entry_of(APP, Push(Digest.of(b""), None, AT, "0"), "")


async def test_the_pushes_of_a_manifest_are_found_by_its_digest() -> None:
    driver = MemoryDriver()
    made = [push(b"one", "v1", 2), push(b"one", "latest", 1), push(b"one", None, 3), push(b"two", "v1", 4)]
    for each in made:
        await driver.write(*entry_of(APP, each, "alice"))
    assert set(await pushes_of(driver, APP, Digest.of(b"one"))) == set(made[:3])
    assert await pushes_of(driver, APP, Digest.of(b"three")) == []
    assert {found async for found in all_pushes(driver, APP)} == set(made)
    assert await pushed_by(driver, APP, made[0]) == "alice"
    assert await pushed_by(driver, APP, push(b"three", None)) == ""
