"""Anything that can be asked, of a real server over TLS: never a fault of ours, always an answer of the protocol.

The same examples in every run; `pytest --hypothesis-profile=explore tests/faults/test_fuzz_http.py` looks for new ones.
"""

import json
import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authproxy.oci import media_types
from tests.support.fuzz import (
    BODIES,
    DIGESTS,
    GARBAGE,
    HELLO,
    MANIFESTS,
    PATHS,
    SESSION,
    TAGS,
    VALUES,
    Asked,
    check_answer,
    on_the_line,
    requests,
)
from tests.support.registry import image
from tests.support.served import Nursery, Served
from tests.support.wire import ConnectionEnded, Wire, request
from tests.support.wire_client import Client

METHODS = st.sampled_from(["GET", "GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "TRACE"])
UPLOADS = st.sampled_from(["/v2/fuzz/app/blobs/uploads/", SESSION, SESSION, SESSION, f"/v2/fuzz/app/blobs/{HELLO}"])
PLACES = st.builds("/v2/fuzz/app/manifests/{}".format, TAGS | DIGESTS)


class Target:
    """The server, and how far its log has been read."""

    def __init__(self, server: Served) -> None:
        self.client = Client(server, "fuzz/app")
        self.authorization = self.client.authorization
        self._seen = 0

    def prepare(self) -> None:
        """Something to ask for."""
        assert self.client.ask("POST", f"…/blobs/uploads/?digest={HELLO}", body=b"hello").status == 201
        put = self.client.ask("PUT", "…/manifests/v1", f"Content-Type: {media_types.OCI_IMAGE}", body=image(b"hello"))
        assert put.status == 201

    def ask(self, all_asked: list[Asked], *, has_token: bool = True) -> None:
        """Ask one after the other on one connection, which serves to the end of it."""
        session = "/v2/fuzz/app/blobs/uploads/none"
        with self.client.open() as wire:
            for asked in all_asked:
                framing, body = asked.framed()
                target = asked.target.replace(SESSION, session)
                if target.count("?") > 1:  # the session's address has a query of its own
                    target = "&".join(target.rsplit("?", 1))
                authorization = (self.authorization,) if has_token else ()
                wire.send(request(asked.method, target, *authorization, framing, *asked.headers, body=body))
                answer = wire.read(asked.method)
                check_answer(asked.method, answer)
                session = answer.headers.get("location", session).removeprefix("https://registry.test:5000")
            self._still_serves(wire)

    def check_log(self) -> None:
        """Nothing was a fault of ours."""
        with self.client.server.log.open(encoding="utf-8") as log:
            log.seek(self._seen)
            said = log.read()
            self._seen = log.tell()
        assert "Traceback" not in said, said
        assert "event=fault" not in said, said

    def _still_serves(self, wire: Wire) -> None:
        wire.send(request("GET", "/v2/", self.authorization))
        assert wire.read().body == b"{}"


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """A server that holds an image."""
    nursery = Nursery(tmp_path_factory.mktemp("fuzz") / "home")
    with nursery.server(tmp_path_factory.mktemp("fuzz") / "root", {"REGISTRY_LOG_LEVEL": "debug"}) as server:
        made = Target(server)
        made.prepare()
        yield made
    nursery.close()


@given(st.lists(requests(METHODS, PATHS, BODIES), min_size=1, max_size=5))
def test_anything_below_v2(target: Target, asked: list[Asked]) -> None:
    target.ask(asked)
    target.check_log()


@given(st.lists(requests(METHODS, PATHS, BODIES), min_size=1, max_size=2))
def test_anything_without_a_token(target: Target, asked: list[Asked]) -> None:
    target.ask(asked, has_token=False)
    target.check_log()


@given(st.lists(requests(st.sampled_from(["POST", "PATCH", "PUT", "GET", "DELETE"]), UPLOADS, BODIES), max_size=6))
def test_uploads_in_any_order(target: Target, asked: list[Asked]) -> None:
    start = Asked("POST", "/v2/fuzz/app/blobs/uploads/", (), b"", None)
    target.ask([start, *asked])
    target.check_log()


@given(st.lists(requests(st.sampled_from(["PUT", "PUT", "GET", "DELETE"]), PLACES, MANIFESTS), min_size=1, max_size=4))
def test_manifests_of_any_form(target: Target, asked: list[Asked]) -> None:
    target.ask(asked)
    target.check_log()


@given(VALUES)
def test_any_credentials(target: Target, value: str) -> None:
    for line in (f"Authorization: {value}", f"Authorization: Bearer {value}", f"Authorization: Basic {value}"):
        with target.client.open() as wire:
            wire.send(request("GET", "/v2/fuzz/app/tags/list", line))
            answer = wire.read()
        check_answer("GET", answer)
        assert answer.status == 401
    target.check_log()


NAMES = ["grant_type", "service", "scope", "client_id", "refresh_token", "access_type", "account", "offline_token"]
WORDS = ["password", "refresh_token", "authproxy", "repository:a:pull", "offline", "true", "::", ""]
FORMS = st.lists(st.tuples(st.sampled_from(NAMES) | GARBAGE, st.sampled_from(WORDS) | GARBAGE), max_size=5).map(
    lambda pairs: on_the_line("&".join(f"{name}={value}" for name, value in pairs)).replace("#", "%23")
)


@given(method=st.sampled_from(["GET", "POST", "PUT", "HEAD", "DELETE"]), form=FORMS, media_type=VALUES)
def test_any_request_for_a_token(target: Target, method: str, form: str, media_type: str) -> None:
    """Never a page, never the framework's own words: clients take 422 and HTML for what they are not."""
    for line in ("Content-Type: application/x-www-form-urlencoded", f"Content-Type: {media_type}"):
        with target.client.open() as wire:
            length = f"Content-Length: {len(form)}"
            wire.send(request(method, f"/token?{form}", line, length, body=form.encode()))
            answer = wire.read(method)
        assert answer.status in (200, 400, 401, 405), answer
        if method != "HEAD":
            document = json.loads(answer.body)
            assert "token" in document if answer.status == 200 else document["errors"][0]["message"]
    target.check_log()


LINES = st.sampled_from([b"GET / HTTP/1.1\r\n", b"Host: a\r\n", b"Transfer-Encoding: chunked\r\n", b"\r\n", b"5\r\n"])


@given(st.lists(st.binary(max_size=60) | LINES, max_size=6))
def test_any_bytes(target: Target, pieces: list[bytes]) -> None:
    """Whether they are a request or none, whole or not: the next connection is served."""
    with target.client.open() as wire, suppress(ConnectionEnded):
        wire.send(*pieces)
    target.ask([])
    target.check_log()


@given(st.lists(st.binary(min_size=1, max_size=200), min_size=1, max_size=3))
def test_any_bytes_in_place_of_tls(target: Target, pieces: list[bytes]) -> None:
    port = target.client.server.port
    with socket.create_connection(("127.0.0.1", port), timeout=20) as plain, suppress(ConnectionError):
        for piece in pieces:
            plain.sendall(piece)
    target.ask([])
    target.check_log()
