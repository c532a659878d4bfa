"""The certificate of the embedded default: made, extended, renewed; another one in its place is left alone."""

import datetime as dt
import hashlib
import stat
from pathlib import Path

import pytest
from cryptography import x509

from authproxy import own_certificate
from authproxy.certificates import make_certificates, names_in
from authproxy.config.embedded import Layout
from authproxy.files.atomic import write_private
from authproxy.own_certificate import find_lacking, given_hosts, keep_certificate
from authproxy.server.tls_context import load_tls

NOW = dt.datetime.now(dt.UTC)
DAY = dt.timedelta(days=1)
MACHINE = ["localhost", "127.0.0.1", "::1", "box", "box.local", "192.0.2.7"]


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What this machine is called; a test may change it."""
    names = list(MACHINE)
    monkeypatch.setattr(own_certificate, "host_names", lambda: list(names))
    return names


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path)


@pytest.fixture
def old(layout: Layout) -> Layout:
    """A folder as version 0.1 left it: all keys in certs/, and no ca.crt."""
    make_certificates(layout.certs, ["localhost", "127.0.0.1", "::1", "box"], now=NOW)
    layout.authority_copy.unlink()
    return layout


def leaf(layout: Layout) -> x509.Certificate:
    return x509.load_pem_x509_certificate(layout.certificate.read_bytes())


def authority(layout: Layout) -> x509.Certificate:
    return x509.load_pem_x509_certificate(layout.authority.read_bytes())


def contents(layout: Layout) -> dict[str, str]:
    return {
        str(path.relative_to(layout.folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in layout.folder.rglob("*")
        if path.is_file()
    }


def check(layout: Layout) -> None:
    """It serves, our CA vouches for it, and keys are their owner's."""
    load_tls(layout.certificate, layout.key)
    leaf(layout).verify_directly_issued_by(authority(layout))
    assert layout.authority.read_bytes() == layout.authority_copy.read_bytes()
    assert sorted(path.name for path in layout.certs.iterdir()) == ["ca.crt", "ca.pem", "server.pem"]
    for key in (layout.authority_key, layout.own_key):
        assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_a_first_start_makes_all_with_the_keys_apart(layout: Layout) -> None:
    keep_certificate(layout, ["nas.lan", "192.0.2.9"], now=NOW)
    check(layout)
    assert names_in(leaf(layout)) == ["nas.lan", "192.0.2.9", *MACHINE]
    assert given_hosts(layout) == ["nas.lan", "192.0.2.9"]


def test_a_second_start_changes_nothing(layout: Layout) -> None:
    keep_certificate(layout, ["nas.lan"], now=NOW)
    before = contents(layout)
    for hosts in (["nas.lan"], [], ["localhost"]):
        keep_certificate(layout, hosts, now=NOW + DAY)
    assert contents(layout) == before


def test_a_new_name_is_added_by_the_same_ca_for_the_same_key(layout: Layout) -> None:
    keep_certificate(layout, ["nas.lan"], now=NOW)
    before = contents(layout)
    keep_certificate(layout, ["192.0.2.9"], now=NOW)
    check(layout)
    assert given_hosts(layout) == ["nas.lan", "192.0.2.9"], "the name of the earlier start stays"
    after = contents(layout)
    assert {name for name in after if after[name] != before.get(name)} == {"certs/server.pem"}


def test_an_address_that_the_machine_lost_goes_with_the_next_renewal(layout: Layout, machine: list[str]) -> None:
    keep_certificate(layout, ["nas.lan"], now=NOW)
    machine[-1] = "192.0.2.8"
    keep_certificate(layout, [], now=NOW)
    assert names_in(leaf(layout)) == ["nas.lan", *MACHINE[:-1], "192.0.2.8"]


@pytest.mark.parametrize(("days", "is_renewed"), [(500, False), (560, True), (900, True)])
def test_it_is_renewed_when_less_than_a_third_of_its_time_is_left(
    layout: Layout, days: int, *, is_renewed: bool
) -> None:
    keep_certificate(layout, ["nas.lan"], now=NOW - days * DAY)
    before = leaf(layout)
    keep_certificate(layout, [], now=NOW)
    check(layout)
    assert (leaf(layout).serial_number != before.serial_number) is is_renewed
    assert given_hosts(layout) == ["nas.lan"]


def test_the_ca_is_renewed_for_those_who_trust_the_old_one(layout: Layout) -> None:
    keep_certificate(layout, [], now=NOW - 2600 * DAY)
    trusted = authority(layout)
    keep_certificate(layout, [], now=NOW)
    check(layout)
    assert authority(layout).not_valid_after_utc > trusted.not_valid_after_utc
    leaf(layout).verify_directly_issued_by(trusted)


def test_keys_of_an_earlier_version_move(old: Layout) -> None:
    ca, server = (old.certs / "ca.key").read_bytes(), old.foreign_key.read_bytes()
    trusted = old.authority.read_bytes()
    keep_certificate(old, ["nas.lan"], now=NOW)
    check(old)
    assert (old.authority_key.read_bytes(), old.own_key.read_bytes()) == (ca, server)
    assert old.authority.read_bytes() == trusted


@pytest.mark.parametrize("broken_at", ["authority_key", "own_key"])
def test_a_crash_while_they_move_loses_none(
    old: Layout, broken_at: str, monkeypatch: pytest.MonkeyPatch, machine: list[str]
) -> None:
    machine[:] = ["localhost", "127.0.0.1", "::1", "box"]
    ca, server = (old.certs / "ca.key").read_bytes(), old.foreign_key.read_bytes()
    write = write_private

    def write_and_die(path: Path, content: bytes, *, mode: int = 0o600) -> None:
        write(path, content, mode=mode)
        if path == getattr(old, broken_at):
            raise KeyboardInterrupt

    monkeypatch.setattr(own_certificate, "write_private", write_and_die)
    with pytest.raises(KeyboardInterrupt):
        keep_certificate(old, [], now=NOW)
    load_tls(old.certificate, old.key)
    monkeypatch.undo()
    monkeypatch.setattr(own_certificate, "host_names", lambda: machine)
    keep_certificate(old, [], now=NOW)
    check(old)
    assert (old.authority_key.read_bytes(), old.own_key.read_bytes()) == (ca, server)


def test_another_certificate_in_the_place_of_ours_is_left_alone(old: Layout, tmp_path: Path) -> None:
    """As a renewal hook writes it: its key beside it."""
    make_certificates(tmp_path / "theirs", ["registry.example"], now=NOW)
    for name in ("server.pem", "server.key"):
        (old.certs / name).write_bytes((tmp_path / "theirs" / name).read_bytes())
    theirs = old.certificate.read_bytes(), old.foreign_key.read_bytes()
    keep_certificate(old, ["nas.lan"], now=NOW + 900 * DAY)
    assert (old.certificate.read_bytes(), old.foreign_key.read_bytes()) == theirs
    assert old.key == old.foreign_key
    assert old.authority_key.exists(), "the key of our CA belongs to no server, so it moves"
    assert find_lacking(old.certificate, ["nas.lan", "registry.example"]) == ["nas.lan"]
    assert given_hosts(old) == []


def test_a_key_by_a_link_stays_where_its_owner_keeps_it(old: Layout, tmp_path: Path) -> None:
    kept = tmp_path / "kept.key"
    old.foreign_key.rename(kept)
    old.foreign_key.symlink_to(kept)
    keep_certificate(old, [], now=NOW)
    assert old.foreign_key.is_symlink()
    assert old.key == old.foreign_key
    load_tls(old.certificate, old.key)


def test_without_the_key_of_the_ca_the_certificate_stays_and_what_it_lacks_is_known(layout: Layout) -> None:
    keep_certificate(layout, [], now=NOW)
    layout.authority_key.unlink()
    before = contents(layout)
    keep_certificate(layout, ["nas.lan"], now=NOW + 900 * DAY)
    assert contents(layout) == before
    assert find_lacking(layout.certificate, ["nas.lan", "localhost"]) == ["nas.lan"]


def test_a_removed_certificate_is_made_again_by_the_same_ca(layout: Layout) -> None:
    keep_certificate(layout, ["nas.lan"], now=NOW)
    trusted = layout.authority.read_bytes()
    layout.certificate.unlink()
    keep_certificate(layout, [], now=NOW)
    check(layout)
    assert layout.authority.read_bytes() == trusted
    assert given_hosts(layout) == []


def test_a_first_start_that_died_before_its_end_goes_on(old: Layout) -> None:
    old.certificate.unlink()
    keep_certificate(old, [], now=NOW)
    check(old)


def test_a_certificate_that_does_not_fit_its_key_is_made_again(layout: Layout, tmp_path: Path) -> None:
    keep_certificate(layout, [], now=NOW)
    make_certificates(tmp_path / "other", ["localhost"], now=NOW)
    layout.own_key.write_bytes((tmp_path / "other/server.key").read_bytes())
    keep_certificate(layout, [], now=NOW)
    check(layout)


def test_files_that_cannot_be_read_as_certificates_are_left_to_the_start(layout: Layout) -> None:
    keep_certificate(layout, [], now=NOW)
    layout.certificate.write_text("hello")
    keep_certificate(layout, ["nas.lan"], now=NOW)
    assert layout.certificate.read_text() == "hello"
    assert find_lacking(layout.certificate, ["nas.lan"]) == []


def test_a_wildcard_is_for_one_label(layout: Layout, tmp_path: Path) -> None:
    make_certificates(tmp_path / "theirs", ["*.lan"], now=NOW)
    lacking = find_lacking(tmp_path / "theirs/server.pem", ["nas.lan", "a.nas.lan", "lan"])
    assert lacking == ["a.nas.lan", "lan"]
    assert not layout.certs.exists()
