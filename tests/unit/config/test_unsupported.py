from collections.abc import Iterator
from operator import attrgetter

import pytest

from authproxy.config.deprecated import RENAMED
from authproxy.config.document.edit import from_values
from authproxy.config.document.schema import at
from authproxy.config.document.tree import Document, Place, Plain
from authproxy.config.settings import Settings
from authproxy.config.unsupported import GROUPS, UNSUPPORTED, UnsupportedKey, is_set_aside, set_aside

# CNCF Distribution 2.8 and 3.x, "Configuring a registry": every key of its list, `name{below,below}` for several.
DISTRIBUTION = """
version loglevel
log{accesslog.disabled,level,formatter,fields,hooks,reportcaller}
http{addr,net,prefix,host,secret,relativeurls,draintimeout,headers,http2.disabled,h2c.enabled}
http.debug{addr,prometheus.enabled,prometheus.path}
http.tls{certificate,key,clientcas,clientauth,minimumtls,ciphersuites}
http.tls.letsencrypt{cachefile,email,hosts,directoryurl}
storage.filesystem{rootdirectory,maxthreads}
storage.s3{accesskey,secretkey,region,regionendpoint,forcepathstyle,accelerate,bucket,encrypt,keyid,secure,skipverify}
storage.s3{v4auth,chunksize,multipartcopychunksize,multipartcopymaxconcurrency,multipartcopythresholdsize}
storage.s3{rootdirectory,storageclass,usedualstack,loglevel}
storage.gcs{bucket,keyfile,credentials,rootdirectory,chunksize}
storage.azure{accountname,accountkey,container,rootdirectory,credentials,max_retries,retry_delay}
storage{inmemory,swift,oss,delete.enabled,redirect.disable,tag.concurrencylimit}
storage.cache{blobdescriptor,blobdescriptorsize,layerinfo}
storage.maintenance{uploadpurging.enabled,uploadpurging.age,uploadpurging.interval,uploadpurging.dryrun}
storage.maintenance.readonly.enabled
auth.token{realm,service,issuer,rootcertbundle,jwks,signingalgorithms,autoredirect,autoredirectpath}
auth{htpasswd.realm,htpasswd.path,silly.realm,silly.service,none}
notifications{events.includereferences,endpoints}
redis{addr,addrs,password,db,dialtimeout,readtimeout,writetimeout,pool,poolsize,maxidleconns,connmaxidletime,tls}
health.storagedriver{enabled,interval,threshold}
health.file.0{file,interval}
health.http.0{uri,headers,statuscode,timeout,interval,threshold}
health.tcp.0{addr,timeout,interval,threshold}
proxy{remoteurl,username,password,exec.command,exec.lifetime,ttl,remotenamespace}
validation{enabled,disabled,manifests.urls.allow,manifests.urls.deny,manifests.indexes.platforms}
validation.manifests.indexes.platformlist.0{architecture,os}
catalog.maxentries tags.maxtags policy.repository.classes
middleware{registry,repository,storage} reporting{bugsnag,newrelic} compatibility.schema1
"""

_STOPS = """
storage.s3 storage.s3aws storage.gcs storage.azure storage.swift storage.oss http.tls.clientcas http.tls.clientauth
http.tls.minimumtls http.tls.ciphersuites http.tls.letsencrypt proxy
"""
STOPS = _STOPS.split()

ASKS_FOR_SOMETHING: dict[str, Plain] = {
    "http.tls.minimumtls": "tls1.3",
    "proxy": {"remoteurl": "https://registry.example"},
    "http.http2.disabled": "false",
    "http.h2c.enabled": "true",
    "storage.cache.blobdescriptor": "redis",
}

HARMLESS: list[tuple[str, Plain]] = [
    ("http.tls.minimumtls", "tls1.2"),
    ("http.tls.clientcas", []),
    ("http.tls.clientauth", None),
    ("http.http2.disabled", "yes"),
    ("http.h2c.enabled", "false"),
    ("proxy", None),
    ("proxy", {}),
    ("proxy", {"remoteurl": "", "username": "u"}),
    ("storage.redirect.disable", "true"),
    ("storage.redirect.disable", "false"),
    ("storage.cache.blobdescriptor", "inmemory"),
    ("storage.cache.blobdescriptorsize", "0"),
    ("storage.tag.concurrencylimit", "5"),
    ("log.hooks", []),
    ("notifications", {}),
]


def keys(text: str) -> Iterator[tuple[str | int, ...]]:
    for word in text.split():
        above, _, names = word.removesuffix("}").partition("{")
        for name in names.split(","):
            dotted = f"{above}.{name}" if name else above
            yield tuple(int(step) if step.isdigit() else step for step in dotted.split("."))


def document_with(key: str, value: Plain) -> Document:
    nested: Plain = value
    for step in reversed(key.split(".")):
        nested = {step: nested}
    return Document("config.yml", from_values(nested, Place("config.yml", 7)))


@pytest.mark.parametrize("path", list(keys(DISTRIBUTION)), ids=lambda path: ".".join(map(str, path)))
def test_every_key_of_distribution_is_a_setting_or_has_a_row_or_a_new_name(path: tuple[str | int, ...]) -> None:
    ways = (at(Settings, path) is not None, is_set_aside(path), path in dict(RENAMED))
    assert ways.count(True) == 1


@pytest.mark.parametrize("row", UNSUPPORTED, ids=attrgetter("key"))
def test_a_row_stops_the_start_or_is_named_with_what_holds_instead(row: UnsupportedKey) -> None:
    aside = set_aside(document_with(row.key, ASKS_FOR_SOMETHING.get(row.key, "something")))
    assert row.stops == (row.key in STOPS)
    if row.stops:
        assert [fault.sentence for fault in aside.faults] == [
            f"config.yml:7: {row.key}: not supported here: {row.here}"
        ]
        assert aside.ignored == []
    else:
        assert (aside.faults, aside.ignored) == ([], [f"{row.key} (config.yml:7): {row.here}"])
    assert aside.document.find(row.path) is None


@pytest.mark.parametrize("row", UNSUPPORTED, ids=attrgetter("key"))
def test_a_row_says_what_to_do(row: UnsupportedKey) -> None:
    assert any(mark in row.here for mark in ("; ", "or remove"))


@pytest.mark.parametrize(("key", "value"), HARMLESS, ids=[f"{key} {value}" for key, value in HARMLESS])
def test_a_value_that_asks_for_nothing_is_passed_over_in_silence(key: str, value: Plain) -> None:
    aside = set_aside(document_with(key, value))
    assert (aside.faults, aside.ignored) == ([], [])
    assert aside.document.find(tuple(key.split("."))) is None


@pytest.mark.parametrize("value", [None, {}, ""], ids=["null", "empty map", "empty text"])
def test_naming_a_driver_is_enough_to_stop(value: Plain) -> None:
    assert len(set_aside(document_with("storage.s3", value)).faults) == 1


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("http.h2c.enabled", "maybe"),
        ("http.http2.disabled", ["x"]),
        ("storage.redirect.disable", "sometimes"),
        ("storage.tag.concurrencylimit", "many"),
        ("storage.cache.blobdescriptorsize", {"x": "y"}),
    ],
)
def test_a_value_that_cannot_be_read_is_not_taken_for_harmless(key: str, value: Plain) -> None:
    assert len(set_aside(document_with(key, value)).ignored) == 1


def test_a_section_of_the_settings_stays_when_its_last_key_is_set_aside() -> None:
    # Else `http: {tls: {minimumtls: tls1.2}}` would be plain HTTP without a word.
    rest = set_aside(document_with("http.tls.minimumtls", "tls1.2")).document
    assert rest.to_plain() == {"http": {"tls": {}}}


@pytest.mark.parametrize("group", GROUPS, ids=".".join)
def test_an_empty_group_is_nothing_and_a_stranger_in_it_a_fault(group: tuple[str, ...]) -> None:
    key = ".".join(group)
    assert set_aside(document_with(key, None)).faults == []
    assert set_aside(document_with(key, {})).faults == []
    (fault,) = set_aside(document_with(f"{key}.stranger", "x")).faults
    assert fault.sentence.startswith(f"config.yml:7: {key}.stranger: unknown key")
    (fault,) = set_aside(document_with(key, "text")).faults
    assert "expected keys below it; allowed: " in fault.sentence
