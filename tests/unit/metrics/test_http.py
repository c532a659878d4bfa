"""Requests as they are counted, and what the families say of them."""

from bisect import bisect_left
from typing import Any, NamedTuple

import pytest

from authproxy.asgi import ROUTE, Message, Receive, Scope, Send
from authproxy.metrics.families import DURATION, IN_FLIGHT, REQUEST_SIZE, REQUESTS, RESPONSE_SIZE, TOKEN_ANSWERS
from authproxy.metrics.http import HANDLERS, CountBegun, HttpCounts
from authproxy.metrics.numbers import Family
from authproxy.route import Kind, parse_route

DIGEST = "sha256:" + "0" * 64


class Request(NamedTuple):
    """What the edge tells of a request that has ended."""

    scope: Any
    status: int
    sent: int = 0
    received: int = 0
    seconds: float = 0.001


def asked(method: str, path: str) -> dict[str, Any]:
    scope: dict[str, Any] = {"method": method, "path": path}
    if path.startswith("/v2/"):
        scope[ROUTE] = parse_route(method, path.encode(), b"")
    return scope


def counted(*requests: Request) -> HttpCounts:
    counts = HttpCounts()
    for request in requests:
        counts.record(request)
    return counts


def labels_of(counts: HttpCounts, family: Family) -> list[dict[str, str]]:
    return [dict(zip(family.labels, labels, strict=True)) for name, labels in counts.numbers() if name == family.name]


# As CNCF Distribution 2.8 names them in its metrics.
@pytest.mark.parametrize(
    ("method", "path", "handler"),
    [
        ("GET", "/v2/", "base"),
        ("GET", "/v2/_catalog", "catalog"),
        ("GET", "/v2/a/tags/list", "tags"),
        ("PUT", "/v2/a/manifests/x", "manifest"),
        ("HEAD", f"/v2/a/blobs/{DIGEST}", "blob"),
        ("POST", "/v2/a/blobs/uploads/", "blob_upload"),
        ("PATCH", "/v2/a/blobs/uploads/1", "blob_upload_chunk"),
        ("GET", f"/v2/a/referrers/{DIGEST}", "referrers"),
        ("GET", "/v2/a/_authproxy/content/manifests", "manifests"),
        ("GET", "/token", "token"),
        ("GET", "/favicon.ico", "other"),
    ],
)
def test_a_request_is_counted_by_its_handler(method: str, path: str, handler: str) -> None:
    counts = counted(Request(asked(method, path), 200))
    assert labels_of(counts, REQUESTS) == [{"handler": handler, "method": method.lower(), "code": "200"}]


def test_every_kind_of_route_has_a_handler() -> None:
    assert set(Kind) <= set(HANDLERS)


def test_what_was_refused_before_it_had_a_route_is_other() -> None:
    counts = counted(Request({"method": "GET", "path": "/v2/secret/tags/list"}, 401))
    assert labels_of(counts, REQUESTS) == [{"handler": "other", "method": "get", "code": "401"}]


@pytest.mark.parametrize(
    ("seconds", "bucket"), [(0.0, 0.005), (0.005, 0.005), (0.0051, 0.01), (60.0, 60.0), (61.0, None)]
)
def test_a_bound_belongs_to_its_bucket(seconds: float, bucket: float | None) -> None:
    counts = counted(Request(asked("GET", "/v2/"), 200, seconds=seconds)).numbers()
    *buckets, total = counts[DURATION.name, ("base", "get")]
    place = len(DURATION.buckets) if bucket is None else bisect_left(DURATION.buckets, bucket)
    assert (buckets.index(1), sum(buckets), total) == (place, 1, seconds)


def test_bodies_are_counted_in_both_directions() -> None:
    push = Request(asked("PATCH", "/v2/a/blobs/uploads/1"), 202, sent=0, received=5 << 30)
    pull = Request(asked("GET", f"/v2/a/blobs/{DIGEST}"), 200, sent=1024, received=0)
    numbers = counted(push, pull).numbers()
    received = numbers[REQUEST_SIZE.name, ("blob_upload_chunk",)]
    sent = numbers[RESPONSE_SIZE.name, ("blob",)]
    assert (received[-2:], sent[0], sent[-1]) == ([1, 5 << 30], 1, 1024)


def test_one_histogram_is_over_all_statuses_and_methods() -> None:
    requests = [
        Request(asked(method, "/v2/a/manifests/x"), status) for method in ("GET", "PUT") for status in (200, 404)
    ]
    numbers = counted(*requests, *requests).numbers()
    assert numbers[DURATION.name, ("manifest", "get")][0] == 4
    assert numbers[RESPONSE_SIZE.name, ("manifest",)][0] == 8
    assert numbers[REQUESTS.name, ("manifest", "put", "404")] == [2]


@pytest.mark.parametrize(
    ("method", "status", "result"),
    [
        ("GET", 200, "granted"),
        ("POST", 200, "granted"),
        ("POST", 400, "malformed"),
        ("GET", 401, "refused"),
        ("GET", 429, "throttled"),
        ("GET", 500, "failed"),
        ("OPTIONS", 204, None),
        ("PUT", 405, None),
        ("GET", 0, None),  # the client went away
    ],
)
def test_an_answer_of_the_token_endpoint_has_a_result(method: str, status: int, result: str | None) -> None:
    counts = counted(Request(asked(method, "/token"), status))
    assert labels_of(counts, TOKEN_ANSWERS) == ([{"result": result}] if result else [])


def test_inventions_of_a_client_take_no_memory() -> None:
    counts = counted(*(Request({"method": f"M{number}", "path": "/"}, 400) for number in range(1000)))
    assert labels_of(counts, REQUESTS) == [{"handler": "other", "method": "unknown", "code": "400"}]
    assert counts.total == 1000
    assert len(counts.numbers()) == 5  # one of each family


async def test_a_request_is_in_flight_until_its_end_is_recorded() -> None:
    counts, seen = HttpCounts(), []

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(counts.numbers()[IN_FLIGHT.name, ()])
        counts.record(Request(scope, 200))

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        raise AssertionError(f"nothing is sent: {message}")

    layer = CountBegun(CountBegun(answer, HttpCounts()), counts)
    await layer(asked("GET", "/v2/"), receive, send)
    await layer(asked("GET", "/v2/"), receive, send)
    assert (seen, counts.numbers()[IN_FLIGHT.name, ()]) == ([[1], [1]], [0])


def test_refused_tokens_and_registry_answers_do_not_mix() -> None:
    counts = counted(Request(asked("GET", "/v2/"), 401))
    assert labels_of(counts, TOKEN_ANSWERS) == []
