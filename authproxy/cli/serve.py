"""`authproxy serve`: run the registry, the token server and the edge."""

import datetime as dt
import os
import secrets
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from authproxy.errors import StartError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from authproxy.config.serving import Http


def serve(
    config: Annotated[
        Path | None, typer.Argument(help="CNCF Distribution's config.yml; without it the usual places are searched.")
    ] = None,
    *,
    embedded: Annotated[
        bool, typer.Option("--embedded", help="No configuration: data/, certs/ and policies/ in this folder.")
    ] = False,
) -> None:
    """Serve until SIGTERM or Ctrl-C, then let requests in flight end.

    Every key of the configuration can be overridden by a variable: http.addr by REGISTRY_HTTP_ADDR.
    """
    from authproxy import app, log, server
    from authproxy.config.load import load, load_values
    from authproxy.embedded import Layout, prepare
    from authproxy.listen import listening

    if embedded and config is not None:
        raise StartError("--embedded reads no configuration file: give one of the two")
    layout = Layout(Path())
    loaded = load_values(layout.values(), "embedded default", os.environ) if embedded else load(config, os.environ)
    settings = loaded.settings
    log.configure(settings.log)
    typer.echo(f"configuration: {loaded.origin}")
    for warning in loaded.warnings:
        typer.echo(f"authproxy: warning: {warning}", err=True)
    # The port comes first: a start that cannot serve makes nothing on disk.
    with listening(settings.http.addr) as sockets:
        if embedded and (made_up := prepare(layout, os.environ, now=dt.datetime.now(dt.UTC))):
            _show_password(made_up)
        tls_factory = _tls_factory(settings.http)
        app_factory = partial(app.create, settings, secrets.token_bytes(32))
        # Both are made here, so that what is wrong is said in one line whatever the number of workers.
        if tls_factory is not None:
            tls_factory()
        first = app_factory()
        address = settings.http.addr
        authority = "" if isinstance(address, Path) else _authority(address.host, sockets[0].getsockname()[1])
        server.run(
            (lambda: first) if settings.http.workers == 1 else app_factory,
            sockets,
            tls_factory=tls_factory,
            workers=settings.http.workers,
            on_ready=partial(_show_address, "https" if settings.http.tls else "http", authority, embedded=embedded),
        )


def _tls_factory(http: "Http") -> "Callable[[], ssl.SSLContext] | None":
    from authproxy.certificates import load_tls

    return partial(load_tls, http.tls.certificate, http.tls.key) if http.tls else None


def _authority(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host or 'localhost'}:{port}"


def _show_password(password: str) -> None:
    typer.echo(f"\n  user      admin\n  password  {password}\n")
    typer.echo("  shown this once; to change it: .venv/bin/authproxy user password admin\n")


def _show_address(scheme: str, authority: str, *, embedded: bool) -> None:
    typer.echo(f"listening on {scheme}://{authority}")
    if embedded:
        typer.echo(
            "\nnext, in another terminal:\n"
            f"  docker login {authority} -u admin\n"
            f"  docker tag busybox {authority}/team/busybox:1 && docker push {authority}/team/busybox:1\n"
            f"  curl --cacert certs/ca.pem -u admin"
            f" '{scheme}://{authority}/token?scope=repository:team/busybox:pull,push'\n"
        )
