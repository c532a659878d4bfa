from pathlib import Path

import pytest
from pydantic import ValidationError

from authproxy.config.document.messages import validate_document
from authproxy.config.document.tree import parse_document
from authproxy.config.mode import Mode
from authproxy.config.sections.auth import Auth, AuthHtpasswd
from authproxy.config.sections.http import Http
from authproxy.config.sections.identities import HtpasswdSource, Identity, UsersSource
from authproxy.config.sections.policies import Policies
from authproxy.config.sections.storage import Filesystem, Storage
from authproxy.config.sections.token import Token
from authproxy.config.sections.upstream import Upstream
from authproxy.config.settings import Settings

BASE = "version: 0.1\nstorage: {filesystem: {}}\n"
HTPASSWD = "auth: {htpasswd: {realm: r, path: first}}\n"
FOREIGN = "auth: {token: {realm: https://a/token, service: s, issuer: i, rootcertbundle: b}}\n"
OWN = "token: {keys: k}\npolicies: {path: p}\n"

MODES = {
    "nothing": ("", Mode.OPEN),
    "auth: none": ("auth: {none: {}}\n", Mode.OPEN),
    "htpasswd alone": (HTPASSWD, Mode.BASIC),
    "htpasswd with policies": (HTPASSWD + "policies: {path: p}\n", Mode.BASIC),
    "auth.token": (FOREIGN, Mode.VERIFY),
    "token": (OWN, Mode.ISSUE),
    "token and htpasswd": (OWN + HTPASSWD, Mode.ISSUE),
    "token before an upstream": (OWN + "upstream: {url: http://a}\n", Mode.ISSUE),
}


def settings(text: str) -> Settings:
    return validate_document(parse_document(text, "config.yml"), Settings)


@pytest.mark.parametrize(("text", "mode"), MODES.values(), ids=MODES)
def test_mode(text: str, mode: Mode) -> None:
    assert settings(BASE + text).mode is mode


def test_the_htpasswd_file_of_auth_is_asked_first() -> None:
    users = "identities: [{users: {path: second}}]\n"
    assert settings(BASE + HTPASSWD + users).sources == (
        Identity(htpasswd=HtpasswdSource(path=Path("first"))),
        Identity(users=UsersSource(path=Path("second"))),
    )
    assert settings(BASE + OWN + users).sources == (Identity(users=UsersSource(path=Path("second"))),)


def test_settings_are_built_by_programs_too() -> None:
    built = Settings(
        version="0.1",
        storage=Storage(filesystem=Filesystem(rootdirectory=Path("data"))),
        auth=Auth(htpasswd=AuthHtpasswd(realm="r", path=Path("p"))),
        token=None,
        upstream=None,
    )
    assert built.mode is Mode.BASIC
    issue = Settings(
        version="0.1",
        upstream=Upstream(url="http://a"),
        token=Token(keys=Path("k")),
        policies=Policies(path=Path("p")),
        http=Http(workers=2),
    )
    assert (issue.mode, issue.storage) == (Mode.ISSUE, None)


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        settings(BASE).http = Http()


def test_a_secret_is_in_no_representation() -> None:
    loaded = settings(BASE + "http: {secret: geheim}\n")
    assert "geheim" not in repr(loaded) + str(loaded) + loaded.model_dump_json()


@pytest.mark.parametrize("level", ["INFO", "Info", "info"])
def test_a_log_level_is_of_any_case_as_in_distribution(level: str) -> None:
    assert settings(f"{BASE}log: {{level: {level}}}\n").log.level == "info"


HEADERS = {"a space in the name": "{'a b': [x]}", "a line end in the value": '{X: ["a\\nSet-Cookie: b"]}'}


@pytest.mark.parametrize("headers", HEADERS.values(), ids=HEADERS)
def test_a_header_that_would_break_an_answer_is_refused(headers: str) -> None:
    with pytest.raises(Exception, match=r"config.yml:3: http.headers: .*header"):
        settings(f"{BASE}http: {{headers: {headers}}}\n")


STORAGES = {
    "a folder": ("storage: {filesystem: {rootdirectory: data}}\n", "filesystem", ["data"], True),
    "memory": ("storage: {inmemory: {}}\n", "inmemory", [], False),
    "a folder that no core uses": ("storage: {filesystem: {}}\nupstream: {url: http://a}\n", "filesystem", [], True),
}


@pytest.mark.parametrize(("text", "kind", "folders", "outlives"), STORAGES.values(), ids=STORAGES)
def test_the_storage_says_what_it_is(text: str, kind: str, folders: list[str], outlives: bool) -> None:  # noqa: FBT001
    loaded = settings("version: 0.1\n" + text)
    assert loaded.storage is not None
    assert (loaded.storage.kind, loaded.storage.outlives_the_process) == (kind, outlives)
    assert list(map(str, loaded.storage_folders.values())) == folders


def test_an_identity_is_of_one_kind_of_any_number() -> None:
    for kinds in ({}, {"htpasswd": HtpasswdSource(path=Path("a")), "users": UsersSource(path=Path("b"))}):
        with pytest.raises(ValidationError, match="each entry takes exactly one of: htpasswd, users"):
            Identity.model_validate(kinds)
