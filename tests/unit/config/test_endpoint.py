"""What is read without the model is what the model says; and everyday configurations are read without it."""

import os
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from authproxy.config.document.schema import fields_of
from authproxy.config.embedded import Layout
from authproxy.config.endpoint import EVERY_ADDRESS, KEYS, Endpoint, read_endpoint
from authproxy.config.load import Loaded, load, load_values
from authproxy.config.sections.http import Http
from authproxy.config.unsupported import may_follow
from authproxy.errors import StartError
from tests.support.binaries import ROOT

BASE = "version: 0.1\nauth: none\nstorage: {inmemory: {}}\n"

WORDS = st.sampled_from(
    [
        *("tcp", "unix", "TCP", "", "null", "~", "yes", "x"),
        *(":5000", "localhost:5000", "127.0.0.1:80", "0.0.0.0:1", "'[::1]:5000'", '"[::]:5"', "5000", "5000:30", ":0"),
        *(":99999", "a b:1", "reg.example.org:443", "-a:1", "a_b:1", ":05", "1:2:3", ":5000 # why", "!!str :5000"),
        *("/run/a.sock", "a.sock", "/run/a b", "'/run/a'", "[a]", "{a: b}", "&x :1", "*y", "|\n    :5000\n"),
        *("/", "/a/", "/a/b/", "/a", "a/", "//", "/../", "/./", "/%41/", "/a.b/", '"/a/"', "'/a/\n    b/'"),
        *("cert.pem", "certs/key.pem", "/etc/cert.pem", '"\\u0061"', "0x1F", "1.0", "2026-01-01", "\u00e4.pem"),
    ]
)
TLS = st.one_of(
    st.fixed_dictionaries({}, optional=dict.fromkeys(("certificate", "key", "clientcas", "minimumtls"), WORDS)).map(
        lambda keys: "{" + ", ".join(f"{key}: {value}" for key, value in keys.items()) + "}"
    ),
    WORDS,
)
SECTIONS = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(("net", "addr", "prefix"), WORDS),
        "tls": TLS,
        "secret": st.just("s"),
        "workers": st.just("1"),
        "Addr": WORDS,
        "<<": st.sampled_from(["{addr: ':1'}", "x"]),
    },
)
NAMES = [
    *("", "_ADDR", "_NET", "_PREFIX", "_TLS", "_TLS_CERTIFICATE", "_TLS_KEY", "_ADDR_FILE", "_TLS_KEY_FILE", "_FILE"),
    *("_addr", "_Net", "_SECRET", "_ADDR_", "S_ADDR", "_TLS_CLIENTAUTH"),
]
VARIABLES = st.dictionaries(st.sampled_from([f"REGISTRY_HTTP{name}" for name in NAMES]), WORDS, max_size=4)


def as_text(keys: Mapping[str, str]) -> str:
    return BASE + "http:\n" + "".join(f"  {key}: {value}\n" for key, value in keys.items())


def shown(endpoint: Endpoint) -> tuple[object, ...]:
    return tuple(getattr(endpoint, name) for name in Endpoint.__slots__)


def by_the_model(loaded: Loaded) -> tuple[object, ...]:
    http = loaded.settings.http
    if isinstance(http.addr, Path):
        host, port, path = "", 0, str(http.addr)
    else:
        host, port, path = EVERY_ADDRESS.get(http.addr.host, http.addr.host), http.addr.port, ""
    found = {"has_tls": http.tls is not None, "host": host, "path": path, "port": port, "prefix": http.prefix}
    return tuple(found[name] for name in Endpoint.__slots__)


def check_same(text: str, environ: Mapping[str, str]) -> None:
    """What is read without the model is what the model says; where the model refuses, nothing is read."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "config.yml"
        file.write_text(text, encoding="utf-8")
        endpoint = read_endpoint(str(file), environ)
        if endpoint is not None:
            assert shown(endpoint) == by_the_model(load(file, environ))


@given(SECTIONS.map(as_text), VARIABLES)
@example(BASE + "http: {}\nhttp: {addr: ':1'}\n", {})
@example("auth: none\nhttp: {addr: ':1'}\n", {})
@example(BASE + "http: &a {addr: ':1'}\nx-b: *a\n", {})
@example(BASE + "http:\n  addr: :1\n...\n---\nhttp: {}\n", {})
@example(BASE.replace("0.1", "'0.1'") + "http: !!map {addr: :1}", {})
@example("kind: ConfigMap\ndata:\n  config.yml: |\n    version: 0.1\n    http: {addr: ':1'}\n", {})
@example("- 1", {})
@example("", {"REGISTRY_HTTP_ADDR": ":1"})
@example("\ufeff" + BASE, {})
@example("%YAML 1.1\n---\n" + BASE, {})
def test_it_says_what_the_model_says(text: str, environ: dict[str, str]) -> None:
    check_same(text, environ)


@given(VARIABLES)
def test_the_embedded_default_is_the_models(environ: dict[str, str]) -> None:
    endpoint = read_endpoint("", environ)
    if endpoint is not None:
        loaded = load_values(Layout(Path()).values(), "embedded default", environ)
        assert shown(endpoint) == by_the_model(loaded)


def test_the_keys_are_the_models() -> None:
    assert set(fields_of(Http)) | set(may_follow(("http",))) == KEYS


TLS_KEYS = "  tls: {certificate: /certs/server.pem, key: /certs/server.key}\n"


@pytest.mark.parametrize(
    ("text", "environ", "where"),
    [
        ("", {}, (False, "127.0.0.1", "", 5000, "/")),
        ("http:\n  addr: localhost:5000\n", {}, (False, "localhost", "", 5000, "/")),
        ("http:\n  addr: 0.0.0.0:443\n" + TLS_KEYS, {}, (True, "127.0.0.1", "", 443, "/")),
        ("http:\n  addr: :443\n  prefix: /registry/\n", {}, (False, "127.0.0.1", "", 443, "/registry/")),
        ("http: {net: unix, addr: /run/authproxy.sock}\n", {}, (False, "", "/run/authproxy.sock", 0, "/")),
        ("http: {addr: ':1'}\n", {"REGISTRY_HTTP_ADDR": ":2"}, (False, "127.0.0.1", "", 2, "/")),
    ],
)
def test_everyday_configurations_are_read_without_the_model(
    tmp_path: Path, text: str, environ: dict[str, str], where: tuple[object, ...]
) -> None:
    file = tmp_path / "config.yml"
    file.write_text(BASE + text)
    endpoint = read_endpoint(str(file), environ)
    assert endpoint is not None
    assert shown(endpoint) == where == by_the_model(load(file, environ))


@pytest.mark.parametrize("file", ["deploy/image/config.yml"])
def test_our_own_configurations_too(file: str) -> None:
    assert read_endpoint(str(ROOT / file), {}) is not None


def test_the_embedded_default_too() -> None:
    endpoint = read_endpoint("", {})
    assert endpoint is not None
    assert shown(endpoint) == (True, "localhost", "", 5000, "/")


def test_a_file_that_is_missing_or_no_text_is_left_to_the_model(tmp_path: Path) -> None:
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    os.mkfifo(tmp_path / "pipe")
    for file in (tmp_path / "gone", tmp_path, tmp_path / "bytes", tmp_path / "pipe"):
        assert read_endpoint(str(file), {}) is None


def test_a_fault_of_the_model_is_no_answer(tmp_path: Path) -> None:
    file = tmp_path / "config.yml"
    file.write_text(BASE + "http: {adr: ':1'}\n")
    assert read_endpoint(str(file), {}) is None
    with pytest.raises(StartError):
        load(file, {})
