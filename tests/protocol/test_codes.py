"""Every error as a client gets it, and that the tables miss none: no code, no path with its methods, no section."""

import importlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from authproxy import errors
from authproxy.asgi import Receive, Scope, Send
from authproxy.edge.errors import ErrorResponses
from authproxy.errors import RegistryError, TokenError
from authproxy.identity.source import SourceUnavailable
from authproxy.registry.deleter import InUse
from authproxy.registry.deletions import DeletionUnderWay, HeldUp
from authproxy.registry.promises import BeingDeleted
from authproxy.registry.publisher import RepositoryContended
from authproxy.route import METHODS, parse_route
from authproxy.storage.driver import StorageFull, UploadBusy
from authproxy.storage.records import RecordContended, RecordTooLong, RecordTooNew, RecordUnreadable
from tests.support.registry import Call

OCI = "OCI 1.1 Error Codes"
CNCF = "CNCF Distribution's error codes"
PROXIES = "RFC 9110 15.6"
OAUTH2 = "RFC 6749 5.2"


@dataclass(frozen=True)
class Row:
    """An error, and what its answer has to say, written down independently of the error's own module."""

    error: type[RegistryError]
    code: str
    status: int
    section: str
    header: tuple[str, str] | None = None  # beside the usual ones
    oauth2: str | None = None  # `error` of OAuth2


ROWS = [
    Row(errors.BlobUnknown, "BLOB_UNKNOWN", 404, OCI),
    Row(errors.BlobUploadInvalid, "BLOB_UPLOAD_INVALID", 400, OCI),
    Row(errors.BlobUploadUnknown, "BLOB_UPLOAD_UNKNOWN", 404, OCI),
    Row(errors.ContentTooLarge, "SIZE_INVALID", 413, OCI),
    Row(errors.CredentialsRefused, "UNAUTHORIZED", 401, OAUTH2, oauth2="invalid_grant"),
    Row(errors.Denied, "DENIED", 403, OCI),
    Row(errors.DigestInvalid, "DIGEST_INVALID", 400, OCI),
    Row(errors.EndpointUnknown, "UNSUPPORTED", 404, OCI),
    Row(errors.ForwardedInvalid, "UNSUPPORTED", 400, "RFC 7239 4"),
    Row(errors.GatewayFailed, "UNAVAILABLE", 502, PROXIES),
    Row(errors.GatewayTimedOut, "UNAVAILABLE", 504, PROXIES),
    Row(errors.GrantTypeUnsupported, "UNSUPPORTED", 400, OAUTH2, oauth2="unsupported_grant_type"),
    Row(errors.InternalFault, "UNKNOWN", 500, CNCF),
    Row(errors.ManifestBlobUnknown, "MANIFEST_BLOB_UNKNOWN", 404, OCI),
    Row(errors.ManifestInvalid, "MANIFEST_INVALID", 400, OCI),
    Row(errors.ManifestUnknown, "MANIFEST_UNKNOWN", 404, OCI),
    Row(errors.NameInvalid, "NAME_INVALID", 400, OCI),
    Row(errors.NameUnknown, "NAME_UNKNOWN", 404, OCI),
    Row(errors.PaginationNumberInvalid, "PAGINATION_NUMBER_INVALID", 400, CNCF),
    Row(errors.PreconditionFailed, "UNSUPPORTED", 412, "RFC 9110 13.1.1"),
    Row(errors.QueryTooLong, "UNSUPPORTED", 414, "OCI 1.1-dev Pushing Manifests by digest with tags"),
    Row(errors.RangeInvalid, "RANGE_INVALID", 416, CNCF),
    Row(errors.RequestTimedOut, "UNAVAILABLE", 408, "RFC 9110 15.5.9"),
    Row(errors.SizeInvalid, "SIZE_INVALID", 400, OCI),
    Row(errors.TagInvalid, "TAG_INVALID", 400, CNCF),
    Row(errors.TokenRequestInvalid, "UNSUPPORTED", 400, OAUTH2, oauth2="invalid_request"),
    Row(errors.TooManyRequests, "TOOMANYREQUESTS", 429, OCI, header=("retry-after", "1")),
    Row(errors.Unauthorized, "UNAUTHORIZED", 401, OCI, header=("www-authenticate", "Bearer realm")),
    Row(errors.Unavailable, "UNAVAILABLE", 503, CNCF),
    Row(errors.Unsupported, "UNSUPPORTED", 405, OCI),
    Row(BeingDeleted, "UNAVAILABLE", 503, CNCF),
    Row(DeletionUnderWay, "UNAVAILABLE", 503, CNCF),
    Row(InUse, "UNSUPPORTED", 405, OCI),
    Row(RepositoryContended, "UNAVAILABLE", 503, CNCF),
    Row(HeldUp, "UNAVAILABLE", 503, CNCF),
    Row(RecordContended, "UNAVAILABLE", 503, CNCF),
    Row(RecordTooLong, "UNAVAILABLE", 503, CNCF),
    Row(RecordTooNew, "UNAVAILABLE", 503, CNCF),
    Row(RecordUnreadable, "UNAVAILABLE", 503, CNCF),
    Row(StorageFull, "UNAVAILABLE", 503, CNCF),
    Row(UploadBusy, "UNAVAILABLE", 503, CNCF),
    Row(SourceUnavailable, "UNAVAILABLE", 503, CNCF),
]

# Codes that no table can ask the core for, and what makes them where it is tested.
ELSEWHERE = {
    ("UNAUTHORIZED", 401): "credentials: tests/unit/edge/test_authorize.py",
    ("DENIED", 403): "policies and rules of the operator: tests/unit/edge/test_authorize.py",
    ("TOOMANYREQUESTS", 429): "passwords that are checked by many at once: tests/unit/identity/test_directory.py",
    ("UNKNOWN", 500): "a fault of ours: tests/unit/edge/test_errors.py",
    ("UNAVAILABLE", 408): "a client that stalls: tests/unit/registry/test_sessions.py",
    ("UNAVAILABLE", 502): "an upstream: tests/faults/test_upstream_fails.py",
    ("UNAVAILABLE", 503): "a session that somebody writes to, a failing health check: tests/faults/test_health.py",
    ("UNAVAILABLE", 504): "an upstream: tests/faults/test_upstream_fails.py",
    ("UNSUPPORTED", 400): "the token endpoint: tests/unit/token/test_endpoint.py; tests/unit/edge/test_forwarded.py",
}


def raised(error: type[RegistryError]) -> RegistryError:
    return errors.Unauthorized(challenge="Bearer realm") if error is errors.Unauthorized else error()


def family(error: type[RegistryError]) -> Iterator[type[RegistryError]]:
    """The errors that are raised: all but the two that only stand above others."""
    if error not in (RegistryError, TokenError):
        yield error
    for child in error.__subclasses__():
        yield from family(child)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.section}: {row.error.__name__}")
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_an_error_becomes_its_answer(method: str, row: Row) -> None:
    async def fail(scope: Scope, receive: Receive, send: Send) -> None:
        raise raised(row.error)

    transport = httpx.ASGITransport(ErrorResponses(fail))
    async with httpx.AsyncClient(transport=transport, base_url="https://registry") as client:
        answer = await client.request(method, "/v2/")
    assert (answer.status_code, answer.headers["content-type"]) == (row.status, "application/json")
    assert answer.headers["docker-distribution-api-version"] == "registry/2.0"
    if row.header is not None:
        assert answer.headers[row.header[0]] == row.header[1]
    if method == "HEAD":
        assert answer.content == b""
        return
    assert int(answer.headers["content-length"]) == len(answer.content)
    document = json.loads(answer.content)
    [entry] = document.pop("errors")
    assert (entry["code"], set(entry) - {"detail"}) == (row.code, {"code", "message"})
    oauth2 = {"error": row.oauth2, "error_description": entry["message"]} if row.oauth2 else {}
    if row.error is errors.CredentialsRefused:
        oauth2["details"] = entry["message"]  # by which the Docker daemon knows it
    assert document == oauth2


def test_every_error_has_a_row() -> None:
    assert {row.error for row in ROWS} == set(family(RegistryError))
    assert {row.error for row in ROWS if row.oauth2} == set(family(TokenError))


def calls() -> Iterator[Call]:
    """The rows of every table in this folder."""
    for file in sorted(Path(__file__).parent.glob("test_*.py")):
        if file.name == "test_wire.py":
            continue
        for value in vars(importlib.import_module(f"tests.protocol.{file.stem}")).values():
            if isinstance(value, list):
                yield from (entry for entry in value if isinstance(entry, Call))


def test_every_code_is_asked_for_by_a_row_of_a_table() -> None:
    asked = {(call.code, call.status) for call in calls() if call.code}
    codes = {(error.code, error.status) for error in family(RegistryError)}
    assert codes - asked == set(ELSEWHERE)


def test_every_path_and_method_has_a_row_of_a_table() -> None:
    asked = set()
    for call in calls():
        path, _, query = call.path.partition("?")
        try:
            route = parse_route(call.method, path.encode(), query.encode())
        except RegistryError:
            continue
        asked.add((route.kind, route.method))
    expected = {(kind, method) for kind, methods in METHODS.items() for method in methods}
    assert expected - asked == set()


def names_section(item: pytest.Item) -> bool:
    """By a mark, or in the row that it was made of."""
    row = item.callspec.params.get("call") if isinstance(item, pytest.Function) and hasattr(item, "callspec") else None
    return item.get_closest_marker("section") is not None or bool(getattr(row, "section", ""))


def test_every_test_names_its_section(request: pytest.FixtureRequest) -> None:
    here = Path(__file__)
    items = [item for item in request.session.items if item.path.parent == here.parent and item.path != here]
    assert [item.nodeid for item in items if not names_section(item)] == []
