"""The upstream's answer: the same in whatever pieces it comes; what two could read differently is refused."""

from itertools import pairwise
from operator import attrgetter
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authproxy.http.client.errors import BrokeOff, NotHttp, UpstreamError
from authproxy.http.client.parser import MAX_HEAD, ResponseParser

SAYS = b"HTTP/1.1 200 OK\r\n"


class Good(NamedTuple):
    what: str
    answer: bytes
    status: int
    body: bytes
    method: str = "GET"
    keeps_alive: bool = True
    ends: bool = False  # with the connection


GOOD = [
    Good("a length", SAYS + b"Content-Length: 5\r\n\r\nhello", 200, b"hello"),
    Good("nothing", SAYS + b"Content-Length: 0\r\n\r\n", 200, b""),
    Good("chunks", SAYS + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n", 200, b"hello"),
    Good("fields behind chunks", SAYS + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nB: c\r\n\r\n", 200, b"a"),
    Good("until the end", SAYS + b"\r\nhello", 200, b"hello", keeps_alive=False, ends=True),
    Good("an old server", b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, b"ok", keeps_alive=False),
    Good("the last one", SAYS + b"Connection: close\r\nContent-Length: 2\r\n\r\nok", 200, b"ok", keeps_alive=False),
    Good("HEAD", SAYS + b"Content-Length: 9999\r\n\r\n", 200, b"", "HEAD"),
    Good("HEAD of chunks", SAYS + b"Transfer-Encoding: chunked\r\n\r\n", 200, b"", "HEAD"),
    Good("no content", b"HTTP/1.1 204 No\r\n\r\n", 204, b""),
    Good("no content with a length", b"HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n", 204, b""),
    Good("no content in chunks", b"HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n", 204, b""),
    Good("HEAD that was not found", b"HTTP/1.1 404 No\r\nContent-Length: 5\r\n\r\n", 404, b"", "HEAD"),
    Good("chunks in capitals", SAYS + b"Transfer-Encoding: CHUNKED\r\n\r\n1\r\na\r\n0\r\n\r\n", 200, b"a"),
    Good("go on before it", b"HTTP/1.1 100 Continue\r\n\r\n" + SAYS + b"Content-Length: 1\r\n\r\na", 200, b"a"),
    Good("not modified", b"HTTP/1.1 304 No\r\nContent-Length: 5\r\n\r\n", 304, b""),
    Good(
        "informational before it",
        b"HTTP/1.1 103 E\r\nLink: a\r\n\r\n" + SAYS + b"Content-Length: 1\r\n\r\na",
        200,
        b"a",
    ),
]


def read(answer: bytes, method: str, cuts: list[int], *, ends: bool) -> tuple[ResponseParser, bytes]:
    """Parse an answer that comes in pieces; the parser, and the body."""
    parser = ResponseParser(method)
    edges = [0, *sorted(cuts), len(answer)]
    for begin, end in pairwise(edges):
        if begin < end:
            parser.feed(answer[begin:end])
    parser.check()
    if ends:
        parser.end()
    return parser, b"".join(parser.pieces)


@pytest.mark.parametrize("row", GOOD, ids=attrgetter("what"))
@given(data=st.data())
def test_answer_is_the_same_in_all_pieces(row: Good, data: st.DataObject) -> None:
    cuts = data.draw(st.one_of(st.just(list(range(len(row.answer)))), st.lists(st.integers(0, len(row.answer)))))
    parser, body = read(row.answer, row.method, cuts, ends=row.ends)
    assert parser.head is not None
    assert (parser.head.status, body, parser.is_complete) == (row.status, row.body, True)
    assert (parser.keeps_alive, parser.has_excess) == (row.keeps_alive, False)


def test_headers_are_those_of_the_answer_in_their_order_and_spelling() -> None:
    answer = b"HTTP/1.1 103 E\r\nX: early\r\n\r\nHTTP/1.1 200 OK\r\nB: 1\r\na: 2\r\nB: 3\r\nContent-Length: 0\r\n\r\n"
    parser, _ = read(answer, "GET", [], ends=False)
    assert parser.head == (200, [(b"B", b"1"), (b"a", b"2"), (b"B", b"3"), (b"Content-Length", b"0")])


REFUSED = {
    "two lengths": SAYS + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\n",
    "a list of lengths": SAYS + b"Content-Length: 1, 1\r\n\r\n",
    "a length with a sign": SAYS + b"Content-Length: +1\r\n\r\n",
    "a length and chunks": SAYS + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    "chunks and a length": SAYS + b"Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
    "two lengths that differ": SAYS + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
    "a length past counting": SAYS + b"Content-Length: 18446744073709551617\r\n\r\n",
    "a hexadecimal length": SAYS + b"Content-Length: 0x1\r\n\r\n",
    "a length of nothing": SAYS + b"Content-Length: \r\n\r\n",
    "chunks that are not last": SAYS + b"Transfer-Encoding: chunked, identity\r\n\r\n",
    "a vertical tab in a coding": SAYS + b"Transfer-Encoding: \x0bchunked\r\n\r\n",
    "a folded coding": SAYS + b"Transfer-Encoding:\r\n chunked\r\n\r\n",
    "a bare CR in a header": SAYS + b"A: b\rContent-Length: 5\r\n\r\n",
    "a bare LF in a header": SAYS + b"A: b\nContent-Length: 5\r\n\r\n",
    "a NUL in a header": SAYS + b"A: \0\r\n\r\n",
    "a space before the colon": SAYS + b"Content-Length : 5\r\n\r\n",
    "a header without a colon": SAYS + b"Content-Length\r\n\r\n",
    "a header without a name": SAYS + b": a\r\n\r\n",
    "a chunk longer than it says": SAYS + b"Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
    "a chunk of a size past counting": SAYS + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 17 + b"\r\na\r\n",
    "a chunk with a bare LF": SAYS + b"Transfer-Encoding: chunked\r\n\r\n1\na\r\n0\r\n\r\n",
    "a chunk whose extension has a bare LF": SAYS + b"Transfer-Encoding: chunked\r\n\r\n1;a\nb\r\na\r\n0\r\n\r\n",
    "a chunk with a sign": SAYS + b"Transfer-Encoding: chunked\r\n\r\n+1\r\na\r\n0\r\n\r\n",
    "a trailer without a colon": SAYS + b"Transfer-Encoding: chunked\r\n\r\n0\r\nHTTP/1.1 200 OK\r\n\r\n",
    "chunks within another coding": SAYS + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
    "another coding": SAYS + b"Transfer-Encoding: gzip\r\n\r\n",
    "lines without CR": b"HTTP/1.1 200 OK\nA: b\n\n",
    "a folded header": SAYS + b"A: b\r\n c\r\n\r\n",
    "a space in a name": SAYS + b"A b: c\r\n\r\n",
    "a control character": SAYS + b"A: b\x01\r\n\r\n",
    "another protocol": b"SSH-2.0-OpenSSH\r\n",
    "a protocol that nobody asked for": b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n",
    "a status of two digits": b"HTTP/1.1 20 OK\r\n\r\n",
    "a status that is none": b"HTTP/1.1 600 What\r\nContent-Length: 0\r\n\r\n",
    "a chunk that has no length": SAYS + b"Transfer-Encoding: chunked\r\n\r\nx\r\n",
    "too many headers": SAYS + b"A: b\r\n" * (MAX_HEAD // 6 + 1),
    "hints without end": b"HTTP/1.1 103 E\r\n\r\n" * (MAX_HEAD // 18 + 1),
}


@pytest.mark.parametrize("answer", REFUSED.values(), ids=REFUSED)
def test_refused(answer: bytes) -> None:
    for cuts in ([], list(range(min(len(answer), 500)))):
        with pytest.raises(NotHttp):
            read(answer, "GET", cuts, ends=False)


@pytest.mark.parametrize("row", [row for row in GOOD if not row.ends], ids=attrgetter("what"))
def test_what_comes_behind_an_answer_is_noticed(row: Good) -> None:
    for cuts in ([], [len(row.answer)]):
        parser, body = read(row.answer + b"HTTP/1.1 200 OK\r\n\r\n", row.method, cuts, ends=False)
        assert (body, parser.has_excess) == (row.body, True)


@pytest.mark.parametrize("cut", [0, 10, len(GOOD[0].answer) - 1])
def test_end_in_the_middle_is_told(cut: int) -> None:
    with pytest.raises(BrokeOff):
        read(GOOD[0].answer[:cut], "GET", [], ends=True)


@given(st.lists(st.binary()))
def test_any_bytes_are_an_answer_or_an_error_of_ours(pieces: list[bytes]) -> None:
    parser = ResponseParser("GET")
    for piece in pieces:
        parser.feed(piece)
    try:
        parser.check()
        parser.end()
    except UpstreamError:
        return
    assert parser.head is not None
