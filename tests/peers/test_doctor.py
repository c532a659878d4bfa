"""What `authproxy doctor` says of a registry's configuration is what that registry does: CNCF Distribution 2.8."""

import datetime as dt
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from typer.testing import CliRunner

from authproxy.access import pull
from authproxy.cli import app
from authproxy.config.load import load
from authproxy.principal import Principal
from authproxy.token.distribution_export import make_bundle
from authproxy.token.issuer import Issuer
from authproxy.token.jose_header import HeaderStyle
from authproxy.token.keyfiles import RingKey
from authproxy.token.keyring import KeyRing, read_ring
from tests.support.peers import running_docker_registry

TAKEN, REFUSED = 0, 1
DATE = dt.date(2026, 1, 1)  # YAML writes it without quotes
ELEVEN_YEARS_S = 11 * 366 * 86_400

Change = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Site:
    """Our token server's configuration, its ring, and the bundle that the registry is given."""

    folder: Path

    @property
    def config(self) -> Path:
        """Ours."""
        return self.folder / "config.yml"

    @property
    def peer(self) -> Path:
        """The registry's folder."""
        return self.folder / "peer"

    @property
    def bundle(self) -> Path:
        """The registry's `rootcertbundle`."""
        return self.folder / "bundle.pem"

    def write(self, token: Change) -> None:
        """Configure our token server."""
        storage = {"filesystem": {"rootdirectory": "registry"}}
        policies = {"path": str(self.folder / "policies")}
        content = {"version": "0.1", "storage": storage, "policies": policies}
        self.config.write_text(yaml.safe_dump(content | {"token": {"keys": str(self.folder / "keys")} | token}))

    def open_ring(self) -> tuple[KeyRing, HeaderStyle]:
        """As a start of the server does."""
        token = load(self.config, {}).settings.token
        assert token is not None
        style = HeaderStyle(token.kid, token.x5c)
        return KeyRing.open(token.keys, algorithm=token.algorithm, style=style), style

    def issue(self) -> str:
        """A token, as `/token` makes it."""
        ring, style = self.open_ring()
        token = load(self.config, {}).settings.token
        assert token is not None
        return Issuer(ring, token.issuer, token.service, 300, style=style).issue(Principal("alice"), [pull("a")]).token

    def keys(self) -> list[RingKey]:
        """Those of the ring, with their certificates."""
        return list(read_ring(self.folder / "keys", time.time()).values())


def authority(site: Site) -> bytes:
    return make_bundle(site.keys(), HeaderStyle(x5c="leaf"))


def certificate_of_the_key(site: Site) -> bytes:
    (leaf, *_) = site.keys()[0].certificates
    return x509.load_der_x509_certificate(leaf).public_bytes(Encoding.PEM)


def handed_over(site: Site) -> bytes:
    """What `authproxy key export` writes where tokens have no certificates; it makes those of the bundle itself."""
    site.open_ring()
    KeyRing.open(site.folder / "keys", style=HeaderStyle(x5c="leaf"))
    return make_bundle(site.keys(), HeaderStyle("libtrust"))


def somebody_elses(site: Site) -> bytes:
    other = Site(site.folder / "other")
    other.folder.mkdir()
    other.write({"x5c": "leaf"})
    other.open_ring()
    return authority(other)


def somebody_elses_certificate(site: Site) -> bytes:
    somebody_elses(site)
    return certificate_of_the_key(Site(site.folder / "other"))


def make_old(keys: Path) -> None:
    long_ago = time.time() - ELEVEN_YEARS_S
    KeyRing.open(keys, style=HeaderStyle(x5c="leaf"), now=lambda: long_ago)


def nothing(site: Site) -> bytes:
    return b"# certificates go here\n"


@dataclass(frozen=True, slots=True)
class Case:
    """A registry that is configured like this, and whether it takes our tokens.

    `section` changes what `key export` prints for it; None takes a key away.
    """

    what: str
    verdict: int
    token: Change
    bundle: Callable[[Site], bytes] = authority
    section: Change | None = None
    prepare: Callable[[Path], None] | None = None  # the folder of the ring, before the ring is made


CASES: Sequence[Case] = [
    Case("the authority, and tokens with the key's certificate", TAKEN, {"x5c": "leaf"}),
    Case("the authority, and tokens with the whole chain", TAKEN, {"x5c": "chain"}),
    Case("RS256", TAKEN, {"x5c": "leaf", "algorithm": "RS256"}),
    Case("RS512", TAKEN, {"x5c": "leaf", "algorithm": "RS512"}),
    Case("ES384", TAKEN, {"x5c": "leaf", "algorithm": "ES384"}),
    Case("EdDSA", REFUSED, {"x5c": "leaf", "algorithm": "EdDSA"}),
    Case("the key's own certificate instead of the authority", TAKEN, {"x5c": "leaf"}, certificate_of_the_key),
    Case("another authority", REFUSED, {"x5c": "leaf"}, somebody_elses),
    Case("another authority, and the whole chain", REFUSED, {"x5c": "chain"}, somebody_elses),
    Case("another certificate that is no authority", REFUSED, {"x5c": "leaf"}, somebody_elses_certificate),
    Case("an authority whose time is over", REFUSED, {"x5c": "leaf"}, prepare=make_old),
    Case("a name of libtrust's", TAKEN, {"kid": "libtrust"}, handed_over),
    Case("a name of RFC 7638", REFUSED, {"kid": "rfc7638"}, handed_over),
    Case("a name of libtrust's, another key", REFUSED, {"kid": "libtrust"}, somebody_elses_certificate),
    Case("a name of libtrust's, the authority alone", REFUSED, {"kid": "libtrust"}, somebody_elses),
    Case("another issuer", REFUSED, {"x5c": "leaf"}, section={"issuer": "Authproxy"}),
    Case("another service", REFUSED, {"x5c": "leaf"}, section={"service": "registry.example.org"}),
    Case("another realm", TAKEN, {"x5c": "leaf"}, section={"realm": "https://elsewhere/token"}),
    Case("a redirect", TAKEN, {"x5c": "leaf"}, section={"autoredirect": True}),
    Case("a service that is a number", REFUSED, {"x5c": "leaf"}, section={"service": 5000}),
    Case("a service of digits", TAKEN, {"x5c": "leaf", "service": "5000"}, section={"service": "5000"}),
    Case("an issuer that is a date", TAKEN, {"x5c": "leaf", "issuer": "2026-01-01"}, section={"issuer": DATE}),
    Case("an issuer that is a truth", REFUSED, {"x5c": "leaf", "issuer": "yes"}, section={"issuer": True}),
    Case("a redirect in quotes", REFUSED, {"x5c": "leaf"}, section={"autoredirect": "true"}),
    Case("algorithms, which 2.8 does not read", TAKEN, {"x5c": "leaf"}, section={"signingalgorithms": ["RS256"]}),
    Case("no issuer", REFUSED, {"x5c": "leaf"}, section={"issuer": None}),
    Case("no bundle", REFUSED, {"x5c": "leaf"}, section={"rootcertbundle": None}),
    Case("a key set alone", REFUSED, {}, nothing, section={"rootcertbundle": None, "jwks": "jwks.json"}),
    Case("a bundle of nothing", REFUSED, {"x5c": "leaf"}, nothing),
    Case(
        "a bundle with a key that 2.8 does not know",
        REFUSED,
        {"x5c": "leaf", "algorithm": "EdDSA"},
        lambda site: authority(site) + certificate_of_the_key(site),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=attrgetter("what"))
def test_the_doctor_says_what_the_registry_does(tmp_path: Path, case: Case) -> None:
    site = Site(tmp_path)
    if case.prepare:
        case.prepare(tmp_path / "keys")
    site.write(case.token)
    token = site.issue()
    site.bundle.write_bytes(case.bundle(site))
    section: Change = {"realm": "https://localhost/token", "service": "authproxy", "issuer": "authproxy"}
    section = section | {"rootcertbundle": str(site.bundle)} | (case.section or {})
    more = yaml.safe_dump({"auth": {"token": {key: value for key, value in section.items() if value is not None}}})
    assert does(site, more, token) == case.verdict
    assert says(site, "--version", "2.8") == case.verdict


def does(site: Site, more: str, token: str) -> int:
    """Whether a real registry takes the token, which the doctor asks too; one that does not start takes none."""
    try:
        with running_docker_registry(site.peer, more) as url:
            answer = httpx.get(f"{url}/v2/", headers={"Authorization": f"Bearer {token}"}, trust_env=False)
            asked = says(site, "--live", url)
    except AssertionError as error:
        assert "docker-registry ended with" in str(error)
        assert "token auth" in str(error) or "unable to get public key" in str(error), error
        return REFUSED
    assert answer.status_code in (200, 401)
    verdict = TAKEN if answer.status_code == 200 else REFUSED
    assert asked == verdict
    return verdict


def says(site: Site, *options: str) -> int:
    """The doctor's exit code."""
    arguments = ["doctor", "--registry", str(site.peer / "config.yml"), *options, str(site.config)]
    result = CliRunner().invoke(app, arguments)
    assert isinstance(result.exception, SystemExit | None), result.output
    return result.exit_code


def test_a_registry_that_serves_everybody_has_taken_no_token(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.write({"x5c": "leaf"})
    site.issue()
    with running_docker_registry(site.peer) as url:
        assert (says(site), says(site, "--live", url)) == (REFUSED, REFUSED)
