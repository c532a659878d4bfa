"""Our own CA is trusted for this machine, and for no other host that a registry leads to."""

import datetime as dt
import os
import ssl
from pathlib import Path

import pytest

from authproxy.certificates import make_certificates
from authproxy.registry_client.trust import Trust, authority_files, find_own_authority, tls_context
from authproxy.server.tls_context import load_tls

NOW = dt.datetime.now(dt.UTC)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    make_certificates(tmp_path / "certs", ["localhost", "127.0.0.1", "other.example"], now=NOW)
    return tmp_path


def is_trusted(home: Path, context: ssl.SSLContext, name: str) -> bool:
    """A handshake in memory with the server of the folder, which is for every name here."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = load_tls(home / "certs/server.pem", home / "certs/server.key")
    ours = server.wrap_bio(to_server, to_client, server_side=True)
    try:
        theirs = context.wrap_bio(to_client, to_server, False, name)
        for _ in range(10):
            for side in (theirs, ours):
                try:
                    side.do_handshake()
                except ssl.SSLWantReadError:
                    continue
    except ssl.SSLCertVerificationError:
        return False
    return theirs.version() is not None


@pytest.mark.parametrize("registry", ["localhost:5000", "other.example"])
def test_it_is_for_this_machine_whatever_the_registry_is(home: Path, registry: str) -> None:
    context = tls_context(registry, Trust(own=find_own_authority(home), certificates=home / "none"))
    assert is_trusted(home, context, "localhost")
    assert is_trusted(home, context, "127.0.0.1")
    assert not is_trusted(home, context, "other.example")


def test_a_ca_that_is_named_is_for_every_host(home: Path) -> None:
    trust = Trust(home / "certs/ca.pem", own=find_own_authority(home), certificates=home / "none")
    assert is_trusted(home, tls_context("other.example", trust), "other.example")


def test_without_it_nothing_is_trusted_by_it(home: Path) -> None:
    assert not is_trusted(home, tls_context("localhost", Trust(certificates=home / "none")), "localhost")


def test_it_is_among_the_files_of_this_machine_alone(home: Path) -> None:
    trust = Trust(own=find_own_authority(home), certificates=home / "none")
    assert authority_files("localhost:5000", trust) == [home / "certs/ca.pem"]
    assert authority_files("other.example", trust) == []


def test_a_folder_without_one_has_none(tmp_path: Path) -> None:
    assert find_own_authority(tmp_path) is None
    (tmp_path / "certs/ca.pem").mkdir(parents=True)
    assert find_own_authority(tmp_path) is None


@pytest.mark.parametrize("mode", [0o666, 0o664])
def test_one_that_others_may_write_is_not_trusted(home: Path, mode: int) -> None:
    (home / "certs/ca.pem").chmod(mode)
    assert find_own_authority(home) is None


def test_one_of_another_account_is_not_trusted(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() == 0:  # root gives it away
        os.chown(home / "certs/ca.pem", 4711, 4711)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 4711)
    assert find_own_authority(home) is None


def test_in_our_image_the_servers_account_counts_too(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = os.geteuid() or 65532
    if os.geteuid() == 0:
        os.chown(home / "certs/ca.pem", owner, owner)
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    assert find_own_authority(home) is None
    monkeypatch.setenv("AUTHPROXY_RUN_AS", f"{owner}:{owner}")
    assert find_own_authority(home) == home / "certs/ca.pem"
