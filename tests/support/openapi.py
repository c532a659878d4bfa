"""One table of requests for every response that the OpenAPI document declares, and what checks the responses by it."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from authproxy.config.embedded import Layout
from authproxy.quickstart import prepare
from authproxy.token.revocations import revoke
from tests.support.cheap_users import add_cheap_users
from tests.support.people import BOB, OPERATOR

TOKEN, KEYS, CONFIGURATION = "/token", "/.well-known/jwks.json", "/.well-known/openid-configuration"
PATHS = (TOKEN, KEYS, CONFIGURATION)
UNDECLARED = ("PUT", "PATCH", "DELETE")

Login = tuple[str, str]
ADMIN: Login = (OPERATOR.name, OPERATOR.password)
REVOKED: Login = (BOB.name, BOB.password)
WRONG: Login = (OPERATOR.name, "wrong")
PASSWORD_FORM = {"grant_type": "password", "username": OPERATOR.name, "password": OPERATOR.password}


@dataclass(frozen=True, slots=True)
class Case:
    """A request, and which of the declared responses answers it: a status or "default"."""

    method: str
    path: str
    declared: str
    status: int
    query: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    login: Login | None = None
    form: Mapping[str, str] | None = None
    in_maintenance: bool = False

    @property
    def key(self) -> tuple[str, str, str]:
        """Where the document declares the response."""
        return self.path, self.method.lower(), self.declared


WISH = {
    "service": "authproxy",
    "scope": ["repository:admin/app:pull,push", "registry:catalog:*"],
    "account": OPERATOR.name,
    "client_id": "test",
    "offline_token": "true",
}
# A proxy that is trusted, and sends what no proxy sends.
BROKEN_PROXY = {"Forwarded": 'for="'}
CASES: Sequence[Case] = (
    *(
        case
        for method in ("GET", "HEAD")
        for case in (
            Case(method, TOKEN, "200", 200),
            Case(method, TOKEN, "200", 200, query=WISH, login=ADMIN),
            Case(method, TOKEN, "400", 400, query={"service": "another"}),
            Case(method, TOKEN, "400", 400, headers=BROKEN_PROXY),
            Case(method, TOKEN, "401", 401, login=WRONG),
            Case(method, TOKEN, "429", 429, login=REVOKED),
        )
    ),
    Case("POST", TOKEN, "200", 200, form=PASSWORD_FORM),
    Case("POST", TOKEN, "200", 200, form={**PASSWORD_FORM, "scope": "repository:a/b:pull", "access_type": "offline"}),
    Case("POST", TOKEN, "400", 400, form={"service": "authproxy", "client_id": "test"}),
    Case("POST", TOKEN, "400", 400, form={"grant_type": "implicit"}),
    Case("POST", TOKEN, "400", 400, headers=BROKEN_PROXY),
    Case("POST", TOKEN, "401", 401, form={**PASSWORD_FORM, "password": "wrong"}),
    Case("POST", TOKEN, "401", 401, form={"grant_type": "refresh_token", "refresh_token": "of nobody"}),
    Case("POST", TOKEN, "429", 429, form={**PASSWORD_FORM, "username": BOB.name, "password": BOB.password}),
    *(
        case
        for path in (KEYS, CONFIGURATION)
        for method in ("GET", "HEAD")
        for case in (
            Case(method, path, "200", 200),
            Case(method, path, "304", 304, headers={"If-None-Match": "*"}),
            Case(method, path, "default", 400, headers=BROKEN_PROXY),
        )
    ),
    *(Case("OPTIONS", path, "204", 204) for path in PATHS),
    *(
        Case(method, path, "default", 503, in_maintenance=True)
        for path in PATHS
        for method in ("GET", "HEAD", "OPTIONS", *(["POST"] if path == TOKEN else []))
    ),
)


def make_home(folder: Path) -> Layout:
    """What a server serves: an operator, and a user whose tokens are revoked."""
    add_cheap_users(folder, [REVOKED])
    layout = Layout(folder)
    prepare(layout, {}, now=dt.datetime.now(dt.UTC))
    revoke(layout.data / "state", BOB.name, dt.datetime.now(dt.UTC) + dt.timedelta(days=1))
    return layout


async def check_case(client: httpx.AsyncClient, document: Mapping[str, Any], case: Case) -> None:
    """Send the request and hold its response against what the document declares."""
    answer = await client.request(
        case.method,
        case.path,
        params=case.query,
        headers=dict(case.headers),
        auth=case.login,
        data=case.form,
    )
    assert answer.status_code == case.status, (case, answer.text)
    check_response(answer, document, case.key)


def check_response(answer: httpx.Response, document: Mapping[str, Any], key: tuple[str, str, str]) -> None:
    """Content type, headers and body are those of the declared response. Raises AssertionError, ValidationError."""
    path, method, declared = key
    response = document["paths"][path][method]["responses"][declared]
    needed = {name.lower() for name, header in response["headers"].items() if header.get("required")}
    assert needed <= set(answer.headers), (key, needed, answer.headers)
    assert "x-request-id" in answer.headers, key
    if "content" not in response:
        assert answer.content == b"", key
        return
    (media_type,) = response["content"]
    assert answer.headers["content-type"] == media_type, key
    schema = {**response["content"][media_type]["schema"], "components": document["components"]}
    Draft202012Validator(schema).validate(answer.json())


async def check_undeclared_methods(client: httpx.AsyncClient, document: Mapping[str, Any], path: str) -> None:
    """Methods that the document leaves out are refused, and the refusal names those that it has."""
    for method in UNDECLARED:
        answer = await client.request(method, path)
        assert answer.status_code == httpx.codes.METHOD_NOT_ALLOWED
        allowed = answer.headers["allow"].lower().split(", ")
        assert sorted(allowed) == sorted(document["paths"][path]), (method, path)
