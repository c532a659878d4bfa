"""What the tests over real sockets share."""

import pytest

from tests.support.http1 import Tls


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    """Certificates for localhost."""
    return Tls(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(params=["plain", "tls"])
def maybe_tls(request: pytest.FixtureRequest) -> Tls | None:
    """The same test without TLS and with it."""
    return request.getfixturevalue("tls") if request.param == "tls" else None
