"""What holds for every test: where shared parts are found, and which programs may be started."""

import sys

import pytest

from tests.support.binaries import refuse_unlisted


def pytest_configure(config: pytest.Config) -> None:
    """Refuse programs that are on this machine by chance, in every test, however they are started."""
    sys.addaudithook(refuse_unlisted)
