"""A body on its way: whatever its pieces on the wire, the same bytes come out, and few of them are held."""

import asyncio
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authproxy.http.server.body import LEAST_BYTES, LINGER_S, MOST_BYTES, Body

MIB = 1024 * 1024


def put(body: Body, data: bytes) -> None:
    """As the socket does, which writes into the room; more of the body is to come."""
    while data:
        room = body.room(MIB)
        count = min(len(room), len(data))
        room[:count] = data[:count]
        room.release()
        body.filled(count)
        data = data[count:]


async def read(body: Body) -> list[bytes]:
    """All pieces until the end."""
    pieces = []
    while not body.is_read:
        await body.wait()
        if piece := body.take():
            pieces.append(bytes(piece))
    return pieces


CONTENT = bytes(index * index % 251 for index in range(3 * LEAST_BYTES + 17))


@given(
    parts=st.lists(st.tuples(st.integers(0, len(CONTENT)), st.sampled_from(["parser", "socket"])), max_size=12),
    eager=st.booleans(),
)
def test_every_chunking_of_the_same_bytes_comes_out_the_same(parts: list[tuple[int, str]], *, eager: bool) -> None:
    async def check() -> bytes:
        body, got, first = Body(), b"", 0
        for (end, way), is_last in zip(
            [*sorted(parts), (len(CONTENT), "parser")], [False] * len(parts) + [True], strict=True
        ):
            part, first = CONTENT[first:end], end
            if way == "parser":
                body.put(part, is_all=is_last)
            else:
                put(body, part)
            if eager:
                got += body.take()
        body.end()
        return got + b"".join(await read(body))

    assert asyncio.run(check()) == CONTENT


@pytest.mark.parametrize("size", [1, LEAST_BYTES - 1, LEAST_BYTES, LEAST_BYTES + 1, 2 * LEAST_BYTES])
async def test_one_byte_at_a_time(size: int) -> None:
    body = Body()
    for index in range(size):
        put(body, CONTENT[index : index + 1])
    body.end()
    assert b"".join(await read(body)) == CONTENT[:size]


async def test_pieces_grow_while_they_fill_up_and_no_further_than_the_most() -> None:
    body, sizes = Body(), []
    for _ in range(5 * MIB // LEAST_BYTES):
        put(body, bytes(LEAST_BYTES))
        if body.is_full:
            sizes.append(len(body.take()))
    assert sizes[0] == LEAST_BYTES
    assert sizes == sorted(sizes)
    assert sizes[-1] == MOST_BYTES


async def test_a_client_that_becomes_slow_holds_little_again() -> None:
    body = Body()
    for _ in range(20):
        put(body, bytes(LEAST_BYTES))
        while body.is_full:
            body.take()
    while body.take():
        pass
    put(body, b"x")
    assert body.take() == b"x"
    with body.room(MIB) as room:
        assert len(room) == LEAST_BYTES


async def test_a_body_that_is_all_there_is_passed_on_as_it_is() -> None:
    body, data = Body(), b"all of it"
    body.put(data, is_all=True)
    assert body.take() is data


async def test_a_last_part_waits_its_turn_behind_what_came_before() -> None:
    body = Body()
    body.put(b"first ", is_all=False)
    body.put(b"last", is_all=True)
    body.end()
    assert b"".join(await read(body)) == b"first last"


async def test_room_is_no_larger_than_what_is_left_of_the_body() -> None:
    with Body().room(10) as room:
        assert len(room) == 10


async def test_it_is_full_with_two_pieces_and_not_with_one() -> None:
    body, seen = Body(), []
    for step in (partial(put, body, bytes(LEAST_BYTES)), partial(put, body, bytes(2 * LEAST_BYTES)), body.take):
        step()
        seen.append(body.is_full)
    assert seen == [False, True, False]


async def test_a_piece_that_is_not_full_waits_for_more_but_not_long() -> None:
    body = Body()
    waiting = asyncio.create_task(body.wait())
    await asyncio.sleep(0)
    begun = asyncio.get_running_loop().time()
    put(body, b"a")
    await asyncio.sleep(0)
    assert not waiting.done()
    put(body, b"b")
    await waiting
    assert asyncio.get_running_loop().time() - begun >= LINGER_S / 2
    assert body.take() == b"ab"


async def test_the_end_does_not_wait_for_more() -> None:
    body = Body()
    waiting = asyncio.create_task(body.wait())
    await asyncio.sleep(0)
    assert [body.is_awaited, waiting.done()] == [True, False]
    put(body, b"a")
    body.end()
    await asyncio.sleep(0)
    assert [body.is_awaited, waiting.done()] == [False, True]
    assert (body.take(), body.is_read) == (b"a", True)


async def test_nobody_waits_for_what_is_there_or_has_ended() -> None:
    body = Body()
    body.put(b"x", is_all=True)
    await body.wait()
    body.take()
    body.end()
    await body.wait()


async def test_who_stops_waiting_leaves_the_body_as_it_was() -> None:
    body = Body()
    waiting = asyncio.create_task(body.wait())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    put(body, b"x")
    body.end()
    assert await read(body) == [b"x"]


async def test_two_cannot_wait_at_once() -> None:
    body = Body()
    waiting = asyncio.create_task(body.wait())
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="another task is already waiting"):
        await body.wait()
    body.end()
    await waiting


async def test_a_body_without_bytes_has_ended_and_is_read() -> None:
    body = Body()
    assert (body.has_begun, body.is_read) == (False, False)
    body.end()
    assert (body.has_begun, body.is_read, body.take()) == (True, True, b"")
