"""What a registry's two answers mean; what a real one answers is in tests/peers/test_doctor.py."""

import asyncio
import datetime as dt
import email.utils
import http.server
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from authproxy.certificates import make_certificates
from authproxy.doctor.finding import Finding, Level, conclude
from authproxy.doctor.tokens.live import ask
from authproxy.errors import StartError
from tests.support.server import free_port


@contextmanager
def answering(without: int, with_it: int, ahead_s: float = 0.0, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """A registry that answers with these statuses, and whose clock is ahead: yields its address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response_only(with_it if self.headers.get("Authorization") == "Bearer t" else without)
            self.send_header("Date", email.utils.formatdate(time.time() + ahead_s, usegmt=True))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http{'' if tls is None else 's'}://127.0.0.1:{server.server_address[1]}/"
        finally:
            server.shutdown()
            thread.join()


def findings(url: str, ca: Path | None = None, own: Path | None = None) -> list[Finding]:
    return list(asyncio.run(ask(url, "t", ca, time.time(), own)))


@pytest.mark.parametrize(
    ("without", "with_it", "verdict"),
    [
        (401, 200, Level.OK),
        (401, 401, Level.FAILED),
        (200, 200, Level.FAILED),
        (200, 401, Level.FAILED),
        (404, 404, Level.UNKNOWN),
        (401, 503, Level.UNKNOWN),
        (301, 301, Level.UNKNOWN),
    ],
)
def test_both_answers_together_say_whether_a_token_was_taken(without: int, with_it: int, verdict: Level) -> None:
    with answering(without, with_it) as url:
        assert conclude(findings(url)) is verdict


@pytest.mark.parametrize(("ahead_s", "side"), [(300, "ahead of"), (-300, "behind")])
def test_a_clock_that_is_off_is_told(ahead_s: float, side: str) -> None:
    with answering(401, 401, ahead_s) as url:
        (note,) = (finding for finding in findings(url) if finding.check == "clock")
    assert note.level is Level.WARNING
    assert side in note.what


def test_a_clock_that_is_right_is_not_mentioned() -> None:
    with answering(401, 200, 30) as url:
        assert [finding.check for finding in findings(url)] == ["live"]


def test_nobody_there_leaves_it_open() -> None:
    (finding,) = findings(f"http://127.0.0.1:{free_port()}")
    assert (finding.level, finding.check) == (Level.UNKNOWN, "live")


@pytest.mark.parametrize("url", ["", "registry", "ftp://registry", "http://[", "http://:x"])
def test_what_is_no_address_leaves_it_open(url: str) -> None:
    assert conclude(findings(url)) is Level.UNKNOWN


def test_authorities_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "none.pem").write_text("none")
    for file in (tmp_path / "none.pem", tmp_path / "absent.pem"):
        with pytest.raises(StartError, match=f"--ca {file}"):
            findings("https://127.0.0.1:1", file)


def test_our_own_ca_is_trusted_for_this_machine_without_being_named(tmp_path: Path) -> None:
    make_certificates(tmp_path, ["127.0.0.1"], now=dt.datetime.now(dt.UTC))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "server.pem", tmp_path / "server.key")
    with answering(401, 200, tls=tls) as url:
        assert conclude(findings(url)) is Level.UNKNOWN
        assert conclude(findings(url, own=tmp_path / "ca.pem")) is Level.OK
