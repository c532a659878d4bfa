"""Our command on uvicorn's own HTTP/1.1: what docs/decisions/0015 falls back to, one line of `server/processes.py`."""

from typing import Any
from unittest.mock import patch

import uvicorn

from authproxy.cli import main
from authproxy.server import processes
from authproxy.server.uvicorn_config import plain_config


def fall_back(*arguments: Any, **keys: Any) -> uvicorn.Config:
    """The configuration that `processes.run` makes, with uvicorn's protocol class."""
    return plain_config(*arguments, **keys | {"http": "httptools"})


if __name__ == "__main__":
    with patch.object(processes, "plain_config", fall_back):
        main()
