"""Two workers read the same files: what is wrong with them is said once, after a change and at the start."""

import time
from pathlib import Path

from tests.support.server import Server, running_server

SEEN_WITHIN_S = 5.0  # two seconds are promised; the rest is for a busy machine
TWO_WORKERS = {"REGISTRY_HTTP_WORKERS": "2"}
WARNING = "without a bcrypt hash cannot log in"


def append(server: Server, line: str) -> None:
    """Add a line to the users, and wait until both workers have read it: they may not even have begun."""
    for text in (line, *["# nothing else\n"] * 5):
        before = server.output.count("users reloaded")
        with (server.folder / "data/htpasswd").open("a", encoding="utf-8") as file:
            file.write(text)
        deadline = time.monotonic() + SEEN_WITHIN_S
        while time.monotonic() < deadline:
            if server.output.count("users reloaded") >= before + 2:
                return
            time.sleep(0.1)
    raise AssertionError(server.output)


def test_entries_that_nobody_can_log_in_with_are_named_once(tmp_path: Path) -> None:
    with running_server(tmp_path / "server", TWO_WORKERS) as server:
        append(server, "dave:$apr1$x$y\n")
        assert server.output.count(WARNING) == 1
    with running_server(tmp_path / "server", TWO_WORKERS) as server:
        append(server, "# nothing else\n")
        assert server.output.count(WARNING) == 2  # once for each start
