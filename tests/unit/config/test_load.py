from pathlib import Path
from typing import Any

import pytest

from authproxy.config.document.scalars import Address
from authproxy.config.load import load, load_values
from authproxy.config.mode import Mode
from authproxy.errors import StartError


def values() -> dict[str, Any]:
    return {
        "version": "0.1",
        "http": {"addr": "localhost:5000", "workers": 2, "relativeurls": True, "trustedproxies": []},
        "storage": {"filesystem": {"rootdirectory": Path("data")}},
        "token": {"keys": "keys"},
        "identities": [{"users": {"path": "users.yaml"}}],
        "policies": {"path": "policies"},
    }


def test_values_of_a_program_are_settings_and_variables_apply_to_them() -> None:
    loaded = load_values(values(), "embedded default", {"REGISTRY_HTTP_ADDR": "127.0.0.1:0"})
    assert loaded.settings.mode is Mode.ISSUE
    assert loaded.settings.http.addr == Address("127.0.0.1", 0)
    assert (loaded.settings.http.workers, loaded.settings.http.relativeurls) == (2, True)
    assert loaded.warnings == ()
    assert loaded.origin == "embedded default"
    assert loaded.sources["http.addr"] == "REGISTRY_HTTP_ADDR"
    assert loaded.sources["http.workers"] == "embedded default"
    assert loaded.sources["identities.0.users.path"] == "embedded default"
    assert loaded.sources["token.lifetime"] == "default"


def test_a_fault_in_values_names_their_origin() -> None:
    with pytest.raises(StartError, match=r'^embedded default: htpp: unknown key \(did you mean "http"\?\)'):
        load_values(values() | {"htpp": {}}, "embedded default", {})


def test_an_upstream_by_variable_replaces_the_storage() -> None:
    settings = load_values(values(), "x", {"REGISTRY_UPSTREAM_URL": "http://127.0.0.1:5001"}).settings
    assert settings.upstream is not None
    assert (settings.upstream.url, settings.upstream.authorization) == ("http://127.0.0.1:5001", "strip")


def test_private_ranges_are_those_of_caddy() -> None:
    content = values() | {"http": {"trustedproxies": ["private_ranges", "203.0.113.1"]}}
    networks = load_values(content, "test", {}).settings.http.trustedproxies
    assert [str(network) for network in networks] == [
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "127.0.0.0/8",
        "fd00::/8",
        "::1/128",
        "203.0.113.1/32",
    ]


def test_networks_of_private_ranges_have_the_line_of_their_list(tmp_path: Path) -> None:
    file = tmp_path / "config.yml"
    file.write_text(
        "version: 0.1\nstorage: {inmemory: {}}\nhttp:\n  trustedproxies:\n    - private_ranges\n    - 203.0.113.1\n"
    )
    sources = load(file, {}).sources
    assert {source for key, source in sources.items() if key.startswith("http.trustedproxies")} == {f"{file}:4"}


@pytest.mark.parametrize(("key", "meant"), [("adress", "addr"), ("adr", "addr"), ("header", "headers")])
def test_a_mistyped_key_is_guessed_by_its_beginning(key: str, meant: str) -> None:
    with pytest.raises(StartError, match=f'unknown key \\(did you mean "{meant}"'):
        load_values(values() | {"http": {key: ":1"}}, "test", {})


def test_a_port_that_is_too_high_is_said_as_such() -> None:
    with pytest.raises(StartError, match="99999 is no port; allowed: 0 to 65535"):
        load_values(values() | {"http": {"addr": "localhost:99999"}}, "test", {})
