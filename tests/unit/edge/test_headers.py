"""Which headers every answer gets, by its path."""

from typing import NamedTuple

import pytest

from authproxy.edge.headers import CommonHeaders

EVERYWHERE = {"X-Frame-Options": ["DENY"], "X-A": ["1", "2"]}
BY_PATH = {
    "/v2/": {"x-a": ["3"], "X-B": ["1"]},
    "/v2/secret": {"X-A": [], "X-B": ["2"]},
    "/v2/secret/app/": {"X-C": ["1"]},
    "/token": {"Cache-Control": ["no-store"]},
}
FRAME = ("x-frame-options", "DENY")


class Row(NamedTuple):
    path: str
    wanted: set[tuple[str, str]]


ROWS = [
    Row("/", {FRAME, ("x-a", "1"), ("x-a", "2")}),
    Row("/v2", {FRAME, ("x-a", "1"), ("x-a", "2")}),
    Row("/v2/", {FRAME, ("x-a", "3"), ("x-b", "1")}),
    Row("/v2/team/app/tags/list", {FRAME, ("x-a", "3"), ("x-b", "1")}),
    Row("/v2/secrets/tags/list", {FRAME, ("x-a", "3"), ("x-b", "1")}),
    Row("/v2/secret", {FRAME, ("x-b", "2")}),
    Row("/v2/secret/tags/list", {FRAME, ("x-b", "2")}),
    Row("/v2/secret/app/tags/list", {FRAME, ("x-b", "2"), ("x-c", "1")}),
    Row("/token", {FRAME, ("x-a", "1"), ("x-a", "2"), ("cache-control", "no-store")}),
    Row("/token/more", {FRAME, ("x-a", "1"), ("x-a", "2"), ("cache-control", "no-store")}),
    Row("/tokens", {FRAME, ("x-a", "1"), ("x-a", "2")}),
]


@pytest.mark.parametrize("row", ROWS, ids=[row.path for row in ROWS])
def test_a_path_has_its_headers_and_those_of_shorter_ones_but_for_those_it_names(row: Row) -> None:
    scope = {"method": "GET", "path": row.path, "headers": []}
    completed = CommonHeaders(EVERYWHERE, BY_PATH).complete([], scope, (b"x-request-id", b"1"))
    assert completed[-1] == (b"x-request-id", b"1")
    found = [(name.decode(), value.decode()) for name, value in completed[:-1]]
    assert set(found) - {("docker-distribution-api-version", "registry/2.0")} == row.wanted
    assert len(set(found)) == len(found)


def test_what_an_answer_has_already_stays() -> None:
    scope = {"method": "GET", "path": "/token", "headers": []}
    own = [(b"cache-control", b"private")]
    completed = CommonHeaders({}, BY_PATH).complete(own, scope, (b"x-request-id", b"1"))
    assert completed == [*own, (b"x-request-id", b"1")]
