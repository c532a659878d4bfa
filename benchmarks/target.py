"""One side of the comparison: where it listens, how to log in, and which processes it consists of."""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path

from benchmarks.client import Client, read_token
from benchmarks.errors import WrongAnswer
from benchmarks.process import Server

REPOSITORY = "bench/app"
PUSH_SCOPE = f"repository:{REPOSITORY}:pull,push"


@dataclass(frozen=True, slots=True)
class Target:
    """A registry on https://127.0.0.1:port. `user` is (name, password) if it issues tokens, else None."""

    name: str
    port: int
    ca: Path
    servers: tuple[Server, ...]
    user: tuple[str, str] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """Its URL, without a slash at the end."""
        return f"https://127.0.0.1:{self.port}"

    @property
    def pids(self) -> tuple[int, ...]:
        """The ids of the started processes; their children belong to the target too."""
        return tuple(server.pid for server in self.servers)

    def connect(self, headers: Mapping[str, str] | None = None) -> Client:
        """A new connection that sends `headers` with every request."""
        return Client(self.port, self.ca, headers)

    def basic(self) -> dict[str, str]:
        """The headers with the user's password; empty without authentication."""
        if self.user is None:
            return {}
        return {"Authorization": f"Basic {base64.b64encode(':'.join(self.user).encode()).decode()}"}

    def authorization(self, scope: str = PUSH_SCOPE) -> dict[str, str]:
        """The headers that authorize a request: a new token for `scope`; empty without authentication."""
        if self.user is None:
            return {}
        with self.connect(self.basic()) as client:
            token = read_token(client.request("GET", token_path(scope), expect=200))
        return {"Authorization": f"Bearer {token}"}


def token_path(scope: str) -> str:
    """The path that issues a token for `scope`; the default service is the server's own."""
    return f"/token?scope={scope}"


def answers(port: int, ca: Path, status: int) -> Callable[[], bool]:
    """A condition for `Server.wait_until`: GET /v2/ is answered with `status`."""

    def ask() -> bool:
        try:
            with Client(port, ca) as client:
                client.request("GET", "/v2/", expect=status)
        except (OSError, HTTPException, WrongAnswer):
            return False
        return True

    return ask
