"""What each version of CNCF Distribution would say; 2.8 is tried for real in tests/peers/test_doctor.py."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest
import yaml

from authproxy.config.document.tree import DocumentError
from authproxy.doctor.finding import Finding, Level
from authproxy.doctor.tokens.examine import Ours, examine, overall, versions_of
from authproxy.doctor.tokens.registry import read_registry, read_variables
from authproxy.doctor.tokens.version import VERSIONS
from authproxy.token.distribution_export import make_bundle
from authproxy.token.jose_header import PLAIN, HeaderStyle
from authproxy.token.keyfiles import make_key
from authproxy.token.keyring import KeyRing, certified_ring, key_set, read_ring

LEAF = HeaderStyle(x5c="leaf")
LIBTRUST = HeaderStyle("libtrust")
TAKEN, REFUSED, UNSAID = Level.OK, Level.FAILED, Level.UNKNOWN


@dataclass
class Pair:
    """Our ring, and the folder of the registry's files."""

    folder: Path
    style: HeaderStyle
    algorithm: str = "ES256"

    def __post_init__(self) -> None:
        KeyRing.open(self.keys, algorithm=self.algorithm, style=self.style)

    @property
    def keys(self) -> Path:
        return self.folder / "keys"

    @property
    def ours(self) -> Ours:
        keys = read_ring(self.keys, time.time())
        return Ours("authproxy", "authproxy", "https://registry.example.org/token", self.style, keys)

    def write(self, **change: Any) -> Path:
        """The registry's configuration: a value of None takes a key away."""
        section = {
            "realm": "https://registry.example.org/token",
            "service": "authproxy",
            "issuer": "authproxy",
        } | change
        path = self.folder / "registry.yml"
        path.write_text(yaml.safe_dump({"auth": {"token": {key: value for key, value in section.items() if value}}}))
        return path

    def authority(self) -> str:
        """A bundle with our authority."""
        path = self.folder / "authority.pem"
        path.write_bytes(make_bundle(self._certified(), LEAF))
        return str(path)

    def key_certificates(self) -> str:
        """A bundle with a certificate for each key."""
        path = self.folder / "keys.pem"
        path.write_bytes(make_bundle(self._certified(), PLAIN))
        return str(path)

    def jwks(self) -> str:
        """What `authproxy key export` prints."""
        path = self.folder / "jwks.json"
        path.write_text(json.dumps(key_set(read_ring(self.keys, time.time()), time.time(), self.style)))
        return str(path)

    def _certified(self) -> Any:
        return certified_ring(self.keys, read_ring(self.keys, time.time()), time.time()).values()

    def verdicts(self, path: Path) -> dict[str, Level]:
        verdicts = examine(self.ours, read_registry(path, {}), VERSIONS, time.time())
        return {one.version: one.verdict for one in verdicts}

    def findings(self, path: Path, version: str = "3.1") -> tuple[Finding, ...]:
        verdicts = examine(self.ours, read_registry(path, {}), VERSIONS, time.time())
        return next(one.findings for one in verdicts if one.version == version)

    def wrong(self, path: Path, version: str = "3.1") -> list[str]:
        return [finding.check for finding in self.findings(path, version) if finding.level is Level.FAILED]


@dataclass(frozen=True, slots=True)
class Case:
    """How tokens name their key, what the registry has, and what 2.8, 3.0 and 3.1 say."""

    what: str
    style: HeaderStyle
    algorithm: str
    section: Callable[[Pair], dict[str, Any]]
    verdicts: Sequence[Level]


def bundle_of_authority(pair: Pair) -> dict[str, Any]:
    return {"rootcertbundle": pair.authority()}


def bundle_of_keys(pair: Pair) -> dict[str, Any]:
    return {"rootcertbundle": pair.key_certificates()}


def key_set_alone(pair: Pair) -> dict[str, Any]:
    return {"jwks": pair.jwks()}


def both(pair: Pair) -> dict[str, Any]:
    return bundle_of_authority(pair) | key_set_alone(pair)


def algorithms(*names: str) -> Callable[[Pair], dict[str, Any]]:
    return lambda pair: bundle_of_authority(pair) | {"signingalgorithms": list(names)}


CASES = [
    Case("certificates and the authority", LEAF, "ES256", bundle_of_authority, (TAKEN, TAKEN, TAKEN)),
    Case("certificates and the authority, EdDSA", LEAF, "EdDSA", bundle_of_authority, (REFUSED, TAKEN, TAKEN)),
    Case("certificates and a key set alone", LEAF, "ES256", key_set_alone, (REFUSED, REFUSED, REFUSED)),
    Case("certificates, the authority and a key set", LEAF, "ES256", both, (TAKEN, TAKEN, TAKEN)),
    Case("names and a key set alone", PLAIN, "ES256", key_set_alone, (REFUSED, TAKEN, TAKEN)),
    Case("names and a key set alone, EdDSA", PLAIN, "EdDSA", key_set_alone, (REFUSED, TAKEN, TAKEN)),
    Case("names of libtrust's and a key set", LIBTRUST, "ES256", key_set_alone, (REFUSED, TAKEN, TAKEN)),
    Case("names and a bundle of keys, RSA", PLAIN, "RS256", bundle_of_keys, (REFUSED, TAKEN, TAKEN)),
    Case("names and a bundle of keys, EC", PLAIN, "ES256", bundle_of_keys, (REFUSED, REFUSED, TAKEN)),
    Case("names and a bundle of keys, EdDSA", PLAIN, "EdDSA", bundle_of_keys, (REFUSED, REFUSED, REFUSED)),
    Case("names of libtrust's and a bundle of keys", LIBTRUST, "ES256", bundle_of_keys, (TAKEN, REFUSED, REFUSED)),
    Case("names and the authority alone", PLAIN, "RS256", bundle_of_authority, (REFUSED, REFUSED, REFUSED)),
    Case("another algorithm asked for", LEAF, "ES256", algorithms("RS256"), (TAKEN, REFUSED, REFUSED)),
    Case("an algorithm that is none", LEAF, "ES256", algorithms("ES256", "ES257"), (TAKEN, REFUSED, REFUSED)),
    Case("this algorithm among others", LEAF, "ES256", algorithms("RS256", "ES256"), (TAKEN, TAKEN, TAKEN)),
    Case("no key at all", PLAIN, "ES256", lambda _: {}, (REFUSED, REFUSED, REFUSED)),
]


@pytest.mark.parametrize("case", CASES, ids=attrgetter("what"))
def test_each_version_says_what_its_source_says(tmp_path: Path, case: Case) -> None:
    pair = Pair(tmp_path, case.style, case.algorithm)
    verdicts = pair.verdicts(pair.write(**case.section(pair)))
    assert tuple(verdicts[version.name] for version in VERSIONS) == tuple(case.verdicts)


@pytest.mark.parametrize(
    ("change", "check"),
    [
        ({"issuer": "somebody"}, "issuer"),
        ({"issuer": None}, "issuer"),
        ({"service": "registry"}, "service"),
        ({"realm": None}, "realm"),
    ],
    ids=repr,
)
def test_what_is_wrong_is_named_once_with_file_key_and_value(
    tmp_path: Path, change: dict[str, Any], check: str
) -> None:
    pair = Pair(tmp_path, LEAF)
    path = pair.write(rootcertbundle=pair.authority(), **change)
    assert pair.wrong(path) == [check]
    (finding,) = (finding for finding in pair.findings(path) if finding.level is Level.FAILED)
    assert finding.fix.startswith(f"{path}:")
    assert f"auth.token.{check}" in finding.fix


@pytest.mark.parametrize(
    ("auth", "words"),
    [
        (None, "serves everyone"),
        ("htpasswd", "auth.htpasswd"),
        ({"htpasswd": {"realm": "r", "path": "p"}, "token": {"realm": "r"}}, "htpasswd and token"),
    ],
    ids=repr,
)
def test_a_registry_that_asks_for_no_token(tmp_path: Path, auth: object, words: str) -> None:
    pair = Pair(tmp_path, LEAF)
    path = tmp_path / "registry.yml"
    path.write_text(yaml.safe_dump({"version": 0.1} | ({"auth": auth} if auth else {})))
    (finding,) = pair.findings(path)
    assert (finding.level, finding.check) == (Level.FAILED, "auth")
    assert words in finding.what


@pytest.mark.parametrize("key", ["rootcertbundle", "jwks"])
def test_a_file_that_is_elsewhere_leaves_it_open_until_a_copy_is_named(tmp_path: Path, key: str) -> None:
    pair = Pair(tmp_path, LEAF if key == "rootcertbundle" else PLAIN)
    path = pair.write(**{key: "/etc/docker/registry/somewhere"})
    assert pair.verdicts(path)["3.1"] is UNSAID
    registry = read_registry(path, {}, bundle=Path(pair.authority()), jwks=Path(pair.jwks()))
    assert overall(examine(pair.ours, registry, VERSIONS[1:], time.time())) is TAKEN


def test_a_key_set_behind_an_address_is_not_fetched(tmp_path: Path) -> None:
    pair = Pair(tmp_path, PLAIN)
    path = pair.write(jwks="https://registry.example.org/.well-known/jwks.json")
    assert pair.verdicts(path)["3.1"] is UNSAID


@pytest.mark.parametrize(
    ("key", "content"),
    [
        ("rootcertbundle", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
        ("jwks", "no JSON"),
        ("jwks", "{}"),
        ("jwks", '{"keys": ["a"]}'),
    ],
)
def test_a_file_of_something_else_stops_the_registry(tmp_path: Path, key: str, content: str) -> None:
    pair = Pair(tmp_path, PLAIN)
    (tmp_path / "file").write_text(content)
    assert pair.verdicts(pair.write(**{key: str(tmp_path / "file")}))["3.1"] is REFUSED


def test_another_key_under_our_keys_name(tmp_path: Path) -> None:
    pair, other = Pair(tmp_path, PLAIN), Pair(tmp_path / "other", PLAIN)
    (stranger,) = key_set(read_ring(other.keys, time.time()), time.time(), PLAIN)["keys"]
    (own,) = read_ring(pair.keys, time.time())
    (tmp_path / "forged.json").write_text(json.dumps({"keys": [stranger | {"kid": own}]}))
    assert pair.wrong(pair.write(jwks=str(tmp_path / "forged.json"))) == ["signature"]


def test_a_key_without_a_name_in_the_set_is_not_found(tmp_path: Path) -> None:
    pair = Pair(tmp_path, PLAIN)
    content = json.loads(Path(pair.jwks()).read_text())
    (tmp_path / "nameless.json").write_text(
        json.dumps({"keys": [{k: v for k, v in content["keys"][0].items() if k != "kid"}]})
    )
    assert pair.wrong(pair.write(jwks=str(tmp_path / "nameless.json"))) == ["key"]


def test_a_key_that_waits_and_is_not_known_there_is_told_before_it_signs(tmp_path: Path) -> None:
    pair = Pair(tmp_path, PLAIN)
    path = pair.write(jwks=pair.jwks())
    new = make_key(pair.keys, "ES256", created=time.time(), signs_from=time.time() + 300).kid
    assert pair.verdicts(path)["3.1"] is TAKEN
    (told,) = (finding for finding in pair.findings(path) if finding.check == "next key")
    assert new in told.what
    pair.jwks()
    assert "next key" not in [finding.check for finding in pair.findings(path)]


def test_tokens_that_want_a_certificate_which_is_not_there_yet(tmp_path: Path) -> None:
    pair = Pair(tmp_path, PLAIN)
    path = pair.write(rootcertbundle=pair.authority())
    for file in pair.keys.glob("*.crt"):
        file.unlink()
    pair.style = LEAF
    assert pair.wrong(path) == ["key"]


@pytest.mark.parametrize(
    ("change", "level"),
    [
        ({}, Level.OK),
        ({"realm": "https://elsewhere/token"}, Level.WARNING),
        ({"autoredirect": True}, Level.WARNING),
    ],
    ids=repr,
)
def test_where_clients_are_sent_is_told_and_decides_nothing(
    tmp_path: Path, change: dict[str, Any], level: Level
) -> None:
    pair = Pair(tmp_path, LEAF)
    path = pair.write(rootcertbundle=pair.authority(), **change)
    assert [finding.level for finding in pair.findings(path) if finding.check == "realm"] == [level]
    assert set(pair.verdicts(path).values()) == {TAKEN}


def test_who_wrote_a_key_of_3_has_no_2_8(tmp_path: Path) -> None:
    pair = Pair(tmp_path, PLAIN)
    names = [version.name for version in versions_of(read_registry(pair.write(jwks=pair.jwks()), {}))]
    assert names == ["3.0", "3.1"]
    names = [version.name for version in versions_of(read_registry(pair.write(rootcertbundle=pair.authority()), {}))]
    assert names == ["2.8", "3.0", "3.1"]


def test_the_registrys_variables_are_above_its_file(tmp_path: Path) -> None:
    pair = Pair(tmp_path, LEAF)
    path = pair.write(rootcertbundle=pair.authority(), issuer="somebody")
    (tmp_path / "env").write_text("# of the container\nPATH=/bin\nREGISTRY_AUTH_TOKEN_ISSUER=authproxy\n\nBARE\n")
    registry = read_registry(path, read_variables(tmp_path / "env"))
    assert registry.texts["issuer"] == "authproxy"
    assert overall(examine(pair.ours, registry, VERSIONS, time.time())) is TAKEN


def test_what_is_no_configuration_is_an_error_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "registry.yml").write_text("auth:\n\ttoken: {}\n")
    with pytest.raises(DocumentError, match=r"registry\.yml:2"):
        read_registry(tmp_path / "registry.yml", {})
