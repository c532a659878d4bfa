"""What a mount takes at the registry behind us."""

import pytest

from authproxy import asgi
from authproxy.access import pull, push
from authproxy.proxy.mount import accesses, mount_from
from authproxy.reference import Repository
from authproxy.route import parse_route
from tests.support.registry import sha256

DIGEST = sha256(b"a blob").encode()
TARGET = (pull("team/app"), push("team/app"))

ROWS = {
    "a mount": (b"mount=" + DIGEST + b"&from=team/base", (*TARGET, pull("team/base"))),
    "no source": (b"mount=" + DIGEST, TARGET),
    "no mount": (b"from=team/base", TARGET),
    "an upload": (b"", TARGET),
}


@pytest.mark.parametrize(("query", "expected"), ROWS.values(), ids=ROWS)
def test_a_mount_takes_the_right_to_pull_from_its_source(query: bytes, expected: tuple[object, ...]) -> None:
    assert accesses(parse_route("POST", b"/v2/team/app/blobs/uploads/", query)) == expected


def test_a_source_is_called_by_its_name_there_wherever_it_is_read() -> None:
    query = b"from=a/b&mount=" + DIGEST + b"&x=%2F"
    route = parse_route("POST", b"/v2/team/app/blobs/uploads/", query)
    renamed = mount_from({"query_string": query}, route, (Repository("c/b"),))
    assert renamed["query_string"] == b"mount=" + DIGEST + b"&x=%2F&from=c/b"
    assert parse_route("POST", b"/v2/team/app/blobs/uploads/", renamed["query_string"]) == renamed[asgi.ROUTE]
