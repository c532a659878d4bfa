"""Standard output, syslog and webhook: what they are sent, and what becomes of lines that they do not take."""

import os
import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from authproxy.audit.chain import Link, seal
from authproxy.audit.sink import LinesRefused, SinkFailed
from authproxy.audit.stdout import StdoutSink
from authproxy.audit.syslog import SyslogSink
from authproxy.audit.webhook import MAX_BYTES, MAX_LINES, WebhookSink

LINES = [seal({"user": "alice"}, Link("w"))[0], seal({"user": "bob"}, Link("w"))[0]]
NOW = 1_767_323_045.678901


def test_standard_output_gets_the_lines_as_they_are() -> None:
    reading, writing = os.pipe()
    sink = StdoutSink(writing)
    assert (sink.open(), sink.write(LINES)) == (None, 2)
    sink.close()
    assert os.read(reading, 10_000) == b"".join(LINES)
    os.close(reading)
    with pytest.raises(SinkFailed, match="standard output: Broken pipe"):
        sink.write(LINES)
    os.close(writing)


def test_standard_output_is_that_of_the_process(capfd: pytest.CaptureFixture[str]) -> None:
    with capfd.disabled():
        pass
    StdoutSink(1).write(LINES)
    assert capfd.readouterr().out == b"".join(LINES).decode()


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[tuple[Path, socket.socket]]:
    """A syslog daemon's Unix socket."""
    path = tmp_path / "log"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(path))
        listening.settimeout(10)
        yield path, listening


MESSAGE = re.compile(rb"<86>1 2026-01-02T03:04:05\.678901Z [!-~]+ authproxy [0-9]+ audit - (\{.*\})")


def test_syslog_over_a_unix_socket_is_rfc_5424(daemon: tuple[Path, socket.socket]) -> None:
    path, listening = daemon
    sink = SyslogSink(path, now=lambda: NOW)
    assert (sink.open(), sink.write(LINES)) == (None, 2)
    for line in LINES:
        match = MESSAGE.fullmatch(listening.recv(65_536))
        assert match is not None
        assert match[1] + b"\n" == line
    sink.close()


def test_syslog_over_udp_is_the_same() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.settimeout(10)
        sink = SyslogSink(listening.getsockname(), now=lambda: NOW)
        sink.write(LINES[:1])
        assert MESSAGE.fullmatch(listening.recv(65_536))
        sink.close()


def test_a_daemon_that_is_not_there_may_come_later(tmp_path: Path) -> None:
    path = tmp_path / "log"
    sink = SyslogSink(path)
    with pytest.raises(SinkFailed, match="No such file or directory"):
        sink.write(LINES)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(path))
        assert sink.write(LINES) == 2
        sink.close()


def test_a_line_that_fits_no_datagram_is_refused_alone() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", 0))
        sink = SyslogSink(listening.getsockname())
        too_long = seal({"user": "x" * 70_000}, Link("w"))[0]
        assert sink.write([LINES[0], too_long]) == 1
        with pytest.raises(LinesRefused, match="is too long for a datagram") as caught:
            sink.write([too_long, LINES[1]])
        assert caught.value.count == 1
        sink.close()


def webhook(answer: Callable[[httpx.Request], httpx.Response]) -> WebhookSink:
    sink = WebhookSink(
        "https://logs.example/secret-path",
        headers=[("Authorization", "Bearer hunter2")],
        transport=httpx.MockTransport(answer),
    )
    sink.open()
    return sink


def test_a_webhook_gets_lines_of_json_and_the_headers_of_the_configuration() -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(204)

    sink = webhook(answer)
    assert sink.write(LINES) == 2
    sink.close()
    (request,) = asked
    assert (request.method, str(request.url)) == ("POST", "https://logs.example/secret-path")
    assert request.content == b"".join(LINES)
    assert request.headers["content-type"] == "application/x-ndjson"
    assert request.headers["authorization"] == "Bearer hunter2"


def test_a_batch_has_a_bound_in_lines_and_in_bytes() -> None:
    sink = webhook(lambda _: httpx.Response(200))
    assert sink.write([LINES[0]] * (MAX_LINES + 1)) == MAX_LINES
    assert sink.write([b"x" * (MAX_BYTES // 2)] * 3) == 2
    assert sink.write([b"x" * (MAX_BYTES * 2)] * 2) == 1


@pytest.mark.parametrize("status", [302, 401, 404, 429, 500, 503])
def test_an_answer_that_may_change_is_asked_for_again(status: int) -> None:
    sink = webhook(lambda _: httpx.Response(status, headers={"Location": "https://elsewhere.example/"}))
    with pytest.raises(SinkFailed, match=rf"logs\.example answered {status}") as caught:
        sink.write(LINES)
    assert not isinstance(caught.value, LinesRefused)


@pytest.mark.parametrize("status", [400, 413, 422])
def test_lines_that_a_webhook_will_never_take_are_refused(status: int) -> None:
    with pytest.raises(LinesRefused) as caught:
        webhook(lambda _: httpx.Response(status)).write(LINES)
    assert caught.value.count == 2


def test_a_webhook_that_cannot_be_reached_is_told_without_path_and_headers() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no route to host", request=request)

    with pytest.raises(SinkFailed) as caught:
        webhook(answer).write(LINES)
    assert str(caught.value) == "logs.example: ConnectError: no route to host"


class Endless(httpx.SyncByteStream):
    """A body without an end."""

    taken = 0
    is_closed = False

    def __iter__(self) -> Iterator[bytes]:
        while True:
            self.taken += 1 << 16
            yield bytes(1 << 16)

    def close(self) -> None:
        self.is_closed = True


def test_an_answer_without_end_is_not_gathered() -> None:
    body = Endless()
    packed = {"content-encoding": "gzip"}
    sink = webhook(lambda _: httpx.Response(200, headers=packed, stream=body))
    assert sink.write([b"{}\n"]) == 1
    assert body.is_closed
    assert body.taken <= 1 << 18
