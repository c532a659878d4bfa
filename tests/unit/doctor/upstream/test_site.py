from pathlib import Path

import pytest

from authproxy.config.load import load_values
from authproxy.doctor.upstream.site import Site, sites_of
from authproxy.errors import StartError


def sites(*upstreams: dict[str, object]) -> tuple[Site, ...]:
    values = {"version": "0.1", "auth": "none", "storage": {"inmemory": {}}, "upstreams": list(upstreams)}
    return sites_of(load_values(values, "config.yml", {}))


@pytest.mark.parametrize(
    ("match", "rename", "sample"),
    [
        ("**", {}, "authproxy-doctor/sample"),
        ("**", {"add": "mirror/"}, "mirror/authproxy-doctor/sample"),
        ("team/**", {}, "team/authproxy-doctor"),
        ("team/**", {"strip": "team/"}, "authproxy-doctor"),
        ("team/**", {"strip": "team/", "add": "mirror/"}, "mirror/authproxy-doctor"),
        ("a/b/**", {"strip": "a/"}, "b/authproxy-doctor"),
    ],
)
def test_the_sample_is_a_repository_that_would_be_asked_for_there(
    match: str, rename: dict[str, str], sample: str
) -> None:
    (site,) = sites({"match": match, "url": "http://registry", "rename": rename})
    assert site.sample == sample


def test_a_key_that_is_not_written_is_placed_in_its_file() -> None:
    (site,) = sites({"match": "**", "url": "https://registry", "ca": "ca.pem"})
    assert site.place("ca") == "config.yml: upstreams.0.ca"
    assert site.place("servername") == "config.yml: upstreams.0.servername"


def test_a_key_that_a_variable_sets_is_placed_there(tmp_path: Path) -> None:
    values = {"version": "0.1", "auth": "none"}
    variables = {"REGISTRY_UPSTREAM_URL": "http://registry"}
    (site,) = sites_of(load_values(values, "config.yml", variables))
    assert site.place("url") == "REGISTRY_UPSTREAM_URL: upstream.url"


def test_without_a_file_the_place_of_a_key_is_its_variable() -> None:
    loaded = load_values({"version": "0.1", "auth": "none"}, "embedded", {"REGISTRY_UPSTREAM_URL": "http://registry"})
    (site,) = sites_of(loaded, has_file=False)
    assert (site.place("ca"), site.host_key) == ("REGISTRY_UPSTREAM_CA", "REGISTRY_HTTP_HOST")


def test_no_upstream_is_an_error_that_says_what_to_write() -> None:
    with pytest.raises(StartError, match=r"config\.yml: there is no upstream to examine; write upstream: "):
        sites({"match": "**", "backend": "core"})
