"""A certificate's files change: what serves then, and what the log says. The clock is an argument; nothing waits."""

import datetime as dt
import ssl
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import structlog.testing
from cryptography import x509

from authproxy.errors import StartError
from authproxy.files.reload import DoesNotLoad
from authproxy.server.tls import SETTLES_WITHIN_S, LiveTls
from authproxy.server.tls_context import read_pair
from tests.support.certificates import Made, make, unverifying


class FakeClock:
    """A clock that is put forward."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead_s


class Live:
    """A pair in a folder, what serves of it, and what was logged."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "served"
        self.old = make(self.folder)
        self.new = make(folder / "new")
        self.clock = FakeClock()
        self.tls = LiveTls(read_pair(self.folder / "server.pem", self.folder / "server.key"), now=self.clock)
        self.logged: list[Any] = []
        self.faults: list[Exception] = []

    def look(self, *, later_s: float = 0.0) -> None:
        """What the server does once a second."""
        self.clock.ahead_s += later_s
        with structlog.testing.capture_logs() as logged:
            try:
                self.tls.refresh()
            except (DoesNotLoad, StartError) as fault:
                self.faults.append(fault)
        self.logged += logged


@pytest.fixture
def live(tmp_path: Path) -> Live:
    return Live(tmp_path)


def shown(context: ssl.SSLContext, client: ssl.SSLContext | None = None) -> int:
    """The serial number that a handshake in memory shows. Raises ssl.SSLError."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = context.wrap_bio(to_server, to_client, server_side=True)
    peer = (client or unverifying()).wrap_bio(to_client, to_server, server_hostname="localhost")
    for _ in range(10):
        for side in (peer, server):
            with suppress(ssl.SSLWantReadError):
                side.do_handshake()
    certificate = peer.getpeercert(binary_form=True)
    assert certificate is not None
    return x509.load_der_x509_certificate(certificate).serial_number


def test_a_new_pair_takes_the_place_of_the_old_one(live: Live) -> None:
    before = live.tls.expiries()
    live.new.install(live.folder)
    live.look()
    assert shown(live.tls.context) == live.new.serial
    assert live.tls.expiries().keys() == before.keys() == {(str(live.folder / "server.pem"),)}
    assert [entry["event"] for entry in live.logged] == ["certificate reloaded"]


def test_files_that_do_not_fit_are_no_fault_until_they_had_time_to_settle(live: Live) -> None:
    (live.folder / "server.key").write_bytes(live.new.key)
    live.look()
    live.look(later_s=SETTLES_WITHIN_S - 1)
    assert live.faults == []
    live.look(later_s=2)
    assert [type(fault) for fault in live.faults] == [DoesNotLoad]
    assert "does not match" in str(live.faults[0])
    (live.folder / "server.key").unlink()
    live.look()
    assert "cannot read" in str(live.faults[1])
    assert shown(live.tls.context) == live.old.serial


def test_the_next_moment_in_which_they_do_not_fit_is_no_fault_either(live: Live) -> None:
    (live.folder / "server.key").write_bytes(live.new.key)
    live.look()
    live.old.install(live.folder)
    live.look(later_s=SETTLES_WITHIN_S + 1)
    (live.folder / "server.key").write_bytes(live.new.key)
    live.look()
    assert (live.faults, live.logged) == ([], [])


def test_files_that_become_readable_again_serve_though_nothing_of_them_changed(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A chmod changes neither time, size nor inode. Root can read all, so a reader that fails stands for it."""

    def refuse(*files: Path) -> object:
        raise StartError(f"http.tls.key: cannot read {files[1]}: Permission denied")

    live.new.install(live.folder)
    with monkeypatch.context() as patched:
        patched.setattr("authproxy.server.tls.read_pair", refuse)
        live.look()
        live.look(later_s=SETTLES_WITHIN_S)
    assert len(live.faults) == 1
    live.look()
    assert shown(live.tls.context) == live.new.serial


def test_one_that_is_not_valid_yet_waits_and_then_serves_by_itself(live: Live, tmp_path: Path) -> None:
    future = make(tmp_path / "future", made_ago=dt.timedelta(days=-1))
    future.install(live.folder)
    live.look()
    assert shown(live.tls.context) == live.old.serial
    live.look(later_s=86400)
    assert shown(live.tls.context) == future.serial


def test_one_that_expires_while_it_serves_is_told_of_once(live: Live) -> None:
    live.look(later_s=86400 * 900)
    live.look()
    assert [entry["event"] for entry in live.logged] == ["the certificate has expired and clients refuse it; renew it"]
    assert shown(live.tls.context) == live.old.serial


def test_where_the_one_that_serves_has_expired_one_that_is_not_valid_yet_may_take_its_place(
    live: Live, tmp_path: Path
) -> None:
    """Neither is any good; the clock of the machine is the likely fault, and the new one is the one that is meant."""
    future = make(tmp_path / "future", made_ago=dt.timedelta(days=-2000))
    future.install(live.folder)
    live.look(later_s=86400 * 900)
    assert shown(live.tls.context) == future.serial


def test_neither_key_nor_certificate_shows(live: Live) -> None:
    pair = read_pair(live.folder / "server.pem", live.folder / "server.key")
    assert "PRIVATE" not in f"{pair!r} {live.tls!r}"


CBC = ["ECDHE-ECDSA-AES256-SHA384", "ECDHE-ECDSA-AES128-SHA256", "ECDHE-ECDSA-AES256-SHA"]
AEAD = ["ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305"]


@pytest.mark.parametrize("suite", CBC)
def test_suites_of_cbc_are_refused(live: Live, suite: str) -> None:
    with pytest.raises(ssl.SSLError, match=r"(?i)handshake failure|no shared cipher"):
        shown(live.tls.context, _only(suite))


@pytest.mark.parametrize("suite", AEAD)
def test_suites_of_authenticated_encryption_are_spoken(live: Live, suite: str) -> None:
    assert shown(live.tls.context, _only(suite)) == live.old.serial


def _only(suite: str) -> ssl.SSLContext:
    """A client of TLS 1.2 that knows one suite."""
    client = unverifying()
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    client.set_ciphers(f"{suite}:@SECLEVEL=0")
    return client


def test_a_start_refuses_one_that_has_expired(tmp_path: Path) -> None:
    made: Made = make(tmp_path, made_ago=dt.timedelta(days=1000))
    made.install(tmp_path)
    with pytest.raises(StartError, match="expired on"):
        LiveTls.open(tmp_path / "server.pem", tmp_path / "server.key")
