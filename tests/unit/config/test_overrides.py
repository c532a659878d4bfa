from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authproxy.config.document.schema import fields_of, section_of
from authproxy.config.document.tree import Document, DocumentError, KeyPath, parse_document
from authproxy.config.overrides import apply_overrides, key_path
from authproxy.config.settings import Settings

EMPTY = parse_document("{}", "config.yml")
MANY = parse_document("http: {headers: {X-Frame-Options: [a]}}\nidentities: [{users: {path: u}}]\n", "config.yml")

PATHS: list[tuple[str, Document, KeyPath | None]] = [
    ("HTTP_ADDR", EMPTY, ("http", "addr")),
    ("HTTP", EMPTY, ("http",)),
    ("HTTP_TLS_KEY", EMPTY, ("http", "tls", "key")),
    ("HTTP_HEADERS_X-Frame-Options", EMPTY, ("http", "headers", "x-frame-options")),
    ("HTTP_HEADERS_X-FRAME-OPTIONS", MANY, ("http", "headers", "X-Frame-Options")),
    ("HTTP_HEADERS_X-FRAME-OPTIONS_0", MANY, ("http", "headers", "X-Frame-Options", 0)),
    ("HTTP_HEADERS_X_Y", EMPTY, None),
    ("IDENTITIES_0_USERS_PATH", EMPTY, ("identities", 0, "users", "path")),
    ("IDENTITIES_1", MANY, ("identities", 1)),
    ("IDENTITIES_x", MANY, None),
    ("IDENTITIES_99999", MANY, None),
    ("STORAGE_S3_REGION", EMPTY, ("storage", "s3", "region")),
    ("STORAGE_MAINTENANCE_READONLY_ENABLED", EMPTY, ("storage", "maintenance", "readonly", "enabled")),
    ("STORAGE_MAINTENANCE_SOMETHING", EMPTY, None),
    ("NOTIFICATIONS_ENDPOINTS_0_NAME", EMPTY, ("notifications", "endpoints", "0", "name")),
    ("REDIS", EMPTY, ("redis",)),
    ("LOG_FIELDS_SERVICE", EMPTY, ("log", "fields", "service")),
    ("HTTP_ADDR_FURTHER", EMPTY, None),
    ("NOTHING", EMPTY, None),
    ("http_addr", EMPTY, None),
    ("HTTP_", EMPTY, None),
    ("", EMPTY, None),
]


@pytest.mark.parametrize(("name", "document", "path"), PATHS, ids=[name or "nothing" for name, _, _ in PATHS])
def test_a_name_stands_for_a_key_path(name: str, document: Document, path: KeyPath | None) -> None:
    assert key_path(name.split("_"), document) == path


def apply(text: str, **environ: str) -> object:
    return apply_overrides(parse_document(text, "config.yml"), environ)[0].to_plain()


def test_variables_are_applied_in_the_order_of_their_names() -> None:
    variables = {"REGISTRY_HTTP_ADDR": ":2", "REGISTRY_HTTP": "{addr: ':1', host: https://a}"}
    assert apply("{}", **variables) == {"http": {"addr": ":2", "host": "https://a"}}


def test_a_value_replaces_and_does_not_merge() -> None:
    text = "http: {addr: ':1', tls: {key: k}}\n"
    assert apply(text, REGISTRY_HTTP_TLS="{certificate: c}") == {"http": {"addr": ":1", "tls": {"certificate": "c"}}}


def test_a_key_keeps_its_neighbours() -> None:
    assert apply("http: {addr: ':1'}\nlog: {}\n", REGISTRY_HTTP_HOST="https://a") == {
        "http": {"addr": ":1", "host": "https://a"},
        "log": {},
    }


def test_a_kind_named_by_a_variable_drops_the_kind_of_the_file() -> None:
    text = "auth: {htpasswd: {realm: r, path: p}}\n"
    assert apply(text, REGISTRY_AUTH="token", REGISTRY_AUTH_TOKEN_REALM="x") == {"auth": {"token": {"realm": "x"}}}


def test_an_entry_of_a_list_is_replaced_or_appended() -> None:
    text = "identities: [{users: {path: u}}]\n"
    assert apply(text, REGISTRY_IDENTITIES_0="{htpasswd: {path: h}}", REGISTRY_IDENTITIES_1_USERS_PATH="v") == {
        "identities": [{"htpasswd": {"path": "h"}}, {"users": {"path": "v"}}]
    }


def test_a_place_is_the_variable_and_the_file_keeps_its_lines() -> None:
    document, _ = apply_overrides(
        parse_document("\nhttp:\n  host: https://a\n", "config.yml"), {"REGISTRY_HTTP_ADDR": ":1"}
    )
    assert str(document.place_of(("http", "addr"))) == "REGISTRY_HTTP_ADDR"
    assert str(document.place_of(("http", "host"))) == "config.yml:3"
    assert str(document.place_of(("http",))) == "config.yml:2"


def test_names_that_are_no_key_are_told() -> None:
    environ = {"REGISTRY_NOTHING": "1", "REGISTRY_CONFIGURATION_PATH": "/x", "PATH": "/bin", "REGISTRY_HTTP_ADDR": ":1"}
    assert apply_overrides(EMPTY, environ)[1] == ["REGISTRY_NOTHING"]


def test_a_value_that_is_not_yaml_is_not_repeated() -> None:
    with pytest.raises(DocumentError, match="REGISTRY_HTTP_SECRET: the value is not valid YAML") as caught:
        apply("{}", REGISTRY_HTTP_SECRET="*geheim")
    assert "geheim" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_a_file_has_the_place_of_its_variable_in_their_order(tmp_path: Path) -> None:
    (tmp_path / "addr").write_text(":2")
    variables = {"REGISTRY_HTTP_ADDR_FILE": str(tmp_path / "addr"), "REGISTRY_HTTP": "{addr: ':1', host: https://a}"}
    assert apply("{}", **variables) == {"http": {"addr": ":2", "host": "https://a"}}


@pytest.mark.parametrize(
    ("content", "value"),
    [("a", "a"), ("a\n", "a"), ("a\r\n", "a"), ("a\n\n", "a\n"), (" a: [b ", " a: [b "), ("null", "null")],
    ids=["no newline", "a newline", "Windows' newline", "the last newline alone", "no YAML", "no word of YAML"],
)
def test_a_file_is_taken_letter_for_letter(tmp_path: Path, content: str, value: str) -> None:
    (tmp_path / "secret").write_bytes(content.encode())
    assert apply("{}", REGISTRY_HTTP_SECRET_FILE=str(tmp_path / "secret")) == {"http": {"secret": value}}


def test_what_a_file_holds_is_in_no_error(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"geheim\xff")
    with pytest.raises(DocumentError, match=r"^REGISTRY_HTTP_SECRET_FILE: .*/secret:1: a byte that is not") as caught:
        apply("{}", REGISTRY_HTTP_SECRET_FILE=str(tmp_path / "secret"))
    assert caught.value.__suppress_context__


def scalar_paths(section: type, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Every key path of the settings that needs no index."""
    found: list[tuple[str, ...]] = []
    for key, field in fields_of(section).items():
        inner = section_of(field.annotation)
        found += [(*path, key), *(scalar_paths(inner, (*path, key)) if inner else [])]
    return found


@given(st.sampled_from(scalar_paths(Settings)), st.text("abcdefgh/-", min_size=1))
def test_every_key_of_the_settings_is_reached(path: tuple[str, ...], text: str) -> None:
    name = "REGISTRY_" + "_".join(path).upper()
    document, unknown = apply_overrides(EMPTY, {name: f'"{text}"'})
    node: object = document.to_plain()
    for key in path:
        assert isinstance(node, dict)
        node = node[key]
    assert (node, unknown) == ({text: None} if path in (("auth",), ("storage",)) else text, [])


@given(st.dictionaries(st.text("ABCHTPLOG_019", max_size=12).map("REGISTRY_".__add__), st.text(max_size=6), max_size=4))
def test_any_variables_give_a_document_or_our_error(environ: dict[str, str]) -> None:
    try:
        document, _ = apply_overrides(EMPTY, environ)
    except DocumentError:
        return
    assert document.name == EMPTY.name


def test_the_tree_before_is_left_as_it_was(tmp_path: Path) -> None:
    before = parse_document("http: {addr: ':1'}\n", str(tmp_path))
    apply_overrides(before, {"REGISTRY_HTTP_ADDR": ":2"})
    assert before.to_plain() == {"http": {"addr": ":1"}}
