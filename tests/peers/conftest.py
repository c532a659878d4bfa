"""The two registries that are compared."""

from collections.abc import Iterator

import pytest

from tests.peers.twins import Twins, running_twins


@pytest.fixture(scope="package")
def twins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twins]:
    """Both, over plain HTTP and open to everybody: what they answer is then the registry's alone."""
    with running_twins(tmp_path_factory.mktemp("twins")) as both:
        yield both
