"""Where an upload is, and whether an address leads away from the host that was asked."""

import httpx
import pytest

from authproxy.doctor.response import RegistryResponse
from authproxy.doctor.upload import leads_elsewhere, upload_target

BASE = httpx.URL("https://registry.example/v2/")
STARTED = "/v2/team/app/blobs/uploads"


@pytest.mark.parametrize(
    ("reference", "elsewhere"),
    [
        ("/v2/a?b", None),
        ("uploads/1", None),
        ("https://registry.example:443/v2/", None),
        ("//REGISTRY.example/v2/", None),
        ("http://registry.example/v2/", "http://registry.example"),
        ("https://registry.example:5000/v2/", "https://registry.example:5000"),
        ("//other.example/v2/", "https://other.example"),
        ("file:///etc/passwd", "file://"),
        ("http://x:y/", "http://x:y/"),
    ],
)
def test_address_leads_elsewhere_by_scheme_host_and_port(reference: str, elsewhere: str | None) -> None:
    assert leads_elsewhere(BASE, reference) == elsewhere


@pytest.mark.parametrize(
    ("location", "target"),
    [
        (f"{STARTED}/1?_state=s%3D", f"{STARTED}/1?_state=s%3D"),
        (f"https://other.example{STARTED}/1?a=b", f"{STARTED}/1?a=b"),
        ("1", f"{STARTED}/1"),
        ("/é", "/%C3%A9"),
        ("http://x:y/", None),
    ],
)
def test_upload_is_cancelled_where_it_was_started(location: str, target: str | None) -> None:
    headers = httpx.Headers([(b"location", location.encode())])
    assert upload_target("team/app", RegistryResponse(202, headers)) == target
    assert upload_target("team/app", RegistryResponse(404, headers)) is None


def test_upload_without_a_location_cannot_be_cancelled() -> None:
    assert upload_target("team/app", RegistryResponse(202, httpx.Headers())) is None
