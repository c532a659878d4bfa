import datetime as dt

import pytest
import trustme

from authproxy.doctor.finding import Finding, Level
from authproxy.doctor.machine.certificate import check_certificate
from tests.support.machine import Machine, amiss


def days(number: float) -> dt.datetime:
    return dt.datetime.now(dt.UTC) + dt.timedelta(days=number)


def found(machine: Machine, check: str, **options: object) -> Finding:
    """The finding about one thing."""
    findings = [one for one in check_certificate(machine.installation(**options)) if one.check == check]
    assert findings, check
    return findings[0]


def test_one_that_is_right_is_told_in_full(machine: Machine) -> None:
    findings = {one.check: one for one in check_certificate(machine.installation())}
    assert {check: one.level for check, one in findings.items()} == dict.fromkeys(
        ("certificate", "names", "docker"), Level.OK
    )
    assert "fits its key, and is valid until" in findings["certificate"].what
    assert "docker trusts every certificate on localhost" in findings["docker"].what


def test_one_that_has_ended_keeps_the_server_from_starting(machine: Machine) -> None:
    machine.certify("localhost", not_after=days(-1))
    finding = found(machine, "certificate")
    assert (finding.level, "expired on" in finding.what) == (Level.FAILED, True)
    assert finding.fix.startswith("renew it")


def test_one_that_ends_soon_is_a_note(machine: Machine) -> None:
    machine.certify("localhost", not_after=days(5))
    assert (found(machine, "certificate").level, found(machine, "names").level) == (Level.WARNING, Level.OK)


def test_one_that_is_not_good_yet_is_wrong(machine: Machine) -> None:
    machine.certify("localhost", not_before=days(2))
    finding = found(machine, "certificate")
    assert (finding.level, finding.fix) == (Level.FAILED, "check the clock, or wait")


def test_the_key_of_another_certificate_is_wrong(machine: Machine) -> None:
    key = trustme.CA().issue_cert("localhost").private_key_pem.bytes()
    (machine.folder / "server.key").write_bytes(key)
    finding = found(machine, "certificate")
    assert finding.what == "server.key is not the key of the certificate in server.pem"
    assert finding.fix == "config.yml:7: http.tls.key: the key that it was made with"


def test_a_certificate_behind_its_authority_is_wrong(machine: Machine) -> None:
    own = (machine.folder / "server.pem").read_bytes()
    (machine.folder / "server.pem").write_bytes(machine.authority.cert_pem.bytes() + own)
    finding = found(machine, "certificate")
    assert finding.what == "the certificate of server.key is number 2 in server.pem, and has to be first"


def test_a_chain_in_order_is_right_and_any_other_is_not(machine: Machine) -> None:
    between = machine.authority.create_child_ca()
    machine.authority, root = between, machine.authority
    machine.certify("localhost")
    assert b"BEGIN CERTIFICATE" in (machine.folder / "server.pem").read_bytes()
    own = between.issue_cert("localhost")
    chain = [blob.bytes() for blob in own.cert_chain_pems]
    assert len(chain) == 2
    (machine.folder / "server.key").write_bytes(own.private_key_pem.bytes())
    (machine.folder / "server.pem").write_bytes(b"".join(chain))
    assert "chain" not in amiss(check_certificate(machine.installation()))
    (machine.folder / "server.pem").write_bytes(chain[0] + root.cert_pem.bytes() + chain[1])
    finding = found(machine, "chain")
    assert finding.level is Level.FAILED
    assert finding.what.startswith("certificate 2 in server.pem, ")


@pytest.mark.parametrize(
    "broken", ["", "no certificate", "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n"]
)
def test_what_is_no_certificate_is_wrong(machine: Machine, broken: str) -> None:
    machine.write("server.pem", broken)
    finding = found(machine, "certificate")
    assert finding.level is Level.FAILED
    assert finding.fix


def test_every_name_that_clients_use_is_asked(machine: Machine) -> None:
    machine.certify("localhost", "registry.example.org", "192.0.2.1")
    names = ("registry.example.org", "192.0.2.1:5000", "other.example.org:443", "[::1]:5000")
    findings = [one for one in check_certificate(machine.installation(names=names)) if one.check == "names"]
    assert [one.level for one in findings] == [Level.OK, Level.OK, Level.FAILED, Level.FAILED]
    assert "server.pem is for localhost, registry.example.org, 192.0.2.1, and not for other.example.org" in (
        findings[2].what
    )
    assert findings[2].fix == "get one that is also for other.example.org"


def test_where_no_name_is_known_those_of_the_certificate_are_told(machine: Machine) -> None:
    machine.configure((f"  host: https://localhost:{machine.port}\n", ""), ("127.0.0.1:", ":"))
    finding = found(machine, "names")
    assert (finding.level, "is for localhost; which names" in finding.what) == (Level.WARNING, True)


def test_docker_of_this_machine_is_told_how_it_trusts(machine: Machine) -> None:
    machine.certify("registry.example.org")
    host = "registry.example.org:5000"
    untrusted = found(machine, "docker", names=(host,))
    assert untrusted.level is Level.WARNING
    folder = machine.folder / "certs.d" / host
    assert untrusted.fix.startswith(f"mkdir -p {folder} && cp THE-CA.pem {folder}/ca.crt")
    folder.mkdir(parents=True)
    trustme.CA().cert_pem.write_to_path(folder / "ca.crt")
    other = found(machine, "docker", names=(host,))
    assert (other.level, "did not issue the certificate" in other.what) == (Level.FAILED, True)
    machine.authority.cert_pem.write_to_path(folder / "ca.crt")
    trusted = found(machine, "docker", names=(host,))
    assert (trusted.level, trusted.what) == (Level.OK, f"docker on this machine trusts it for {host}, by {folder}")
    (folder / "ca.crt").write_text("none")
    assert found(machine, "docker", names=(host,)).level is Level.FAILED


TLS = "  tls:\n    certificate: server.pem\n    key: server.key\n"


@pytest.mark.parametrize(("scheme", "level"), [("https", Level.OK), ("http", Level.WARNING)])
def test_without_tls_it_is_asked_who_ends_it(machine: Machine, scheme: str, level: Level) -> None:
    machine.configure((TLS, ""), ("https://localhost", f"{scheme}://localhost"))
    assert [one.level for one in check_certificate(machine.installation())] == [level]
