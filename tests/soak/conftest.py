"""How long the long tests go on. Only `make soak` runs them."""

import logging
import os

import pytest

VARIABLE = "AUTHPROXY_SOAK_S"
DEFAULT_S = 300.0

logging.getLogger("httpx").setLevel(logging.WARNING)  # else it says every request, and there are many thousands


@pytest.fixture(scope="session")
def soak_s() -> float:
    """Seconds for each test."""
    return float(os.environ.get(VARIABLE, DEFAULT_S))
