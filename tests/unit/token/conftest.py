from pathlib import Path

import pytest

from tests.support.token_server import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)
