"""The OpenAPI document against the application: what it declares is what is served, and nothing is left out."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator, ValidationError  # type: ignore[import-untyped]

from authproxy import app as application
from authproxy.config.load import load_values
from authproxy.web.app import Paths, WebApplication
from authproxy.web.openapi import published
from tests.support.application import serving
from tests.support.binaries import ROOT
from tests.support.openapi import (
    CASES,
    PATHS,
    Case,
    check_case,
    check_response,
    check_undeclared_methods,
    make_home,
)

PUBLISHED = ROOT / "docs" / "reference" / "openapi.json"
DOCUMENT: dict[str, Any] = json.loads(published())


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, Any]:
    values = make_home(tmp_path).values()
    values["http"] = {
        "addr": "localhost:5000",
        "trustedproxies": ["127.0.0.1"],
        "maintenance": {"file": str(tmp_path / "maintenance")},
    }
    return values


async def test_every_declared_response_is_served(settings: dict[str, Any], tmp_path: Path) -> None:
    async with serving(settings) as client:
        for case in (case for case in CASES if not case.in_maintenance):
            await check_case(client, DOCUMENT, case)
        for path in PATHS:
            await check_undeclared_methods(client, DOCUMENT, path)
    (tmp_path / "maintenance").touch()
    async with serving(settings) as client:
        for case in (case for case in CASES if case.in_maintenance):
            await check_case(client, DOCUMENT, case)


def test_the_table_has_a_case_for_every_declared_response() -> None:
    declared = {
        (path, method, status)
        for path, operations in DOCUMENT["paths"].items()
        for method, operation in operations.items()
        for status in operation["responses"]
    }
    assert {case.key for case in CASES} == declared


def test_the_table_sends_every_declared_parameter() -> None:
    for path, operations in DOCUMENT["paths"].items():
        for method, operation in operations.items():
            sent = {
                name
                for case in CASES
                if case.key[:2] == (path, method)
                for name in (*case.query, *case.headers, *(case.form or ()))
            }
            assert {parameter["name"] for parameter in operation.get("parameters", ())} <= sent, (path, method)
    schemas = DOCUMENT["components"]["schemas"]
    forms = ("TokenForm", "PasswordGrant", "RefreshTokenGrant")
    fields = {name for form in forms for name in schemas[form]["properties"]}
    assert fields == {name for case in CASES for name in case.form or ()}


@pytest.mark.parametrize("grant", [case.form for case in CASES if case.form is not None and case.status == 200])
def test_a_form_that_is_answered_is_one_of_the_document(grant: dict[str, str]) -> None:
    schema = {"$ref": "#/components/schemas/TokenForm", "components": DOCUMENT["components"]}
    Draft202012Validator(schema).validate(grant)


def test_the_document_of_the_application_has_each_of_its_routes(settings: dict[str, Any]) -> None:
    web = _web_application(settings)
    routes = {getattr(route, "path", None) for route in web.routes}
    assert routes == set(web.openapi()["paths"]) == set(PATHS)
    assert web.openapi() == DOCUMENT


def test_the_published_document_is_that_of_the_application() -> None:
    assert PUBLISHED.read_text(encoding="utf-8") == published(), "python -m authproxy.web.openapi"


def test_a_server_that_issues_no_tokens_has_an_empty_document() -> None:
    assert WebApplication([]).openapi()["paths"] == {}


@pytest.mark.parametrize(
    "wrong",
    [
        httpx.Response(200, json={"keys": [{"kty": "oct", "k": "secret"}]}),
        httpx.Response(200, json={"keys": [], "more": 1}),
        httpx.Response(200, text="{}", headers={"Content-Type": "text/plain"}),
    ],
)
def test_a_response_that_the_document_does_not_declare_is_found(wrong: httpx.Response) -> None:
    wrong.headers.update({"Cache-Control": "public", "ETag": '"a"', "X-Request-Id": "r"})
    with pytest.raises((ValidationError, AssertionError)):
        check_response(wrong, DOCUMENT, ("/.well-known/jwks.json", "get", "200"))


async def test_the_short_way_answers_as_the_framework_does(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Statuses, headers and shape of the body: only what is made for each response differs."""
    cases = [case for case in CASES if not case.in_maintenance]
    async with serving(settings) as client:
        short = [await _ask(client, case) for case in cases]
        monkeypatch.setattr(Paths, "__call__", lambda self, scope, receive, send: self.web(scope, receive, send))
        assert [await _ask(client, case) for case in cases] == short


async def _ask(client: httpx.AsyncClient, case: Case) -> tuple[int, dict[str, str], Any]:
    answer = await client.request(
        case.method, case.path, params=case.query, headers=dict(case.headers), auth=case.login, data=case.form
    )
    headers = {name: value for name, value in answer.headers.items() if name not in ("x-request-id", "content-length")}
    body = answer.json() if answer.content else None
    return answer.status_code, headers, sorted(body) if isinstance(body, dict) else body


def _web_application(settings: dict[str, Any]) -> WebApplication:
    made: list[WebApplication] = []

    class Noted(WebApplication):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            made.append(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(application, "WebApplication", Noted)
        application.create(load_values(settings, "test", {}).settings, b"s" * 32)
    return made[0]
