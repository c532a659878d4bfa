from operator import attrgetter

import pytest

from authproxy.config.aside import GROUPS, set_aside
from authproxy.config.document import Document, Place, Plain
from authproxy.config.edit import from_values
from authproxy.config.later import LATER, Later
from authproxy.config.model import Settings
from authproxy.config.schema import at

# CNCF Distribution 2.8 and 3.x, "Configuring a registry": every key of its list, down to where the settings or a row
# of the table take over.
_DISTRIBUTION = """
version log.accesslog log.level log.formatter log.fields log.hooks log.reportcaller loglevel
storage.filesystem.rootdirectory storage.filesystem.maxthreads storage.s3 storage.gcs storage.azure storage.inmemory
storage.swift storage.oss storage.delete.enabled storage.redirect storage.cache storage.tag
storage.maintenance.uploadpurging storage.maintenance.readonly
auth.silly auth.token.realm auth.token.service auth.token.issuer auth.token.rootcertbundle auth.token.jwks
auth.token.signingalgorithms auth.token.autoredirect auth.token.autoredirectpath auth.htpasswd.realm auth.htpasswd.path
auth.none middleware reporting
http.addr http.prefix http.host http.net http.secret http.relativeurls http.draintimeout http.tls.certificate
http.tls.key http.tls.clientcas http.tls.clientauth http.tls.minimumtls http.tls.ciphersuites http.tls.letsencrypt
http.debug http.headers http.http2 http.h2c
notifications redis health proxy compatibility validation.enabled validation.disabled validation.manifests.urls
validation.manifests.indexes policy.repository.classes catalog tags
"""

_STOPS = """
storage.s3 storage.s3aws storage.gcs storage.azure storage.inmemory storage.swift storage.oss
storage.maintenance.readonly http.net http.prefix http.tls.clientcas http.tls.clientauth http.tls.minimumtls
http.tls.ciphersuites http.tls.letsencrypt auth.silly auth.token.autoredirect proxy policy.repository.classes
validation.manifests.urls
"""

DISTRIBUTION, STOPS = _DISTRIBUTION.split(), _STOPS.split()

ASKS_FOR_SOMETHING: dict[str, Plain] = {
    "storage.maintenance.readonly": {"enabled": "true"},
    "storage.maintenance.uploadpurging": {"enabled": "yes", "age": "168h"},
    "http.tls.minimumtls": "tls1.3",
    "auth.token.autoredirect": "on",
    "proxy": {"remoteurl": "https://registry.example"},
    "http.http2": {"disabled": "false"},
    "http.h2c": {"enabled": "true"},
    "log.accesslog": {"disabled": "true"},
    "log.reportcaller": "true",
    "storage.redirect": {"disable": "false"},
    "validation.enabled": "false",
    "validation.disabled": "true",
}

HARMLESS: list[tuple[str, Plain]] = [
    ("http.net", "tcp"),
    ("http.net", ""),
    ("http.prefix", "/"),
    ("http.tls.minimumtls", "tls1.2"),
    ("http.tls.clientcas", []),
    ("http.tls.clientauth", None),
    ("http.http2", {"disabled": "yes"}),
    ("http.h2c", {"enabled": "false"}),
    ("auth.token.autoredirect", "false"),
    ("proxy", None),
    ("proxy", {}),
    ("proxy", {"remoteurl": "", "username": "u"}),
    ("storage.maintenance.readonly", {"enabled": "Off"}),
    ("storage.redirect", {"disable": "true"}),
    ("log.formatter", "text"),
    ("log.fields", {}),
    ("validation.disabled", "false"),
]


def document_with(key: str, value: Plain) -> Document:
    nested: Plain = value
    for step in reversed(key.split(".")):
        nested = {step: nested}
    return Document("config.yml", from_values(nested, Place("config.yml", 7)))


@pytest.mark.parametrize("key", DISTRIBUTION)
def test_every_key_of_distribution_is_a_setting_or_has_a_row(key: str) -> None:
    rows = {row.key for row in LATER}
    assert (key in rows) != (at(Settings, tuple(key.split("."))) is not None)


@pytest.mark.parametrize("row", LATER, ids=attrgetter("key"))
def test_a_row_stops_the_start_or_is_named(row: Later) -> None:
    aside = set_aside(document_with(row.key, ASKS_FOR_SOMETHING.get(row.key, "something")))
    assert row.stops == (row.key in STOPS)
    if row.stops:
        assert [fault.sentence for fault in aside.faults] == [
            f"config.yml:7: {row.key}: not supported here: {row.here}"
        ]
        assert aside.passed_over == []
    else:
        assert (aside.faults, aside.passed_over) == ([], [f"{row.key} (config.yml:7)"])
    assert aside.document.find(row.path) is None


@pytest.mark.parametrize(("key", "value"), HARMLESS, ids=[f"{key} {value}" for key, value in HARMLESS])
def test_a_value_that_asks_for_nothing_is_passed_over_in_silence(key: str, value: Plain) -> None:
    aside = set_aside(document_with(key, value))
    assert (aside.faults, aside.passed_over) == ([], [])
    assert aside.document.find(tuple(key.split("."))) is None


@pytest.mark.parametrize("kind", ["storage.inmemory", "storage.s3", "auth.silly"])
@pytest.mark.parametrize("value", [None, {}, ""], ids=["null", "empty map", "empty text"])
def test_naming_a_kind_is_enough_to_stop(kind: str, value: Plain) -> None:
    assert len(set_aside(document_with(kind, value)).faults) == 1


@pytest.mark.parametrize(
    ("key", "value"), [("storage.maintenance.readonly", {"enabled": "maybe"}), ("auth.token.autoredirect", ["x"])]
)
def test_a_value_that_is_no_boolean_is_not_taken_for_harmless(key: str, value: Plain) -> None:
    assert len(set_aside(document_with(key, value)).faults) == 1


def test_a_section_of_the_settings_stays_when_its_last_key_is_set_aside() -> None:
    # Else `auth: {token: {autoredirect: false}}` would be an open registry.
    rest = set_aside(document_with("auth.token.autoredirect", "false")).document
    assert rest.to_plain() == {"auth": {"token": {}}}


@pytest.mark.parametrize("group", GROUPS, ids=".".join)
def test_an_empty_group_is_nothing_and_a_stranger_in_it_a_fault(group: tuple[str, ...]) -> None:
    key = ".".join(group)
    assert set_aside(document_with(key, None)).faults == []
    assert set_aside(document_with(key, {})).faults == []
    (fault,) = set_aside(document_with(f"{key}.stranger", "x")).faults
    assert fault.sentence.startswith(f"config.yml:7: {key}.stranger: unknown key")
    (fault,) = set_aside(document_with(key, "text")).faults
    assert "keys below it wanted here; allowed: " in fault.sentence
