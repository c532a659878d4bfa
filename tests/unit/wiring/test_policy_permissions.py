"""Rules about tags, new repositories and lists in the whole application: what a user is told, with which status."""

import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from authproxy.identity.accounts import add_user
from authproxy.oci.media_types import OCI_IMAGE
from tests.support.application import serving
from tests.support.registry import code_of, image, sha256

RULES = """\
version: 1
rules:
  - {name: lists, allow: [catalog], to: {signed-in: true}}
  - {name: own, allow: ["*"], to: {signed-in: true}, on: {repositories: ["{user}/**", "team/**"]}}
  - name: releases stay
    description: A release stays what it is; push the next one.
    deny: [overwrite, delete]
    to: {everyone: true}
    on: {repositories: ["**"], tags: ["v*"]}
  - name: new repositories
    description: Ask the maintainers for a new repository.
    deny: [create]
    to: {users: [alice]}
    on: {repositories: ["team/**"]}
  - name: secrets of the team
    deny: [pull, push]
    to: {groups: [guests]}
    on: {repositories: ["team/**"], tags: [internal]}
"""

PASSWORD = "wonderland"
CONFIG = b"{}"
FIRST, SECOND = image(CONFIG), image(CONFIG, annotations={"second": "yes"})


class TokenAuth(httpx.Auth):
    """Does as docker does: asks for the token that a challenge names, with the password."""

    def __init__(self, user: str) -> None:
        self.user = user

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        challenged = yield request
        if challenged.status_code != 401:
            return
        fields = dict(re.findall(r'(\w+)="([^"]*)"', challenged.headers["www-authenticate"]))
        basic = httpx.BasicAuth(self.user, PASSWORD)
        query = {"service": fields["service"]} | ({"scope": fields["scope"]} if "scope" in fields else {})
        asked = httpx.Request("GET", request.url.copy_with(path="/token", params=query))
        answered = yield next(basic.auth_flow(asked))
        await answered.aread()
        request.headers["Authorization"] = f"Bearer {answered.json()['token']}"
        yield request


@pytest.fixture(params=["tokens", "passwords"])
def proves(request: pytest.FixtureRequest) -> Callable[[str], httpx.Auth]:
    """How a user proves who they are."""
    return TokenAuth if request.param == "tokens" else lambda user: httpx.BasicAuth(user, PASSWORD)


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    users = tmp_path / "users.yaml"
    for name, groups in (("alice", ["guests"]), ("bob", [])):
        add_user(tmp_path / "htpasswd", users, name, PASSWORD, groups, cost=4)
    (tmp_path / "rules.yaml").write_text(RULES, encoding="utf-8")
    values: dict[str, Any] = {
        "version": "0.1",
        "storage": {"inmemory": {}, "delete": {"enabled": "true"}},
        "token": {"keys": str(tmp_path / "keys")},
        "identities": [{"htpasswd": {"path": str(tmp_path / "htpasswd")}}, {"users": {"path": str(users)}}],
        "policies": {"path": str(tmp_path / "rules.yaml")},
    }
    async with serving(values) as made:
        yield made


async def put(client: httpx.AsyncClient, path: str, content: bytes, auth: httpx.Auth) -> httpx.Response:
    return await client.put(f"/v2/{path}", content=content, headers={"Content-Type": OCI_IMAGE}, auth=auth)


async def begin(client: httpx.AsyncClient, repository: str, auth: httpx.Auth) -> httpx.Response:
    """Push the configuration of an image in one request."""
    query = {"digest": sha256(CONFIG)}
    return await client.post(f"/v2/{repository}/blobs/uploads/", params=query, content=CONFIG, auth=auth)


def message(answer: httpx.Response) -> str:
    return str(answer.json()["errors"][0]["message"])


async def test_a_release_stays(client: httpx.AsyncClient, proves: Callable[[str], httpx.Auth]) -> None:
    bob = proves("bob")
    assert (await begin(client, "bob/app", bob)).status_code == 201
    assert (await put(client, "bob/app/manifests/v1", FIRST, bob)).status_code == 201
    assert (await put(client, "bob/app/manifests/v1", FIRST, bob)).status_code == 201
    moved = await put(client, "bob/app/manifests/v1", SECOND, bob)
    assert (moved.status_code, code_of(moved), moved.headers.get("www-authenticate")) == (403, "DENIED", None)
    assert message(moved) == "bob may not overwrite bob/app:v1: A release stays what it is; push the next one."
    for reference in ("v1", sha256(FIRST)):
        deleted = await client.delete(f"/v2/bob/app/manifests/{reference}", auth=bob)
        assert (deleted.status_code, message(deleted)) == (
            403,
            "bob may not delete bob/app:v1: A release stays what it is; push the next one.",
        )
    assert (await put(client, "bob/app/manifests/latest", FIRST, bob)).status_code == 201
    assert (await put(client, "bob/app/manifests/latest", SECOND, bob)).status_code == 201
    assert (await client.delete("/v2/bob/app/manifests/latest", auth=bob)).status_code == 202


async def test_a_repository_is_made_by_whom_no_rule_denies_it(
    client: httpx.AsyncClient, proves: Callable[[str], httpx.Auth]
) -> None:
    alice, bob = proves("alice"), proves("bob")
    denied = await begin(client, "team/app", alice)
    assert (denied.status_code, message(denied)) == (
        403,
        "alice may not create team/app: Ask the maintainers for a new repository.",
    )
    assert (await begin(client, "team/app", bob)).status_code == 201
    assert (await begin(client, "team/app", alice)).status_code == 201
    assert (await begin(client, "alice/app", alice)).status_code == 201


async def test_lists_name_what_the_caller_may_pull(
    client: httpx.AsyncClient, proves: Callable[[str], httpx.Auth]
) -> None:
    alice, bob = proves("alice"), proves("bob")
    for repository in ("bob/app", "team/app"):
        assert (await begin(client, repository, bob)).status_code == 201
        for tag in ("internal", "v1"):
            assert (await put(client, f"{repository}/manifests/{tag}", FIRST, bob)).status_code == 201
    assert (await client.get("/v2/_catalog", auth=bob)).json() == {"repositories": ["bob/app", "team/app"]}
    assert (await client.get("/v2/_catalog", auth=alice)).json() == {"repositories": ["team/app"]}
    assert (await client.get("/v2/team/app/tags/list", auth=bob)).json()["tags"] == ["internal", "v1"]
    assert (await client.get("/v2/team/app/tags/list", auth=alice)).json()["tags"] == ["v1"]
    path = "/v2/team/app/_authproxy/content/manifests"
    for user, tags, is_complete in ((bob, ["internal", "v1"], True), (alice, ["v1"], False)):
        listed = (await client.get(path, auth=user)).json()
        assert ([each["tags"] for each in listed["manifests"]], listed["complete"]) == ([tags], is_complete)
    pulled = await client.get("/v2/team/app/manifests/internal", auth=alice)
    assert (pulled.status_code, message(pulled)) == (403, "alice may not pull team/app:internal")
    assert (await client.get("/v2/team/app/manifests/v1", auth=alice)).status_code == 200
