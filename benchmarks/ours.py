"""authproxy as after `make serve`: the embedded default with TLS, in a folder of its own."""

import secrets
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.process import free_port, running
from benchmarks.target import Target, answers

NAME = "authproxy"
_MODULE = ("-m", "authproxy", "serve", "--embedded")


@contextmanager
def start_ours(
    folder: Path,
    *,
    workers: int = 1,
    upstream: str | None = None,
    token_life: str | None = None,
    profile: Path | None = None,
    checkout: Path | None = None,
) -> Iterator[Target]:
    """Our server as long as the block lasts, on its own core or in front of the registry at `upstream` (a URL).

    `token_life` as `token.lifetime` has it ("60s").

    What is in its folder already, it serves: see `storage_of`.

    `checkout` is that of another commit, which serves in place of this one, with this one's interpreter and libraries.

    With `profile` its main thread runs under cProfile, which slows it down, and leaves its statistics in that file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port, password = free_port(), secrets.token_urlsafe(16)
    env = {"AUTHPROXY_ADMIN_PASSWORD": password, "REGISTRY_HTTP_ADDR": f"127.0.0.1:{port}"}
    if workers > 1:
        env["REGISTRY_HTTP_WORKERS"] = str(workers)
    if token_life is not None:
        env["REGISTRY_TOKEN_LIFETIME"] = token_life
    if upstream is not None:
        env["REGISTRY_UPSTREAM_URL"] = upstream
    if checkout is not None:
        env["PYTHONPATH"] = str(checkout.resolve())
    name = NAME if checkout is None else f"{NAME} of {checkout.name}"
    ca = folder / "certs" / "ca.pem"
    with running(name, [sys.executable, *_profiler(profile), *_MODULE], folder, env=env) as server:
        server.wait_until(answers(port, ca, status=401))
        yield Target(name, port, ca, (server,), user=("admin", password))


def storage_of(folder: Path) -> Path:
    """The storage folder of a server that was started in `folder`."""
    return folder / "data" / "registry"


def _profiler(profile: Path | None) -> Sequence[str]:
    return [] if profile is None else ["-m", "cProfile", "-o", str(profile)]
