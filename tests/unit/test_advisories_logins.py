"""Holes about logins, tokens and secrets that only the whole application can have or not have."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer

from authproxy.cli import app
from authproxy.identity.bcrypt_hash import find_problem, hash_password
from authproxy.oci.media_types import OCI_IMAGE
from tests.support.registry import image, push_blob, push_manifest, sha256
from tests.support.tokens import read
from tests.support.whole import PASSWORDS, RULES, basic, bearer, whole

LONG = "x" * 72

# "secret", by each scheme that a htpasswd file of Apache's may have beside bcrypt.
FOREIGN = {
    "apr1": "$apr1$abcdefgh$h9FWgUz3n9YxylKLlR5SQ/",
    "sha": "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=",
    "crypt": "abNANd1rDfiNc",
    "plain": "secret",
}


async def logs_in(client: httpx.AsyncClient, user: str, password: str) -> bool:
    """By every way there is, which must agree."""
    form = {"grant_type": "password", "username": user, "password": password}
    answers = [
        await client.get("/token", auth=(user, password)),
        await client.post("/token", data=form),
        await client.get("/v2/", auth=(user, password)),
    ]
    statuses = {answer.status_code for answer in answers}
    assert statuses in ({200}, {401}), statuses
    return statuses == {200}


async def test_cve_2024_9683_no_password_is_cut_when_it_is_set_and_none_that_72_bytes_prove_nothing_of(
    tmp_path: Path,
) -> None:
    assert "72 bytes" in (find_problem(LONG + "x") or "")
    token = '{"kty": "RSA"}'.ljust(72)
    async with whole(tmp_path, hashes={"carol": hash_password(LONG, 4), "dora": hash_password(token, 4)}) as client:
        assert await logs_in(client, "carol", LONG)
        assert await logs_in(client, "carol", LONG + "x")  # as the peers: decision 0052
        for other in (LONG + "\0", LONG[:71], LONG[:71] + "\0", LONG[:71] + "yy"):
            assert not await logs_in(client, "carol", other)
        assert not await logs_in(client, "dora", token + "x")


@pytest.mark.parametrize("scheme", FOREIGN)
async def test_a_password_by_another_scheme_is_good_for_nothing(tmp_path: Path, scheme: str) -> None:
    async with whole(tmp_path, hashes={"old": FOREIGN[scheme]}) as client:
        for password in ("secret", FOREIGN[scheme], ""):
            assert not await logs_in(client, "old", password)
        assert await logs_in(client, "alice", PASSWORDS["alice"])


async def test_an_account_is_who_the_credentials_prove_or_nobody(tmp_path: Path) -> None:
    async with whole(tmp_path) as client:
        own = ("alice", PASSWORDS["alice"])
        assert (await client.get("/token?account=bob", auth=own)).status_code == 401
        form = {"grant_type": "password", "username": "alice", "password": PASSWORDS["alice"], "account": "bob"}
        for answer in (
            await client.get("/token?account=bob"),
            await client.get("/token?account=alice", auth=own),
            await client.post("/token", data=form),
        ):
            assert read(answer.json()["token"], 1)["sub"] in ("", "alice")


async def test_cve_2025_68944_a_token_does_no_more_than_it_was_given_for(tmp_path: Path) -> None:
    """Its owner may push; this token may not, and neither may one that a refresh token brought for less."""
    async with whole(tmp_path) as client:
        login = {"offline_token": "true", "scope": "repository:alice/app:pull,push"}
        refresh = (await client.get("/token", params=login, auth=("alice", PASSWORDS["alice"]))).json()["refresh_token"]
        form = {"grant_type": "refresh_token", "refresh_token": refresh, "scope": "repository:alice/app:pull"}
        renewed = (await client.post("/token", data=form)).json()["access_token"]
        for headers in (
            await bearer(client, "alice", "repository:alice/app:pull"),
            await bearer(client, "alice"),
            {"Authorization": f"Bearer {renewed}"},
        ):
            answer = await client.post("/v2/alice/app/blobs/uploads/", headers=headers)
            assert (answer.status_code, "insufficient_scope" in answer.headers["WWW-Authenticate"]) == (401, True)


NEVER_AGAIN = f"""{RULES}
  - name: once written it stays
    deny: [overwrite]
    to: {{signed-in: true}}
    on: {{repositories: ["**"]}}
"""


@pytest.mark.parametrize("way", ["by tag", "by digest, with the tag beside it"])
async def test_cve_2026_31801_who_may_create_a_tag_does_not_overwrite_it(tmp_path: Path, way: str) -> None:
    async with whole(tmp_path, NEVER_AGAIN) as client:
        for authorization in (await bearer(client, "alice", "repository:alice/app:pull,push"), basic_header("alice")):
            client.headers.update(authorization)
            await push_blob(client, "alice/app", b"{}")
            first, second = image(b"{}"), image(b"{}", annotations={"of": "somebody else"})
            await push_manifest(client, "alice/app", "latest", first)
            await push_manifest(client, "alice/app", "latest", first)  # again the same is no overwriting
            path = "latest" if way == "by tag" else f"{sha256(second)}?tag=latest"
            headers = {"Content-Type": OCI_IMAGE}
            answer = await client.put(f"/v2/alice/app/manifests/{path}", content=second, headers=headers)
            assert answer.status_code in (401, 403), answer.text
            assert (await client.get("/v2/alice/app/manifests/latest")).content == first


def basic_header(user: str) -> dict[str, str]:
    return {"Authorization": basic(user)}


PAGES = ["/token", "/token/", "/token/login", "/auth/token", "/", "/login", "/docs", "/redoc", "/openapi.json", "/v2/"]


@pytest.mark.parametrize("path", PAGES)
async def test_no_address_answers_a_page_with_200(tmp_path: Path, path: str) -> None:
    """A client that asks for a token and gets a page with 200 takes the page for one."""
    async with whole(tmp_path) as client:
        for method in ("GET", "POST"):
            answer = await client.request(method, path, headers={"Accept": "text/html"}, follow_redirects=True)
            assert "html" not in answer.headers.get("Content-Type", "")
            if answer.status_code == 200 and answer.content:  # load balancers get an empty one at /
                assert set(answer.json()) >= {"token", "access_token"}


async def test_no_answer_says_a_secret_back(tmp_path: Path) -> None:
    """GHSA-prh4-vhfh-24mj, as far as it is errors: a password or a token is in no answer but the one that gives it."""
    secrets = ("a wrong password", "made.up.token", "a%20wrong", PASSWORDS["alice"], "YWxpY2U6")
    async with whole(tmp_path) as client:
        own = await bearer(client, "alice", "repository:alice/app:pull")
        wrong = {"grant_type": "password", "username": "alice", "password": "a wrong password"}
        for answer in (
            await client.get("/token", auth=("alice", "a wrong password")),
            await client.get("/token?account=bob", auth=("alice", PASSWORDS["alice"])),
            await client.get(
                "/token?scope=repository:alice/app:pull&service=no", headers={"Authorization": basic("alice")}
            ),
            await client.post("/token", data=wrong),
            await client.post("/token", data=wrong | {"grant_type": "none"}),
            await client.post("/token", data={"grant_type": "refresh_token", "refresh_token": "made.up.token"}),
            await client.post("/token", json=wrong),
            await client.get("/v2/", auth=("alice", "a wrong password")),
            await client.get("/v2/", headers={"Authorization": "Bearer made.up.token"}),
            await client.get("/v2/", headers={"Authorization": "Nonsense a wrong password"}),
            await client.get("/v2/bob/app/tags/list", headers={"Authorization": basic("alice")}),
            await client.post("/v2/alice/app/blobs/uploads/", headers=own),
        ):
            assert answer.status_code in (400, 401, 403), answer.request.url
            said = f"{answer.headers} {answer.text}"
            for secret in (*secrets, own["Authorization"].removeprefix("Bearer ")):
                assert secret not in said, (secret, said)


def parameters(command: Any, path: str = "authproxy") -> Iterator[tuple[str, Any]]:
    """Everything that a command line may say, with the command that takes it."""
    for parameter in command.params:
        yield path, parameter
    for name, below in getattr(command, "commands", {}).items():
        yield from parameters(below, f"{path} {name}")


def test_no_command_takes_a_secret_where_a_list_of_processes_shows_it() -> None:
    found = list(parameters(typer.main.get_command(app)))
    assert any("--password-stdin" in parameter.opts for _, parameter in found), "the commands are looked at"
    for path, parameter in found:
        takes_a_value = not getattr(parameter, "is_flag", False)
        for word in ("password", "secret", "credential", "passphrase"):
            assert not (takes_a_value and word in " ".join(parameter.opts).lower()), f"{path} {parameter.opts}"
