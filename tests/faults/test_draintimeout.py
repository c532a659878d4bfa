"""`http.draintimeout` bounds how long a request that does not end can keep a server that was told to stop."""

from pathlib import Path

import pytest

from tests.support.image import open_upload
from tests.support.people import OPERATOR
from tests.support.server import running_server

REPOSITORY = "admin/app"
SCOPE = f"repository:{REPOSITORY}:pull,push"
# Far below the default of a minute.
STOPPED_WITHIN_S = 15.0


@pytest.mark.parametrize("drain", ["0s", "1s"])
def test_an_upload_that_stalls_is_broken_off(tmp_path: Path, drain: str) -> None:
    with running_server(tmp_path / "server", {"REGISTRY_HTTP_DRAINTIMEOUT": drain}) as server:
        with server.client_for(OPERATOR.name, OPERATOR.password, SCOPE) as client:
            address = open_upload(client, REPOSITORY)
            authorization = client.headers["Authorization"]
        with server.connection() as connection:
            connection.putrequest("PATCH", address.raw_path.decode())
            connection.putheader("Authorization", authorization)
            connection.putheader("Content-Length", "1000000")
            connection.endheaders()
            connection.send(b"the beginning")
            server.ask_to_stop()
            assert server.process is not None
            assert server.process.wait(STOPPED_WITHIN_S) == 0
            server.process = None
