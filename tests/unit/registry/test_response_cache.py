"""Responses that are kept: bounded, and never sent when what they were made of has changed."""

from authproxy.digest import Digest
from authproxy.registry.response_cache import ENTRY_BYTES, CachedResponse, ResponseCache
from authproxy.storage.layout import StorePath
from authproxy.storage.memory import MemoryDriver

A, B = StorePath("a"), StorePath("b")


def answer(content: bytes) -> CachedResponse:
    return CachedResponse(content, "text/plain", digest=Digest.of(content, "sha256"))


async def test_an_answer_is_found_until_one_of_its_contents_changes() -> None:
    driver = MemoryDriver()
    answers = ResponseCache()
    await driver.write_all([[(A, b"link"), (B, b"content")]])
    kept = answer(b"content")
    answers.put("question", kept, driver.content_check([(A, b"link"), (B, b"content")]))
    assert answers.find("question") is kept
    await driver.write(A, b"another")
    assert answers.find("question") is None


async def test_an_answer_to_a_deleted_content_is_not_found() -> None:
    driver = MemoryDriver()
    answers = ResponseCache()
    await driver.write(A, b"link")
    answers.put("question", answer(b"x"), driver.content_check([(A, b"link")]))
    await driver.delete(A)
    assert answers.find("question") is None


async def test_an_answer_made_of_what_has_changed_meanwhile_is_never_found() -> None:
    driver = MemoryDriver()
    answers = ResponseCache()
    await driver.write(A, b"new")
    answers.put("question", answer(b"x"), driver.content_check([(A, b"old")]))
    assert answers.find("question") is None


async def test_what_was_kept_first_goes_where_there_are_too_many() -> None:
    driver = MemoryDriver()
    answers = ResponseCache(max_bytes=2 * (ENTRY_BYTES + 1))
    await driver.write(A, b"link")
    for question in ("one", "two", "two", "three"):
        answers.put(question, answer(b"x"), driver.content_check([(A, b"link")]))
    assert [answers.find(question) is not None for question in ("one", "two", "three")] == [False, True, True]
