"""What is known of one request's headers is used for another with the very same alone, whichever caller asks.

The server works out once per connection what its headers say. Requests for several upstreams, and our own questions to
one, come with other headers: neither may be sent what was worked out for the other.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from http.client import HTTPConnection, HTTPSConnection

import httpx
import pytest

from tests.support.edge import Recorder, edge
from tests.support.peers import running_docker_registry
from tests.support.people import ALICE
from tests.support.registry import sha256
from tests.support.server import running_server

CONTENT = b"0123456789abcdef" * 100
BLOB = f"/v2/alice/app/blobs/{sha256(CONTENT)}"
AUTHORIZATION = "Basic dXNlcjpzZWNyZXQ="
RULE = """\
version: 1
rules:
  - name: some tags are hidden
    deny: [pull]
    to: {everyone: true}
    on: {repositories: ["alice/**"], tags: ["hidden-*"]}
"""


def ask(connection: HTTPConnection, path: str, headers: dict[str, str]) -> tuple[int, bytes]:
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    return answer.status, answer.read()


@pytest.mark.parametrize("order", [("mine", "yours", "mine", "yours"), ("yours", "mine", "yours")])
def test_credentials_that_one_upstream_gets_do_not_go_to_the_next(order: tuple[str, ...]) -> None:
    with Recorder() as recorder:
        upstreams = [
            {"match": "mine/**", "url": recorder.url, "authorization": "pass"},
            {"match": "yours/**", "url": recorder.url, "authorization": "strip"},
        ]
        with edge(recorder.url, more={"upstream": None, "upstreams": upstreams}) as server:
            connection = HTTPConnection("127.0.0.1", server.port)
            for name in order:
                headers = {"Authorization": AUTHORIZATION, "Accept": "*/*"}
                assert ask(connection, f"/v2/{name}/app/manifests/v1", headers)[0] == 200
                assert recorder.header("authorization") == ([AUTHORIZATION] if name == "mine" else [])
            connection.close()


@pytest.fixture(scope="module")
def ask_as_alice(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[HTTPSConnection, dict[str, str]]]:
    """One connection to a front door with a rule about tags, and what proves alice there, who has pushed CONTENT."""
    folder = tmp_path_factory.mktemp("facts")
    with ExitStack() as stack:
        registry = stack.enter_context(running_docker_registry(folder / "registry"))
        server = stack.enter_context(running_server(folder / "server", {"REGISTRY_UPSTREAM_URL": registry}))
        (server.folder / "policies" / "hidden.yaml").write_text(RULE)
        server.add_user(ALICE.name, ALICE.password)
        with server.client_for(ALICE.name, ALICE.password, "repository:alice/app:pull,push") as alice:
            opened = alice.post("/v2/alice/app/blobs/uploads/")
            location = httpx.URL(opened.headers["location"]).copy_merge_params({"digest": sha256(CONTENT)})
            assert alice.put(location, content=CONTENT).status_code == 201
            headers = {"Authorization": alice.headers["Authorization"]}
        yield stack.enter_context(server.connection()), headers


def test_what_our_own_question_is_asked_with_is_not_what_the_client_asks_with(
    ask_as_alice: tuple[HTTPSConnection, dict[str, str]],
) -> None:
    connection, headers = ask_as_alice
    headers = headers | {"Range": "bytes=3-5"}
    assert ask(connection, "/v2/alice/app/tags/list", headers)[0] == 404  # has_repository is asked first
    assert ask(connection, BLOB, headers) == (206, CONTENT[3:6])


def test_what_the_client_asks_with_is_not_what_our_own_question_is_asked_with(
    ask_as_alice: tuple[HTTPSConnection, dict[str, str]],
) -> None:
    connection, headers = ask_as_alice
    headers = headers | {"If-None-Match": f'"{sha256(CONTENT)}"'}
    assert ask(connection, BLOB, headers)[0] == 304
    # A question that went out with that condition would be answered 304 too, which is an error to us.
    assert ask(connection, "/v2/alice/app/tags/list", headers)[0] == 404
    assert ask(connection, BLOB, headers)[0] == 304
