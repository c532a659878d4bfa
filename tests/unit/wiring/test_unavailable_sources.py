"""A source of users that cannot be asked, through the whole application: 503 with Retry-After, never 401.

No kind of network source exists yet, so the application gets one in memory beside the files of its settings.
"""

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from authproxy.identity.accounts import add_user
from authproxy.identity.directory import Directory
from authproxy.wiring import auth
from tests.support.application import serving
from tests.support.remote_users import RemoteUsers
from tests.support.whole import RULES

PASSWORD = "correct horse"


@pytest.fixture
def remote(monkeypatch: pytest.MonkeyPatch) -> RemoteUsers:
    source = RemoteUsers({"carol": PASSWORD})
    monkeypatch.setattr(auth, "Directory", partial(Directory, remote=[source]))
    return source


@pytest.fixture
async def client(tmp_path: Path, remote: RemoteUsers) -> AsyncIterator[httpx.AsyncClient]:
    del remote  # it is there before the application is made
    add_user(tmp_path / "htpasswd", None, "admin", PASSWORD, [], cost=4)
    (tmp_path / "rules.yaml").write_text(RULES)
    values: dict[str, Any] = {
        "version": "0.1",
        "storage": {"filesystem": {"rootdirectory": str(tmp_path / "registry")}},
        "token": {"keys": str(tmp_path / "keys")},
        "identities": [{"htpasswd": {"path": str(tmp_path / "htpasswd")}}],
        "policies": {"path": str(tmp_path / "rules.yaml")},
    }
    async with serving(values) as asked:
        yield asked


def is_unavailable(answer: httpx.Response) -> bool:
    """An answer that tells the client to come back, and nothing of what is behind it."""
    return (
        answer.status_code == httpx.codes.SERVICE_UNAVAILABLE
        and answer.json()["errors"][0]["code"] == "UNAVAILABLE"
        and int(answer.headers["Retry-After"]) > 0
        and "WWW-Authenticate" not in answer.headers
        and "ldap" not in answer.text
    )


ASKED = ["/token?service=authproxy", "/v2/"]


@pytest.mark.parametrize("path", ASKED)
async def test_names_that_the_source_may_know_get_503_while_it_is_down(
    client: httpx.AsyncClient, remote: RemoteUsers, path: str
) -> None:
    assert (await client.get(path, auth=("carol", PASSWORD))).status_code == httpx.codes.OK
    assert (await client.get(path, auth=("carol", "wrong"))).status_code == httpx.codes.UNAUTHORIZED
    remote.is_down = True
    for name, password in (("carol", PASSWORD), ("carol", "wrong"), ("nobody", PASSWORD)):
        assert is_unavailable(await client.get(path, auth=(name, password)))
    remote.is_down = False
    assert (await client.get(path, auth=("carol", PASSWORD))).status_code == httpx.codes.OK


@pytest.mark.parametrize("path", ASKED)
async def test_a_local_admin_logs_in_while_the_source_is_down(
    client: httpx.AsyncClient, remote: RemoteUsers, path: str
) -> None:
    remote.is_down = True
    assert (await client.get(path, auth=("admin", PASSWORD))).status_code == httpx.codes.OK
    assert (await client.get(path, auth=("admin", "wrong"))).status_code == httpx.codes.UNAUTHORIZED


async def test_a_refresh_token_of_a_source_that_is_down_is_kept_by_its_client(
    client: httpx.AsyncClient, remote: RemoteUsers
) -> None:
    login = {"service": "authproxy", "client_id": "docker", "access_type": "offline", "scope": ""}
    answer = await client.post(
        "/token", data={**login, "grant_type": "password", "username": "carol", "password": PASSWORD}
    )
    renewal = {**login, "grant_type": "refresh_token", "refresh_token": answer.json()["refresh_token"]}
    remote.is_down = True
    assert is_unavailable(await client.post("/token", data=renewal))
    remote.is_down = False
    assert (await client.post("/token", data=renewal)).status_code == httpx.codes.OK


async def test_a_token_that_was_given_out_goes_on_while_the_source_is_down(
    client: httpx.AsyncClient, remote: RemoteUsers
) -> None:
    scope = "repository:carol/app:pull,push"
    answer = await client.get("/token", params={"service": "authproxy", "scope": scope}, auth=("carol", PASSWORD))
    bearer = {"Authorization": f"Bearer {answer.json()['token']}"}
    remote.is_down = True
    assert (await client.post("/v2/carol/app/blobs/uploads/", headers=bearer)).status_code == httpx.codes.ACCEPTED
