"""One answer: what the application sends becomes bytes, and faults of its own become an end."""

import asyncio
from operator import attrgetter
from typing import NamedTuple

import pytest

from authproxy.asgi import Message, Receive, Scope, Send
from authproxy.http.server.cycle import JOINED_BYTES
from tests.support.cycle import OK, WHOLE, Twin, make, piece, run, sends, start


class Answer(NamedTuple):
    what: str
    messages: list[Message]
    written: str
    method: str = "GET"
    version: str = "1.1"
    keeps: bool = True  # the request's wish
    kept: bool = True


UNKNOWN = [start(), piece(b"first", more=True), piece(b"", more=True), piece(b"last")]
ANSWERS = [
    Answer("of a known length", WHOLE, f"{OK}content-length: 2\r\n\r\nok"),
    Answer(
        "in pieces",
        [start(content_length="4"), piece(b"ok", more=True), piece(memoryview(b"ok"))],
        f"{OK}content-length: 4\r\n\r\nokok",
    ),
    Answer("of unknown length", UNKNOWN, f"{OK}transfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n4\r\nlast\r\n0\r\n\r\n"),
    Answer("of unknown length, and empty", [start(), piece()], f"{OK}transfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
    Answer("HEAD of unknown length", UNKNOWN, f"{OK}\r\n", method="HEAD"),
    Answer("HEAD", [start(content_length="5"), piece()], f"{OK}content-length: 5\r\n\r\n", method="HEAD"),
    Answer("HEAD with a body that is not sent", WHOLE, f"{OK}content-length: 2\r\n\r\n", method="HEAD"),
    Answer("204", [start(204), piece()], "HTTP/1.1 204 No Content\r\n\r\n"),
    Answer("304", [start(304, etag="x"), piece()], "HTTP/1.1 304 Not Modified\r\netag: x\r\n\r\n"),
    Answer(
        "304 with a length",
        [start(304, content_length="9"), piece()],
        "HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n",
    ),
    Answer(
        "a status without a name", [start(299), piece()], "HTTP/1.1 299 \r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"
    ),
    Answer(
        "closing, as asked", WHOLE, f"{OK}content-length: 2\r\nconnection: close\r\n\r\nok", keeps=False, kept=False
    ),
    Answer(
        "closing, as answered",
        [start(content_length="0", connection="Close"), piece()],
        f"{OK}content-length: 0\r\nconnection: close\r\n\r\n",
        kept=False,
    ),
    Answer(
        "with hop-by-hop headers of another server",
        [start(content_length="0", connection="keep-alive", transfer_encoding="chunked"), piece()],
        f"{OK}content-length: 0\r\n\r\n",
    ),
    Answer(
        "HTTP/1.0",
        WHOLE,
        f"{OK}content-length: 2\r\nconnection: close\r\n\r\nok",
        version="1.0",
        keeps=False,
        kept=False,
    ),
    Answer("HTTP/1.0 that is kept", WHOLE, f"{OK}content-length: 2\r\nconnection: keep-alive\r\n\r\nok", version="1.0"),
    Answer("HTTP/1.0 of unknown length", UNKNOWN, f"{OK}connection: close\r\n\r\nfirstlast", version="1.0", kept=False),
]


@pytest.mark.parametrize("answer", ANSWERS, ids=attrgetter("what"))
async def test_answer(answer: Answer) -> None:
    channel = Twin()
    cycle = make(channel, answer.method, version=answer.version, keeps=answer.keeps)
    await run(cycle, sends(answer.messages))
    assert channel.written == answer.written
    assert (channel.finished, cycle.keep_alive, channel.tasks, channel.ended) == ([cycle], answer.kept, [], None)


FAULT = "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 15\r\nconnection: close\r\n\r\ninternal error\n"


class Fault(NamedTuple):
    what: str
    messages: list[Message]
    written: str = FAULT
    ended: str | None = None
    method: str = "GET"
    version: str = "1.1"


SPLIT = "x\r\nset-cookie: y"
FAULTS = [
    Fault("nothing", []),
    Fault("only a head", [start(content_length="2")]),
    Fault("no head", [piece(b"x")]),
    Fault("a header that is two", [start(x=SPLIT), piece()]),
    Fault("a header with half a line break", [start(x="a\nb"), piece()]),
    Fault("the last header is two", [start(x="y", x_request_id=SPLIT), piece()]),
    Fault("a header with the other half", [start(x="a\rb"), piece()]),
    Fault("a name that is two headers", [{**start(), "headers": [(b"a: b\r\nc", b"d")]}, piece()]),
    Fault("a length that is none", [start(content_length="-1"), piece()]),
    Fault("a body too long", [start(content_length="1"), piece(b"xx")]),
    Fault("a body too short", [start(content_length="3"), piece(b"xx")]),
    Fault("a body where none may be", [start(204), piece(b"x")]),
    Fault("HEAD", [], FAULT.replace("internal error\n", ""), method="HEAD"),
    Fault("two heads", [start(content_length="2"), start()]),
    Fault(
        "too long in the end",
        [start(content_length="1"), piece(b"x", more=True), piece(b"x")],
        f"{OK}content-length: 1\r\n\r\nx",
        "closed",
    ),
    Fault(
        "too short in the end",
        [start(content_length="2"), piece(b"x", more=True), piece()],
        f"{OK}content-length: 2\r\n\r\nx",
        "closed",
    ),
    Fault(
        "never complete",
        [start(), piece(b"x", more=True)],
        f"{OK}transfer-encoding: chunked\r\n\r\n1\r\nx\r\n",
        "closed",
    ),
    Fault(
        "never complete, and its end is the connection's",
        [start(), piece(b"x", more=True)],
        f"{OK}connection: close\r\n\r\nx",
        "reset",
        version="1.0",
    ),
    Fault("more than complete", [*WHOLE, piece(b"x")], f"{OK}content-length: 2\r\n\r\nok"),
]


@pytest.mark.parametrize("fault", FAULTS, ids=attrgetter("what"))
async def test_fault_of_the_application(fault: Fault, capsys: pytest.CaptureFixture[str]) -> None:
    channel = Twin()
    cycle = make(channel, fault.method, version=fault.version)
    await run(cycle, sends(fault.messages))
    assert (channel.written, channel.ended) == (fault.written, fault.ended)


@pytest.mark.parametrize(
    "raised", [ValueError("x"), asyncio.CancelledError(), ExceptionGroup("x", [OSError()])], ids=repr
)
@pytest.mark.parametrize("waits", [False, True], ids=["at once", "later"])
async def test_an_application_that_raises_is_a_500_before_its_answer_and_an_end_in_it(
    raised: BaseException, *, waits: bool
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if waits:
            await asyncio.sleep(0)
        if scope["path"] == "/begun":
            await send(start(content_length="2"))
            await send(piece(b"x", more=True))
        raise raised

    for path, written, ended in [("/", FAULT, None), ("/begun", f"{OK}content-length: 2\r\n\r\nx", "closed")]:
        channel = Twin()
        cycle = make(channel)
        cycle.scope["path"] = path
        await run(cycle, app)
        await asyncio.gather(*channel.tasks)
        assert (channel.written, channel.ended) == (written, ended)


async def test_a_small_body_leaves_with_its_head_and_a_large_one_is_not_copied() -> None:
    small, large = Twin(), Twin()
    await run(make(small), sends([start(content_length=str(JOINED_BYTES)), piece(bytes(JOINED_BYTES))]))
    await run(make(large), sends([start(content_length=str(JOINED_BYTES + 1)), piece(bytes(JOINED_BYTES + 1))]))
    assert (len(small.writes), len(large.writes)) == (1, 2)


async def test_a_request_cancelled_at_shutdown_ends() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(60)

    channel = Twin()
    await run(make(channel), app)
    channel.tasks[0].cancel()
    await asyncio.wait(channel.tasks)
    assert channel.written == FAULT


async def test_sending_waits_while_the_client_is_behind() -> None:
    channel = Twin(is_behind=True)
    await run(make(channel), sends(UNKNOWN))
    assert channel.written.endswith("first\r\n")
    channel.drained.set()
    await asyncio.gather(*channel.tasks)
    assert channel.written.endswith("last\r\n0\r\n\r\n")
