"""Sections of the configuration as rules of the core."""

from typing import Any

import pytest

from authproxy.config.load import load_values
from authproxy.oci.manifest import Platform
from authproxy.registry.options import ManifestRules, Rules
from authproxy.wiring.backend import core_rules


def rules(**sections: Any) -> Rules:
    base = {"version": "0.1", "storage": "inmemory", "auth": "none"}
    return core_rules(load_values(base | sections, "test", {}).settings)


def test_the_defaults_are_those_of_cncf_distribution() -> None:
    assert rules() == Rules(manifests=ManifestRules())


def test_every_key_is_a_rule() -> None:
    made = rules(
        storage={"inmemory": {}, "delete": {"enabled": "true"}, "maintenance": {"readonly": {"enabled": "true"}}},
        catalog={"maxentries": "2"},
        tags={"maxtags": "3"},
        policy={"repository": {"classes": ["image"]}},
        validation={
            "disabled": "true",
            "manifests": {"indexes": {"platforms": "list", "platformlist": [{"architecture": "amd64", "os": "linux"}]}},
        },
    )
    assert made == Rules(
        delete_enabled=True,
        read_only=True,
        max_catalog_entries=2,
        max_tags=3,
        manifests=ManifestRules(
            enabled=False,
            index_platforms="list",
            platform_list=(Platform("linux", "amd64"),),
            allowed_urls=None,
            classes=frozenset({"image"}),
        ),
    )


@pytest.mark.parametrize(
    ("urls", "allowed", "denied"),
    [
        ({}, None, []),
        ({"allow": ["a", "b"]}, ["a", "b"], []),
        ({"deny": ["c"]}, None, ["c"]),
        ({"allow": ["a"], "deny": ["c"]}, ["a"], ["c"]),
    ],
)
def test_addresses_are_allowed_unless_a_list_says_otherwise(
    urls: dict[str, list[str]], allowed: list[str] | None, denied: list[str]
) -> None:
    made = rules(validation={"manifests": {"urls": urls}}).manifests
    assert (made.allowed_urls is None) == (allowed is None)
    for patterns, texts in ((made.allowed_urls or (), allowed or []), (made.denied_urls, denied)):
        assert len(patterns) == len(texts)
        for pattern, text in zip(patterns, texts, strict=True):
            assert pattern.search(f"x{text}x")
            assert not pattern.search("x")


@pytest.mark.parametrize(
    ("validation", "enabled"),
    [
        ({}, True),
        ({"disabled": "true"}, False),
        ({"disabled": "true", "enabled": "true"}, True),
        ({"enabled": "false"}, True),
    ],
)
def test_the_old_key_outweighs_the_new_one_where_it_is_true(validation: dict[str, str], *, enabled: bool) -> None:
    assert rules(validation=validation).manifests.enabled == enabled
