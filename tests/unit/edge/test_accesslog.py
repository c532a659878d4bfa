"""The access log: whose lines wait for one another, and are never lost."""

import asyncio
import io

from authproxy.asgi import REQUEST_ID
from authproxy.edge.accesslog import GATHER_S, AccessLog
from authproxy.edge.observe import ServedRequest
from authproxy.log.line_writer import LineWriter


def render(texts: tuple[str, ...], status: int, sent: int, ms: float, request_id: str) -> str:
    return f"{texts} {status} {sent} {ms} {request_id}"


def served(path: str) -> ServedRequest:
    return ServedRequest({"method": "GET", "path": path, REQUEST_ID: "r-1"}, 200, 3, 0, 0.00123)


LINES = [f"('', '', 'GET', '{path}') 200 3 1.2 r-1\n" for path in ("/a", "/b", "/c")]


async def test_lines_are_written_together() -> None:
    stream = io.StringIO()
    access_log = AccessLog(render, LineWriter(stream))
    access_log.record(served("/a"))
    access_log.record(served("/b"))
    assert stream.getvalue() == ""
    await asyncio.sleep(2 * GATHER_S)
    assert stream.getvalue() == "".join(LINES[:2])
    access_log.record(served("/c"))
    await asyncio.sleep(2 * GATHER_S)
    assert stream.getvalue() == "".join(LINES)


async def test_at_the_end_nothing_is_held_back() -> None:
    stream = io.StringIO()
    access_log = AccessLog(render, LineWriter(stream))
    access_log.record(served("/a"))
    await access_log.close()
    assert stream.getvalue() == LINES[0]
    access_log.record(served("/b"))
    assert stream.getvalue() == "".join(LINES[:2])
