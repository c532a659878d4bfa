"""Passwords are checked in threads, in bounded number, and remembered without being kept."""

import asyncio
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from authproxy.errors import TooManyRequests
from authproxy.identity.passwords import REST, Passwords


@dataclass
class Checker:
    """Stands for bcrypt: counts, can be held up, and takes "right" for every hash."""

    calls: list[tuple[str, str]] = field(default_factory=list)
    threads: set[int] = field(default_factory=set)
    has_begun: threading.Event = field(default_factory=threading.Event)
    may_go_on: threading.Event = field(default_factory=threading.Event)

    def __call__(self, password: str, hashed: str) -> bool:
        self.calls.append((password, hashed))
        self.threads.add(threading.get_ident())
        self.has_begun.set()
        self.may_go_on.wait(30)
        return password == "right"


class Time:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def checker() -> Iterator[Checker]:
    checker = Checker()
    checker.may_go_on.set()
    yield checker
    checker.may_go_on.set()  # so that no thread outlives its test


async def test_bcrypt_never_runs_on_the_event_loops_thread(checker: Checker) -> None:
    passwords = Passwords(check=checker)
    assert await passwords.verify("alice", "right", "h")
    assert checker.threads
    assert threading.get_ident() not in checker.threads


async def test_the_loop_goes_on_while_a_password_is_checked(checker: Checker) -> None:
    checker.may_go_on.clear()
    task = asyncio.create_task(Passwords(check=checker).verify("alice", "right", "h"))
    await asyncio.sleep(0)  # the loop turns although the check hangs
    assert not task.done()
    checker.may_go_on.set()
    assert await task


async def test_a_success_is_remembered_for_a_while_since_its_last_use(checker: Checker) -> None:
    time = Time()
    passwords = Passwords(check=checker, now=time, remember_s=300)
    for _ in range(3):
        assert await passwords.verify("alice", "right", "h")
        time.now += 299
    assert len(checker.calls) == 1
    time.now += 1
    assert await passwords.verify("alice", "right", "h")
    assert len(checker.calls) == 2


@pytest.mark.parametrize(
    "other",
    [("bob", "right", "h"), ("alice", "right", "h2"), ("alice", "wrong", "h"), ("alic", "eright", "h")],
    ids=["another user", "the entry changed", "another password", "the same letters cut elsewhere"],
)
async def test_what_is_remembered_holds_for_exactly_these_three(checker: Checker, other: tuple[str, str, str]) -> None:
    passwords = Passwords(check=checker)
    await passwords.verify("alice", "right", "h")
    assert await passwords.verify(*other) is (other[1] == "right")
    assert len(checker.calls) == 2


async def test_a_failure_is_never_remembered(checker: Checker) -> None:
    passwords = Passwords(check=checker)
    for _ in range(2):
        assert not await passwords.verify("alice", "wrong", "h")
    assert len(checker.calls) == 2


async def test_what_is_remembered_is_bounded_and_the_oldest_goes_first(checker: Checker) -> None:
    passwords = Passwords(check=checker, max_remembered=2)
    for name in ("a", "b", "c"):
        await passwords.verify(name, "right", "h")
    await passwords.verify("c", "right", "h")
    await passwords.verify("b", "right", "h")
    assert len(checker.calls) == 3
    await passwords.verify("a", "right", "h")
    assert len(checker.calls) == 4


async def test_no_password_is_kept(checker: Checker) -> None:
    passwords = Passwords(check=checker)
    await passwords.verify("alice", "right", "the hash")
    kept = repr({name: value for name, value in vars(passwords).items() if name != "_check"})
    assert not any(secret in kept for secret in ("'right'", "the hash"))


async def test_the_same_check_is_not_begun_twice(checker: Checker) -> None:
    checker.may_go_on.clear()
    passwords = Passwords(check=checker, threads=1, max_waiting=0)
    tasks = [asyncio.create_task(passwords.verify("alice", "right", "h")) for _ in range(5)]
    await asyncio.sleep(0)
    checker.may_go_on.set()
    assert await asyncio.gather(*tasks) == [True] * 5
    assert len(checker.calls) == 1


async def test_more_than_the_bound_are_told_to_come_back(checker: Checker) -> None:
    checker.may_go_on.clear()
    passwords = Passwords(check=checker, threads=1, max_waiting=1)
    tasks = [asyncio.create_task(passwords.verify(name, "right", "h")) for name in "ab"]
    await asyncio.sleep(0)
    with pytest.raises(TooManyRequests) as raised:
        await passwords.verify("c", "right", "h")
    assert raised.value.headers[0][0] == "Retry-After"
    checker.may_go_on.set()
    assert await asyncio.gather(*tasks) == [True, True]
    assert await passwords.verify("c", "right", "h")


async def test_guesses_at_one_name_leave_the_queue_to_others(checker: Checker) -> None:
    checker.may_go_on.clear()
    passwords = Passwords(check=checker, threads=1, max_waiting=9, max_of_one_name=2)
    guesses = [asyncio.create_task(passwords.verify("alice", guess, "h")) for guess in ("1", "2", "3")]
    other = asyncio.create_task(passwords.verify("bob", "right", "h"))
    await asyncio.sleep(0)
    assert isinstance(guesses[2].exception(), TooManyRequests)
    checker.may_go_on.set()
    assert await asyncio.gather(*guesses[:2], other) == [False, False, True]
    assert await passwords.verify("alice", "right", "h")  # the guesses no longer count


async def test_a_client_that_guesses_leaves_the_queue_to_others(checker: Checker) -> None:
    checker.may_go_on.clear()
    passwords = Passwords(check=checker, threads=1, max_waiting=4)
    guesses = [asyncio.create_task(passwords.verify(f"n{i}", "wrong", "h", "2001:db8::1")) for i in range(10)]
    await asyncio.sleep(0)
    again = asyncio.create_task(passwords.verify("n10", "wrong", "h", "2001:db8::ffff"))  # the same /64
    other = asyncio.create_task(passwords.verify("alice", "right", "h", "192.0.2.1"))
    await asyncio.sleep(0)
    assert isinstance(again.exception(), TooManyRequests)
    checker.may_go_on.set()
    assert await other
    answers = await asyncio.gather(*guesses, return_exceptions=True)
    assert [answer is False for answer in answers] == [True] * 4 + [False] * 6  # the fifth made room for alice
    assert [password for password, _ in checker.calls][:2] == ["wrong", "right"]


async def test_a_client_that_has_logged_in_before_passes_a_crowd_of_strangers(checker: Checker) -> None:
    passwords = Passwords(check=checker, threads=1, max_waiting=4)
    assert await passwords.verify("alice", "right", "h", "192.0.2.1")
    checker.may_go_on.clear()
    crowd = [asyncio.create_task(passwords.verify(f"n{i}", "wrong", "h", f"203.0.113.{i}")) for i in range(9)]
    await asyncio.sleep(0)
    stranger = asyncio.create_task(passwords.verify("bob", "right", "h", "198.51.100.1"))
    known = asyncio.create_task(passwords.verify("bob", "right", "h2", "192.0.2.1"))
    await asyncio.sleep(0)
    assert isinstance(stranger.exception(), TooManyRequests)
    checker.may_go_on.set()
    assert await known
    await asyncio.gather(*crowd, return_exceptions=True)


async def test_where_it_is_closed_nothing_begins_any_more(checker: Checker) -> None:
    checker.may_go_on.clear()
    passwords = Passwords(check=checker, threads=1)
    runs, waits = (asyncio.create_task(passwords.verify(name, "right", "h")) for name in "ab")
    await asyncio.to_thread(checker.has_begun.wait, 30)
    await passwords.close()
    with pytest.raises(TooManyRequests):
        await waits
    checker.may_go_on.set()
    assert await runs
    assert len(checker.calls) == 1


async def test_nobody_waits_longer_than_the_bound_and_what_has_not_begun_never_begins(checker: Checker) -> None:
    checker.may_go_on.clear()
    time = Time()
    passwords = Passwords(check=checker, now=time, threads=1, max_wait_s=5)
    first = asyncio.create_task(passwords.verify("begun", "right", "h"))
    await asyncio.to_thread(checker.has_begun.wait, 30)
    second = asyncio.create_task(passwords.verify("waiting", "right", "h"))
    await asyncio.sleep(0)
    time.now += 5
    for name in ("begun", "waiting"):
        with pytest.raises(TooManyRequests) as raised:
            await passwords.verify(name, "right", "h")
        assert raised.value.headers == (("Retry-After", "3"),)
    with pytest.raises(TooManyRequests):
        await second
    checker.may_go_on.set()
    assert await first
    assert await passwords.verify("begun", "right", "h")
    assert len(checker.calls) == 1


async def test_checks_run_with_the_least_priority_and_the_loop_keeps_its_own() -> None:
    seen: list[int] = []

    def check(_password: str, _hashed: str) -> bool:
        seen.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
        return True

    own = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    assert await Passwords(check=check).verify("alice", "right", "h")
    assert seen == [19]
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == own


async def test_of_two_checks_in_a_row_the_second_waits_for_a_part_of_what_the_first_took() -> None:
    time, rests = Time(), list[float]()

    def check(_password: str, _hashed: str) -> bool:
        time.now += 0.2
        return False

    def sleep(seconds: float) -> None:
        rests.append(seconds)
        time.now += seconds

    passwords = Passwords(check=check, now=time, sleep=sleep)
    assert not await passwords.verify("alice", "wrong", "h")
    assert not await passwords.verify("alice", "worse", "h")
    time.now += 1
    assert not await passwords.verify("alice", "worst", "h")
    assert rests == pytest.approx([0.2 * REST]), "the third comes long after the second"


async def test_a_cancelled_caller_takes_the_check_from_nobody_else(checker: Checker) -> None:
    checker.may_go_on.clear()
    passwords = Passwords(check=checker)
    first, second = (asyncio.create_task(passwords.verify("alice", "right", "h")) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    checker.may_go_on.set()
    assert await second
    assert first.cancelled()


async def test_a_fault_in_a_check_reaches_the_caller_and_blocks_nobody() -> None:
    def broken(_password: str, _hashed: str) -> bool:
        raise RuntimeError("broken")

    passwords = Passwords(check=broken, threads=1, max_waiting=0)
    for _ in range(2):
        with pytest.raises(RuntimeError):
            await passwords.verify("alice", "right", "h")


async def test_wasting_time_computes_one_hash_of_the_cost_asked_for(checker: Checker) -> None:
    await Passwords(check=checker).waste("nobody", "right", 7)
    assert [hashed[:7] for _, hashed in checker.calls] == ["$2y$07$"]
