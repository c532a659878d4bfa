"""GHSA-prh4-vhfh-24mj: whoever reads the log learns no password, no token and no address that opens an upload."""

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support.people import OPERATOR
from tests.support.server import running_server

WRONG = "a password that is wrong"
MADE_UP = "a.token.made-up"


@pytest.mark.parametrize("form", ["text", "json", "logstash"])
def test_nothing_that_opens_anything_is_in_the_log(tmp_path: Path, form: str) -> None:
    settings = {"REGISTRY_LOG_LEVEL": "debug", "REGISTRY_LOG_FORMATTER": form}
    user = (OPERATOR.name, OPERATOR.password)
    with running_server(tmp_path / "server", settings) as server, server.client() as client:
        answer = client.get("/token?scope=repository:a:pull,push", auth=user)
        token = answer.json()["token"]
        for authorization in (f"Bearer {token}", f"Bearer {MADE_UP}", "Bearer", "nonsense " + WRONG):
            client.get("/v2/", headers={"Authorization": authorization})
        client.get("/v2/", auth=user)
        client.get("/v2/", auth=(OPERATOR.name, WRONG))
        client.get("/token", auth=(OPERATOR.name, WRONG))
        login = {"grant_type": "password", "service": "authproxy", "client_id": "docker", "access_type": "offline"}
        login |= {"username": OPERATOR.name, "password": OPERATOR.password}
        refresh = client.post("/token", data=login).json()["refresh_token"]
        client.post("/token", data={"grant_type": "refresh_token", "service": "authproxy", "refresh_token": refresh})
        client.post("/token", data=login | {"password": WRONG})
        headers = {"Authorization": f"Bearer {token}"}
        opened = client.post("/v2/a/blobs/uploads/?secret=query", headers=headers).headers["location"]
        client.patch(opened, content=b"x", headers=headers)
        client.patch(opened, content=b"x", headers=headers | {"Content-Range": "7-7"})
    session = urlsplit(opened).query
    assert "/v2/a/blobs/uploads/" in server.output, "it does log"
    for secret in (
        OPERATOR.password,
        WRONG,
        token,
        token.rpartition(".")[2],
        MADE_UP,
        refresh,
        session,
        "secret=query",
    ):
        assert secret not in server.output
