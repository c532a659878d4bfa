"""What holds for every test: where shared parts are found, and which programs may be started."""

import sys
from pathlib import Path

import pytest

# `tests.support` and `benchmarks` are found in the clone. Behind everything else, so that `authproxy` is the installed
# one: the built wheel under `make test`, which tests/house/test_environment.py checks.
sys.path.append(str(Path(__file__).parents[1]))

from tests.support.binaries import refuse_unlisted


def pytest_configure(config: pytest.Config) -> None:
    """Refuse programs that are on this machine by chance, in every test, however they are started."""
    sys.addaudithook(refuse_unlisted)
