import asyncio
from collections.abc import AsyncIterator

import pytest

from authproxy.images.ordered import in_order


async def numbers(count: int, fault_at: int | None = None) -> AsyncIterator[int]:
    for number in range(count):
        if number == fault_at:
            raise ValueError("no more")
        yield number


class Work:
    """Later things are done sooner; so many are under way at once at the most."""

    def __init__(self) -> None:
        self.under_way = self.most = 0

    async def do(self, number: int) -> int:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            for _ in range(20 - number):
                await asyncio.sleep(0)
        finally:
            self.under_way -= 1
        if number == 3:
            raise KeyError(number)
        return number * 10


async def test_results_come_in_order_whatever_is_done_first_and_a_fault_is_the_things_own() -> None:
    work = Work()
    seen = [
        (thing, "fault" if done.exception() else done.result())
        async for thing, done in in_order(numbers(9), work.do, at_once=4)
    ]
    assert seen == [(number, "fault" if number == 3 else number * 10) for number in range(9)]
    assert work.most == 4


async def test_fault_of_the_things_comes_behind_what_was_begun() -> None:
    seen = []

    async def look() -> None:
        async for thing, _ in in_order(numbers(9, fault_at=2), Work().do, at_once=4):
            seen.append(thing)

    with pytest.raises(ValueError, match="no more"):
        await look()
    assert seen == [0, 1]


async def test_what_is_under_way_ends_with_the_loop() -> None:
    ended = []

    async def wait(number: int) -> None:
        try:
            await asyncio.Event().wait() if number else None
        finally:
            ended.append(number)

    results = in_order(numbers(9), wait, at_once=4)
    async for _ in results:
        break
    async with asyncio.timeout(5):
        await results.aclose()  # type: ignore[attr-defined]
    assert sorted(ended) == [0, 1, 2, 3]


async def test_nothing_gives_nothing() -> None:
    assert [thing async for thing, _ in in_order(numbers(0), Work().do, at_once=4)] == []
