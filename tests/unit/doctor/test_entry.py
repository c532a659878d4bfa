"""What is not a registry, by its response to `/v2/`."""

import httpx
import pytest

from authproxy.doctor.entry import EntryFault, find_entry_fault
from authproxy.doctor.response import VERSION, RegistryResponse
from authproxy.http.client.address import Address

ADDRESS = Address("http", "registry.example", 80)
WANTS_TLS = b"Client sent an HTTP request to an HTTPS server."


@pytest.mark.parametrize(
    ("status", "headers", "body", "fault"),
    [
        (200, {}, b"{}", None),
        (401, {"WWW-Authenticate": "Basic"}, b"", None),
        (404, {VERSION: "registry/2.0"}, b"", EntryFault.NO_REGISTRY),
        (200, {}, b"<html>", EntryFault.NO_REGISTRY),
        (401, {}, b"", EntryFault.NO_REGISTRY),
        (307, {"Location": "https://new.example/v2/"}, b"", EntryFault.REDIRECT),
        (429, {}, b"", EntryFault.TOO_MANY_REQUESTS),
        (502, {}, b"", EntryFault.SERVER_ERROR),
        (400, {}, WANTS_TLS, EntryFault.NEEDS_TLS),
    ],
)
def test_response_to_v2_is_of_a_registry_or_has_a_fault(
    status: int, headers: dict[str, str], body: bytes, fault: EntryFault | None
) -> None:
    found = find_entry_fault(ADDRESS, RegistryResponse(status, httpx.Headers(headers), body))
    assert (found and found.why) == fault
