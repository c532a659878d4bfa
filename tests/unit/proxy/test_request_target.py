"""What path and query an upstream is sent."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authproxy.proxy.request_target import sent_path, sent_query
from authproxy.route import parse_route

D = "sha256:" + "0" * 64

QUERIES = [
    # Writing: what is known, once read and written again
    ("POST", "/v2/a/blobs/uploads/", f"mount={D}&from=b/c", f"mount={D}&from=b/c"),
    ("POST", "/v2/a/blobs/uploads/", f"%6dount={D}&from=b%2Fc", f"mount={D}&from=b/c"),
    ("POST", "/v2/a/blobs/uploads/", f"digest={D}&_method=DELETE&x", f"digest={D}"),
    ("POST", "/v2/a/blobs/uploads/", f"x;mount={D};from=b", ""),
    ("POST", "/v2/a/blobs/uploads/", "digest-algorithm=sha512&ns=docker.io", "digest-algorithm=sha512&ns=docker.io"),
    ("PUT", f"/v2/a/manifests/{D}", "tag=v1&tag=v2&x=1", "tag=v1&tag=v2"),
    ("PUT", f"/v2/a/manifests/{D}", "x;tag=v3&tag=v1;tag=v2", "tag=v1%3Btag%3Dv2"),
    ("DELETE", f"/v2/a/manifests/{D}", "tag=v1&ns=a", "ns=a"),
    ("DELETE", f"/v2/a/blobs/{D}", "a=b", ""),
    # Reading, and what a session's address has: as it came
    ("GET", "/v2/a/tags/list", "n=%31&next_page=a+b;c", "n=%31&next_page=a+b;c"),
    ("GET", "/v2/a/manifests/v1", "ns=docker.io", "ns=docker.io"),
    ("PUT", "/v2/a/blobs/uploads/1", f"_state=a-_%3D&digest={D}", f"_state=a-_%3D&digest={D}"),
    ("PATCH", "/v2/a/blobs/uploads/1", "part=7&_state=%41", "part=7&_state=%41"),
]


@pytest.mark.parametrize(("method", "path", "query", "sent"), QUERIES)
def test_query(method: str, path: str, query: str, sent: str) -> None:
    route = parse_route(method, path.encode(), query.encode())
    assert sent_query(route, query.encode()) == sent.encode()


@given(st.text("abctag;&=%3bB26Dd", max_size=30))
def test_what_is_written_is_read_as_it_was_read(query: str) -> None:
    route = parse_route("PUT", b"/v2/a/manifests/v1", query.encode())
    again = parse_route("PUT", b"/v2/a/manifests/v1", sent_query(route, query.encode()))
    assert again.query == tuple(pair for pair in route.query if pair[0] == "tag")
    assert b";" not in sent_query(route, query.encode())


@pytest.mark.parametrize(
    ("path", "sent"), [("/v2/a/tags/list", "/v2/a/tags/list"), ("/v2/%61%2Fb/manifests/v%31", "/v2/a/b/manifests/v1")]
)
def test_path_has_no_escapes(path: str, sent: str) -> None:
    assert sent_path(path.encode()) == sent.encode()
