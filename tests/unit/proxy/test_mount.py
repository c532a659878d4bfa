"""What a mount takes at the registry behind us."""

import pytest

from authproxy.access import pull, push
from authproxy.proxy.mount import accesses
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
