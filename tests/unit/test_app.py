"""The application as it is put together, in each of its modes: real parts, no sockets."""

import json
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from authproxy import app as application
from authproxy.config.load import load_values
from authproxy.errors import StartError
from authproxy.identity.accounts import add_user
from tests.support.application import serving
from tests.support.whole import RULES as OWN_SPACE

PASSWORD = "correct horse"
RULES = f"""{OWN_SPACE}
  - name: anybody reads what is public
    allow: [pull]
    to: {{everyone: true}}
    on: {{repositories: ["public/**"]}}
"""


def values(folder: Path, **sections: Any) -> dict[str, Any]:
    add_user(folder / "htpasswd", None, "alice", PASSWORD, [], cost=4)
    (folder / "rules.yaml").write_text(RULES)
    return {"version": "0.1", "storage": {"filesystem": {"rootdirectory": str(folder / "registry")}}, **sections}


def issue(folder: Path) -> dict[str, Any]:
    return {
        "token": {"keys": str(folder / "keys")},
        "identities": [{"htpasswd": {"path": str(folder / "htpasswd")}}],
        "policies": {"path": str(folder / "rules.yaml")},
    }


def basic(folder: Path, path: str = "htpasswd") -> dict[str, Any]:
    return {"auth": {"htpasswd": {"realm": "The Registry", "path": str(folder / path)}}}


async def test_an_open_registry_asks_nobody(tmp_path: Path) -> None:
    async with serving(values(tmp_path)) as client:
        assert (await client.get("/v2/")).status_code == 200
        assert (await client.post("/v2/a/blobs/uploads/")).status_code == 202


async def test_htpasswd_alone_is_challenged_with_basic_and_lets_every_user_do_everything(tmp_path: Path) -> None:
    async with serving(values(tmp_path, **basic(tmp_path))) as client:
        answer = await client.get("/v2/")
        assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (
            401,
            'Basic realm="The Registry", charset="UTF-8"',
        )
        assert (await client.get("/v2/", auth=("alice", "wrong"))).status_code == 401
        assert (await client.post("/v2/bob/app/blobs/uploads/", auth=("alice", PASSWORD))).status_code == 202
        assert (await client.get("/v2/_catalog", auth=("alice", PASSWORD))).status_code == 200
        assert (await client.get("/token")).status_code == 404


async def test_htpasswd_with_policies_is_decided_by_them(tmp_path: Path) -> None:
    settings = values(tmp_path, **basic(tmp_path), policies={"path": str(tmp_path / "rules.yaml")})
    async with serving(settings) as client:
        assert (await client.post("/v2/alice/app/blobs/uploads/", auth=("alice", PASSWORD))).status_code == 202
        denied = await client.post("/v2/bob/app/blobs/uploads/", auth=("alice", PASSWORD))
        assert (denied.status_code, denied.json()["errors"][0]["code"]) == (403, "DENIED")


async def test_a_missing_htpasswd_file_is_made_as_distribution_makes_it(tmp_path: Path) -> None:
    async with serving(values(tmp_path, **basic(tmp_path, "made"))) as client:
        assert (tmp_path / "made").read_text().startswith("docker:$2y$")
        assert (await client.get("/v2/")).status_code == 401


async def test_a_token_of_ours_opens_what_it_grants_and_no_more(tmp_path: Path) -> None:
    async with serving(values(tmp_path, **issue(tmp_path))) as client:
        scopes = {"scope": ["repository:alice/app:pull,push", "repository:bob/app:push"]}
        answer = await client.get("/token", params=scopes, auth=("alice", PASSWORD))
        bearer = {"Authorization": f"Bearer {answer.json()['token']}"}
        assert (await client.get("/v2/", headers=bearer)).status_code == 200
        opened = await client.post("/v2/alice/app/blobs/uploads/", headers=bearer)
        assert opened.status_code == 202
        assert "_session=" in opened.headers["Location"]
        refused = await client.post("/v2/bob/app/blobs/uploads/", headers=bearer)
        assert refused.status_code == 401
        assert 'error="insufficient_scope"' in refused.headers["WWW-Authenticate"]
        assert refused.json()["errors"][0]["message"] == "alice may not pull and push bob/app"


async def test_the_challenge_names_the_host_that_was_asked(tmp_path: Path) -> None:
    async with serving(values(tmp_path, **issue(tmp_path))) as client:
        assert (await client.get("/v2/a/tags/list")).headers["WWW-Authenticate"] == (
            'Bearer realm="https://registry:5000/token",service="authproxy",scope="repository:a:pull"'
        )


async def test_a_token_is_given_out_without_the_framework(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(values(tmp_path, **issue(tmp_path))) as client:
        monkeypatch.setattr(FastAPI, "__call__", None)  # its layers take as long as all the rest
        assert (await client.get("/token")).status_code == 200


async def test_anonymous_callers_get_what_everybody_may(tmp_path: Path) -> None:
    async with serving(values(tmp_path, **issue(tmp_path))) as client:
        token = (await client.get("/token?scope=repository:public/app:pull")).json()["token"]
        answer = await client.get("/v2/public/app/tags/list", headers={"Authorization": f"Bearer {token}"})
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (404, "NAME_UNKNOWN")
        assert (await client.get("/v2/public/app/tags/list")).status_code == 401


async def test_tokens_of_another_server_are_verified_by_its_keys(tmp_path: Path) -> None:
    """One of our own servers issues; the other has nothing but its key set."""
    async with serving(values(tmp_path, **issue(tmp_path))) as issuer:
        (tmp_path / "jwks.json").write_text((await issuer.get("/.well-known/jwks.json")).text)
        answer = await issuer.get("/token?scope=repository:alice/a:pull,push", auth=("alice", PASSWORD))
    trust = {
        "realm": "https://auth.example/token",
        "service": "authproxy",
        "issuer": "authproxy",
        "jwks": str(tmp_path / "jwks.json"),
    }
    storage = {"filesystem": {"rootdirectory": str(tmp_path / "other")}}
    async with serving({"version": "0.1", "storage": storage, "auth": {"token": trust}}) as client:
        bearer = {"Authorization": f"Bearer {answer.json()['token']}"}
        assert (await client.post("/v2/alice/a/blobs/uploads/", headers=bearer)).status_code == 202
        assert (await client.post("/v2/bob/a/blobs/uploads/", headers=bearer)).status_code == 401
        assert 'realm="https://auth.example/token"' in (await client.get("/v2/")).headers["WWW-Authenticate"]
        assert (await client.get("/token")).status_code == 404
        assert (await client.get("/v2/", auth=("alice", PASSWORD))).status_code == 401


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/v3/", 404), ("GET", "/docs", 404), ("GET", "/openapi.json", 404), ("PUT", "/token", 405)],
)
async def test_other_paths_are_errors_of_the_protocol_too(tmp_path: Path, method: str, path: str, status: int) -> None:
    async with serving(values(tmp_path, **issue(tmp_path))) as client:
        answer = await client.request(method, path)
        assert answer.status_code == status
        assert json.loads(answer.content)["errors"][0]["code"] == "UNSUPPORTED"


async def test_v2_without_its_slash_is_redirected(tmp_path: Path) -> None:
    async with serving(values(tmp_path)) as client:
        answer = await client.get("/v2")
        assert (answer.status_code, answer.headers["Location"]) == (301, "/v2/")


async def test_a_denied_caller_cannot_tell_whether_a_repository_exists(tmp_path: Path) -> None:
    async with serving(values(tmp_path, **issue(tmp_path))) as client:
        token = (await client.get("/token", auth=("alice", PASSWORD))).json()["token"]
        bearer = {"Authorization": f"Bearer {token}"}
        answers = [await client.get(f"/v2/{name}/tags/list", headers=bearer) for name in ("bob/one", "bob/two")]
        assert [answer.text.replace("two", "one") for answer in answers] == [answers[0].text] * 2


def test_what_is_missing_is_said_before_anything_is_served(tmp_path: Path) -> None:
    settings = values(tmp_path, **issue(tmp_path))
    settings["policies"] = {"path": str(tmp_path / "none.yaml")}
    with pytest.raises(StartError, match=r"none\.yaml"):
        application.create(load_values(settings, "test", {}).settings, b"s" * 32)
