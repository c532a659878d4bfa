from pathlib import Path
from typing import Any

import pytest

from authproxy.config.document.scalars import Address
from authproxy.config.load import load_values
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
