"""GHSA-prh4-vhfh-24mj: who reads logs, metrics or the list of processes learns no password and no token.

Nor the address that opens an upload: it is as good as a token for that session.
"""

import os
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.support.people import OPERATOR
from tests.support.server import Server, free_port, running_server

WRONG = "a password that is wrong"
MADE_UP = "a.token.made-up"
LOGGED_IN_WITHIN_S = 60.0


def command_lines(server: Server) -> str:
    """What `ps` shows of the server and its workers."""
    assert server.process is not None
    lines = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if os.getpgid(int(folder.name)) == server.process.pid:
                lines.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except ProcessLookupError:
            continue
    assert len(lines) > 2, "the workers are seen"
    return "\n".join(lines)


@pytest.mark.parametrize("form", ["text", "json", "logstash"])
def test_nothing_that_opens_anything_is_in_the_log(tmp_path: Path, form: str) -> None:
    debug = f"127.0.0.1:{free_port()}"
    settings = {
        "REGISTRY_LOG_LEVEL": "debug",
        "REGISTRY_LOG_FORMATTER": form,
        "REGISTRY_HTTP_WORKERS": "2",
        "REGISTRY_HTTP_DEBUG": f'{{addr: "{debug}", prometheus: {{enabled: true}}}}',
    }
    user = (OPERATOR.name, OPERATOR.password)
    with running_server(tmp_path / "server", settings, is_cold=True) as server, server.client() as client:
        # A check of the usual cost may take longer on a busy machine than a login waits; it goes on, and is remembered.
        server.wait_until(lambda: client.get("/token", auth=user).status_code == httpx.codes.OK, LOGGED_IN_WITHIN_S)
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
        metrics = httpx.get(f"http://{debug}/metrics", trust_env=False).text
        processes = command_lines(server)
    session = urlsplit(opened).query
    audit = "".join(file.read_text() for file in (server.folder / "data").glob("audit*") if file.is_file())
    for said, by_itself in (
        (server.output, "/v2/a/blobs/uploads/"),
        (audit, "token issued"),
        (metrics, "authproxy_"),
        (processes, "authproxy"),
    ):
        assert by_itself in said
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
        for said in (server.output, audit, metrics, processes):
            assert secret not in said
