"""One request: its body as it comes, and who is told when it breaks off."""

import asyncio

import pytest

from authproxy.asgi import DEPARTURE, App, Message, Receive, Scope, Send
from tests.support.cycle import OK, WHOLE, Twin, make, piece, run, sends, start


def receiver(into: list[Message], count: int = 100) -> App:
    """An application that receives until the client is gone, at most so often, and answers."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for _ in range(count):
            into.append(message := await receive())
            if message["type"] == "http.disconnect" or not message["more_body"]:
                break
        for message in WHOLE:
            await send(message)

    return app


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_request_without_a_body_is_one_empty_message() -> None:
    got: list[Message] = []
    await run(make(Twin()), receiver(got))
    assert got == [{"type": "http.request", "body": b"", "more_body": False}]


async def test_a_body_comes_as_it_comes_and_makes_room_each_time() -> None:
    got: list[Message] = []
    channel = Twin()
    cycle = make(channel, body=True)
    await run(cycle, receiver(got))
    for part in (b"one", b"two"):
        cycle.body.put(part, is_all=True)
        await settle()
    cycle.body.end()
    await asyncio.gather(*channel.tasks)
    assert [(message["body"], message["more_body"]) for message in got] == [
        (b"one", True),
        (b"two", True),
        (b"", False),
    ]
    assert channel.reads_on == 3


async def test_what_came_of_a_body_that_broke_off_is_had_before_the_end() -> None:
    got: list[Message] = []
    channel = Twin()
    cycle = make(channel, body=True)
    cycle.body.put(b"one", is_all=False)
    cycle.lose_client()
    await run(cycle, receiver(got))
    assert [message.get("body") for message in got] == [b"one", None]
    assert got[-1] == {"type": "http.disconnect"}
    assert channel.written == ""


async def test_who_waits_for_more_hears_that_the_client_is_gone() -> None:
    got: list[Message] = []
    channel = Twin()
    cycle = make(channel, body=True)
    await run(cycle, receiver(got))
    cycle.lose_client()
    await asyncio.gather(*channel.tasks)
    assert got == [{"type": "http.disconnect"}]


@pytest.mark.parametrize("how", ["the client leaves", "the answer is complete"])
async def test_who_has_had_the_body_waits_for_the_end_together_with_others(how: str) -> None:
    got: list[str] = []

    async def wait(receive: Receive) -> None:
        got.append((await receive())["type"])

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        waiting = [asyncio.create_task(wait(receive)) for _ in range(3)]
        await settle()
        waiting[0].cancel()
        await settle()
        if how == "the client leaves":
            cycle.lose_client()
        for message in WHOLE:
            await send(message)
        await asyncio.wait(waiting)

    channel = Twin()
    cycle = make(channel)
    await run(cycle, app)
    await asyncio.gather(*channel.tasks)
    assert got == ["http.disconnect"] * 2


async def test_after_its_answer_the_rest_of_a_body_is_nobodys() -> None:
    channel, got = Twin(), list[Message]()
    cycle = make(channel, body=True)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for message in WHOLE:
            await send(message)
        got.append(await receive())

    await run(cycle, app)
    assert got == [{"type": "http.disconnect"}]


CONTINUE = "HTTP/1.1 100 Continue\r\n\r\n"


async def test_a_client_that_waits_is_told_to_go_on_when_its_body_is_wanted() -> None:
    channel = Twin()
    cycle = make(channel, body=True, expects=True)
    await run(cycle, receiver([]))
    assert channel.written == CONTINUE
    cycle.body.put(b"x", is_all=True)
    cycle.body.end()
    await asyncio.gather(*channel.tasks)
    assert channel.written == f"{CONTINUE}{OK}content-length: 2\r\n\r\nok"


async def test_a_client_that_did_not_wait_is_not_told() -> None:
    channel = Twin()
    cycle = make(channel, body=True, expects=True)
    cycle.body.put(b"x", is_all=True)
    cycle.body.end()
    await run(cycle, receiver([]))
    assert channel.written == f"{OK}content-length: 2\r\n\r\nok"


async def test_a_client_that_waits_and_is_refused_may_send_anything_next_so_the_connection_ends() -> None:
    channel = Twin()
    cycle = make(channel, body=True, expects=True)
    await run(cycle, sends(WHOLE))
    assert channel.written == f"{OK}content-length: 2\r\nconnection: close\r\n\r\nok"
    assert not cycle.keep_alive


@pytest.mark.parametrize("much", [False, True])
async def test_what_is_left_of_a_refused_body_is_read_where_it_is_little(*, much: bool) -> None:
    channel = Twin(has_much_to_read=much)
    cycle = make(channel, body=True)
    await run(cycle, sends(WHOLE))
    assert cycle.keep_alive is not much
    assert ("connection: close" in channel.written) is much


async def test_nothing_is_sent_to_a_client_that_is_gone() -> None:
    channel = Twin()
    cycle = make(channel)
    cycle.lose_client()
    await run(cycle, sends([piece(b"whatever"), start()]))
    assert (channel.written, channel.ended, channel.finished) == ("", None, [])


@pytest.mark.parametrize("is_watched_first", [True, False])
async def test_a_departure_is_told_once_to_whoever_asks_before_or_after_it(*, is_watched_first: bool) -> None:
    told: list[str] = []
    cycle = make(Twin(), body=True)
    departure = cycle.scope[DEPARTURE]
    if is_watched_first:
        departure.add_callback(lambda: told.append("gone"))
        assert not told
        cycle.lose_client()
    else:
        cycle.lose_client()
        departure.add_callback(lambda: told.append("gone"))
    assert told == ["gone"]


async def test_nobody_is_told_who_does_not_want_to_know_any_more() -> None:
    told: list[str] = []
    cycle = make(Twin(), body=True)

    def tell() -> None:
        told.append("gone")

    cycle.scope[DEPARTURE].add_callback(tell)
    cycle.scope[DEPARTURE].add_callback(lambda: told.append("another was told"))
    cycle.scope[DEPARTURE].remove_callback(tell)
    cycle.lose_client()
    assert told == ["another was told"]


async def test_a_client_that_leaves_after_its_answer_has_not_departed() -> None:
    told: list[str] = []
    cycle = make(Twin())
    await run(cycle, sends(WHOLE))
    cycle.scope[DEPARTURE].add_callback(lambda: told.append("gone"))
    cycle.lose_client()
    assert not told
