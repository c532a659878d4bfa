import datetime as dt
import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from typer.testing import CliRunner, Result

from authproxy.cli import key
from authproxy.errors import StartError
from authproxy.token import keyfiles
from authproxy.token.keyring import KeyRing, read_ring
from authproxy.token.rotation import rotate

CONFIG = """\
version: 0.1
storage: {filesystem: {rootdirectory: registry}}
token: {keys: ring, algorithm: RS384, lifetime: 1h}
policies: {path: policies}
"""
MOMENT = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of an embedded server that has been started once."""
    monkeypatch.chdir(tmp_path)
    KeyRing.open(Path("data/keys"))
    Path("data/htpasswd").touch()
    (tmp_path / "config.yml").write_text(CONFIG, encoding="utf-8")
    return tmp_path


def invoke(*arguments: str) -> Result:
    result = CliRunner().invoke(key.app, list(arguments))
    if isinstance(result.exception, StartError):
        raise result.exception
    assert result.exception is None or isinstance(result.exception, SystemExit), result.output
    return result


def rows(*options: str) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = json.loads(invoke("list", "--json", *options).stdout)
    return listed


def own_kid() -> str:
    return KeyRing.open(Path("data/keys")).signing().kid


def add_signing_key() -> str:
    """As `rotate` would have done it an hour ago."""
    now = dt.datetime.now(dt.UTC).timestamp()
    metadata = Path(f"data/keys/{own_kid()}.json")
    times = json.loads(metadata.read_text()) | {"created": "2020-01-01T00:00:00Z", "signs_from": "2020-01-01T00:00:00Z"}
    metadata.write_text(json.dumps(times))
    return rotate(Path("data/keys"), "ES256", now=now - 3600).kid


def seconds_from_now(moment: str) -> float:
    return (dt.datetime.fromisoformat(moment) - dt.datetime.now(dt.UTC)).total_seconds()


def test_the_list_says_what_each_key_does() -> None:
    old = own_kid()
    signing = add_signing_key()
    invoke("rotate")
    lines = invoke("list").stdout.splitlines()
    assert lines[:2] == [f"{old}  ES256  verifies", f"{signing}  ES256  signs"]
    assert re.fullmatch(rf"\S{{43}}  ES256  waits, signs from {MOMENT} on", lines[2])
    assert [row["state"] for row in rows()] == ["verifies", "signs", "waits"]


def test_a_key_that_goes_is_listed_with_its_end() -> None:
    old = own_kid()
    add_signing_key()
    invoke("retire", old)
    assert re.fullmatch(rf"\S{{43}}  ES256  verifies until {MOMENT}", invoke("list").stdout.splitlines()[0])
    invoke("retire", old, "--now")
    assert re.fullmatch(rf"\S{{43}}  ES256  retired since {MOMENT}", invoke("list").stdout.splitlines()[0])
    assert rows()[0]["state"] == "retired"


def test_the_json_names_both_names_of_a_key() -> None:
    (row,) = rows()
    assert set(row) == {"kid", "fingerprint", "alg", "state", "created", "signs_from", "retired"}
    assert re.fullmatch(r"([A-Z2-7]{4}:){11}[A-Z2-7]{4}", row["fingerprint"])


def test_rotate_says_from_when_on_the_new_key_signs() -> None:
    said = invoke("rotate").stdout
    found = re.fullmatch(rf"added (\S{{43}}) \(ES256\), which signs from ({MOMENT}) on\n", said)
    assert found is not None, said
    assert 305 < seconds_from_now(found[2]) < 315
    assert rows()[-1]["kid"] == found[1]


def test_rotate_now_waits_for_our_nodes_and_says_who_is_not_waited_for() -> None:
    result = invoke("rotate", "--now")
    assert "registries that read our key set (jwks) refuse its tokens" in result.stdout
    assert "those that hold a bundle refuse them until they have the new one" in result.stdout
    assert 2 < seconds_from_now(rows()[-1]["signs_from"]) < 15


@pytest.mark.parametrize("x5c", ["leaf", "chain"])
def test_rotate_now_says_that_a_registry_with_the_bundle_refuses_nothing(tmp_path: Path, x5c: str) -> None:
    config = tmp_path / "config.yml"
    KeyRing.open(tmp_path / "keys")
    config.write_text(
        f"version: 0.1\nstorage: inmemory\nhttp: {{addr: ':0'}}\n"
        f"token: {{service: s, keys: {tmp_path}/keys, x5c: {x5c}}}\n"
        f"identities: [{{htpasswd: {{path: {tmp_path}/htpasswd}}}}]\npolicies: {{path: {tmp_path}}}\n"
    )
    result = invoke("rotate", "--now", "--config", str(config))
    assert "registries that hold our bundle (rootcertbundle) refuse nothing" in result.stdout


def test_rotate_can_answer_in_json() -> None:
    added = json.loads(invoke("rotate", "--json").stdout)
    assert (added["state"], added["kid"]) == ("waits", rows()[-1]["kid"])


def test_retire_says_from_when_on_tokens_are_refused() -> None:
    old = own_kid()
    signing = add_signing_key()
    said = invoke("retire", old).stdout.splitlines()
    found = re.fullmatch(rf"{old} signs no more; tokens that it signed are refused from ({MOMENT}) on", said[0])
    assert found is not None, said
    assert 300 < seconds_from_now(found[1]) < 330, "the longest lifetime and a little"
    assert said[1:] == [f"{signing} signs"]


def test_retire_earlier_than_tokens_expire_says_so() -> None:
    old = own_kid()
    add_signing_key()
    said = invoke("retire", old, "--after", "1m").stdout
    assert "clients that hold one have to fetch another" in said


def test_retire_can_answer_in_json() -> None:
    old = own_kid()
    signing = add_signing_key()
    answer = json.loads(invoke("retire", old, "--after", "2h", "--json").stdout)
    assert (answer["kid"], answer["signing"]) == (old, signing)
    assert 7190 < seconds_from_now(answer["retired"]) < 7210


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ((), "is the only key that signs; add one first: authproxy key rotate"),
        (("--after", "soon"), '--after: "soon" is not a duration'),
        (("--after", "-5m"), "not in the future; for at once there is --now"),
        (("--after", "5m", "--now"), "exclude each other"),
    ],
)
def test_retire_refuses(options: tuple[str, ...], reason: str) -> None:
    with pytest.raises(StartError, match=reason):
        invoke("retire", own_kid(), *options)


def test_the_export_is_the_key_set() -> None:
    assert json.loads(invoke("export").stdout) == KeyRing.open(Path("data/keys")).jwks()


def lines_for(version: str, said: str) -> dict[str, Any]:
    """The section `auth.token` that is printed for a version."""
    block = said.partition(f"# CNCF Distribution {version}, config.yml\n")[2].partition("# ")[0]
    token: dict[str, Any] = yaml.safe_load(block)["auth"]["token"]
    return token


def test_the_handover_is_the_authority_and_the_lines_for_both_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGISTRY_TOKEN_X5C", "leaf")
    monkeypatch.setenv("REGISTRY_HTTP_HOST", "https://registry.example.org")
    said = invoke("export", "--for", "distribution").stdout
    assert Path("authproxy-bundle.pem").read_bytes() == Path("data/keys/ca.pem").read_bytes()
    both = {"realm": "https://registry.example.org/token", "service": "authproxy", "issuer": "authproxy"}
    assert lines_for("2.8", said) == both | {"rootcertbundle": "/etc/docker/registry/authproxy-bundle.pem"}
    assert lines_for("3.x", said) == both | {
        "rootcertbundle": "/etc/distribution/authproxy-bundle.pem",
        "signingalgorithms": ["ES256"],
    }
    assert "HOST is" not in said


def test_a_handover_with_eddsa_keys_says_that_2_8_takes_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGISTRY_TOKEN_X5C", "leaf")
    monkeypatch.setenv("REGISTRY_TOKEN_ALGORITHM", "EdDSA")
    said = invoke("export", "--for", "distribution", "--output", "bundle.pem").stdout
    assert "# CNCF Distribution 2.8, config.yml: no, it verifies no EdDSA" in said
    token = lines_for("3.x", said)
    assert (token["signingalgorithms"], token["rootcertbundle"]) == (["ES256", "EdDSA"], "/etc/distribution/bundle.pem")


@pytest.mark.parametrize(
    ("settings", "realm"),
    [
        ({}, "https://HOST/token"),
        ({"HTTP_PREFIX": "/below/"}, "https://HOST/below/token"),
        ({"HTTP_HOST": "https://r.example/below/"}, "https://r.example/below/token"),
        ({"HTTP_HOST": "https://r.example", "HTTP_PREFIX": "/below/"}, "https://r.example/below/token"),
        ({"HTTP_HOST": "https://r.example", "TOKEN_REALM": "https://auth.example/x"}, "https://auth.example/x"),
    ],
)
def test_the_realm_is_that_of_the_challenge(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], realm: str
) -> None:
    for name, value in {"TOKEN_X5C": "chain", **settings}.items():
        monkeypatch.setenv(f"REGISTRY_{name}", value)
    said = invoke("export", "--for", "distribution").stdout
    assert lines_for("3.x", said)["realm"] == realm
    assert ("HOST is what clients call authproxy" in said) is ("HOST" in realm)


@pytest.mark.parametrize(("kid", "served", "other"), [("libtrust", "2.8", "3.x"), ("rfc7638", "3.x", "2.8")])
def test_without_certificates_in_tokens_the_bundle_has_one_for_each_key(
    monkeypatch: pytest.MonkeyPatch, kid: str, served: str, other: str
) -> None:
    monkeypatch.setenv("REGISTRY_TOKEN_KID", kid)
    invoke("rotate")
    said = invoke("export", "--for", "distribution").stdout
    bundle = x509.load_pem_x509_certificates(Path("authproxy-bundle.pem").read_bytes())
    keys = read_ring(Path("data/keys"), time.time()).values()
    assert [certificate.public_key() for certificate in bundle] == [key.public for key in keys]
    assert "needs the new bundle and a restart" in said.splitlines()[0]
    assert lines_for(served, said)["rootcertbundle"].endswith("/authproxy-bundle.pem")
    assert f"# CNCF Distribution {other}, config.yml: no, it knows keys by another name" in said


def test_a_bundle_for_2_8_has_no_key_that_would_stop_its_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGISTRY_TOKEN_KID", "libtrust")
    rotate(Path("data/keys"), "EdDSA", now=time.time())
    invoke("export", "--for", "distribution")
    assert len(x509.load_pem_x509_certificates(Path("authproxy-bundle.pem").read_bytes())) == 1


def test_a_bundle_that_cannot_be_written_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGISTRY_TOKEN_X5C", "leaf")
    with pytest.raises(StartError, match=r"--output nowhere/bundle\.pem: cannot be written"):
        invoke("export", "--for", "distribution", "--output", "nowhere/bundle.pem")


def test_a_configuration_says_where_the_ring_is_and_what_new_keys_are() -> None:
    KeyRing.open(Path("ring"), algorithm="EdDSA")
    invoke("rotate", "--config", "config.yml")
    assert [row["alg"] for row in rows("--config", "config.yml")] == ["EdDSA", "RS384"]
    assert len(rows()) == 1


def test_variables_count_for_the_embedded_default_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGISTRY_TOKEN_ALGORITHM", "ES512")
    invoke("rotate")
    assert rows()[-1]["alg"] == "ES512"


def test_a_ring_that_is_not_there_is_not_made(folder: Path) -> None:
    with pytest.raises(StartError, match="there is no folder ring; the first start of the server makes it"):
        invoke("list", "--config", "config.yml")
    assert not (folder / "ring").exists()


def test_a_folder_without_a_server_says_where_to_go(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "elsewhere").mkdir()
    monkeypatch.chdir(folder / "elsewhere")
    with pytest.raises(StartError, match="go to the folder where the server runs"):
        invoke("rotate")


def test_a_configuration_without_tokens_has_no_keys(folder: Path) -> None:
    (folder / "config.yml").write_text("version: 0.1\nstorage: {inmemory: {}}\n", encoding="utf-8")
    with pytest.raises(StartError, match="there is no token section"):
        invoke("list", "--config", "config.yml")


def test_what_the_system_refuses_is_one_sentence(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(keyfiles, "read_private", refuse)
    with pytest.raises(StartError, match=r"cannot use the folder data/keys: Permission denied .* run this as"):
        invoke("list")
