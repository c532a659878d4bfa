"""`authproxy serve`: run the registry, the token server and the edge."""

import os
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from authproxy.cli.examples import examples
from authproxy.cli.settings import ConfigToo, load_found, named_config
from authproxy.config.find import embedded as find_embedded
from authproxy.config.find import find_to_serve
from authproxy.errors import StartError
from authproxy.program import command, exec_prefix, remember_config

if TYPE_CHECKING:
    import socket

    from authproxy.config.embedded import Layout
    from authproxy.config.sections.http import Debug, Http
    from authproxy.config.settings import Settings
    from authproxy.http.server.options import Options
    from authproxy.server.tls import LiveTls


ADDRESS_VARIABLE = "REGISTRY_HTTP_ADDR"

EXAMPLES = examples(
    "authproxy serve --embedded",
    "authproxy serve --embedded --host nas.lan --host 192.168.1.5",
    "authproxy serve config.yml",
    "REGISTRY_HTTP_ADDR=:443 authproxy serve config.yml",
)


def serve(
    config: Annotated[
        Path | None,
        typer.Argument(
            metavar="CONFIG",
            help="CNCF Distribution's config.yml; without it: REGISTRY_CONFIGURATION_PATH, or the usual places.",
        ),
    ] = None,
    *,
    config_too: ConfigToo = None,
    embedded: Annotated[
        bool,
        typer.Option(
            "--embedded", help="No configuration: data/, certs/ and policies/ in this folder, or in AUTHPROXY_HOME."
        ),
    ] = False,
    host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="With --embedded: serve other machines, which use this name or address; may be given several times.",
        ),
    ] = None,
) -> None:
    """Serve until SIGTERM or Ctrl-C, then let requests in flight end.

    Every key of the configuration can be overridden by a variable, http.addr by REGISTRY_HTTP_ADDR, or by a file that
    one with _FILE behind it names: REGISTRY_HTTP_SECRET_FILE.
    """
    import datetime as dt
    import gc

    # A start leaves a thousand objects behind of 150,000, and would look through all of them several times: a fifth of
    # its time. The server turns it on again.
    gc.disable()
    from authproxy.config.embedded import Layout
    from authproxy.log.configure import configure_log
    from authproxy.log.line_writer import hold_standard_descriptors
    from authproxy.quickstart import add_first_user, prepare
    from authproxy.server.privileges import find_foreign_storage, step_down
    from authproxy.server.sockets import listening

    hold_standard_descriptors()
    named = named_config(config, config_too)
    if embedded and named is not None:
        raise StartError("--embedded reads no configuration file: give one of the two")
    hosts = [_parse_host(text) for text in host or ()]
    if hosts and not embedded:
        raise StartError("--host is for --embedded: in a configuration, http.addr and http.tls say the same")
    remember_config(None if named is None else named.absolute())  # suggested in a log that is read in any folder
    found = find_embedded(os.environ) if embedded else find_to_serve(named, os.environ)
    layout, loaded = Layout(found.home), load_found(found, has_hosts=bool(hosts))
    configure_log(loaded.settings.log)
    _say(f"configuration: {found}")
    for warning in loaded.warnings:
        _say(f"authproxy: warning: {warning}", err=True)
    # The ports come first: a start that cannot serve makes nothing on disk.
    with listening(loaded.settings.http.addr) as sockets, _debug_port(loaded.settings.http.debug) as debug_sockets:
        home = (layout.folder,) if embedded else ()
        if kept := step_down(loaded.settings, os.environ, home) or find_foreign_storage(loaded.settings):
            _say(f"authproxy: warning: {kept}", err=True)
        settings, key = loaded.settings, layout.key
        if embedded:
            if made_up := prepare(layout, os.environ, now=dt.datetime.now(dt.UTC), hosts=hosts):
                _show_password(made_up)
            if layout.key != key:  # it has moved
                settings = load_found(found, has_hosts=bool(hosts)).settings
            _warn_of_lacking(settings, layout, hosts)
        elif made := add_first_user(settings, os.environ):
            _say(f"made {made} with the user admin, whose password is the given one")
        with _shared_folder(settings) as shared_folder:
            _run(settings, sockets, debug_sockets, shared_folder, layout if embedded else None, hosts)


def _run(
    settings: "Settings",
    sockets: "Sequence[socket.socket]",
    debug_sockets: "Sequence[socket.socket]",
    shared_folder: Path | None,
    embedded: "Layout | None",
    hosts: Sequence[str],
) -> None:
    import secrets

    from authproxy import app
    from authproxy.server import processes as server

    http = settings.http
    tls = _open_tls(http)
    app_factory = partial(
        app.create,
        settings,
        secrets.token_bytes(32),
        tls=tls,
        debug_sockets=debug_sockets,
        shared_folder=shared_folder,
    )

    def tell() -> None:
        for line in _startup_lines(settings, sockets, debug_sockets, hosts):
            _say(line)
        if _is_open_to_others(settings):
            _show_openness(sockets[0].getsockname()[1])
        if embedded is not None and not isinstance(http.addr, Path):
            _show_next_steps(settings, embedded, _authority(hosts[0] if hosts else http.addr.host, sockets), hosts)

    server.run(
        app_factory,
        sockets,
        tls=tls,
        workers=http.workers,
        drain_s=http.draintimeout.total_seconds(),
        options=_options(settings),
        on_ready=tell,
    )


@contextmanager
def _debug_port(debug: "Debug") -> "Iterator[Sequence[socket.socket]]":
    from authproxy.server.sockets import listening

    if debug.addr is None:
        yield ()
        return
    with listening(debug.addr, key="http.debug.addr") as sockets:
        yield sockets


@contextmanager
def _shared_folder(settings: "Settings") -> Iterator[Path | None]:
    """What several workers share beside their sockets, gone at the end; None where there is one."""
    if settings.http.workers == 1:
        yield None
        return
    import tempfile

    with tempfile.TemporaryDirectory(prefix="authproxy-") as folder:
        yield Path(folder)


def _startup_lines(
    settings: "Settings",
    sockets: "Sequence[socket.socket]",
    debug_sockets: "Sequence[socket.socket]",
    hosts: Sequence[str],
) -> Iterator[str]:
    """What an operator should see at the start: where it listens, and what is not as usual."""
    http = settings.http
    if settings.has_core and settings.storage and settings.storage.maintenance.readonly.enabled:
        yield "read-only: every write is refused, pulls go on (storage.maintenance.readonly)"
    if debug_sockets and http.debug.addr is not None:
        yield f"debug port on http://{_authority(http.debug.addr.host, debug_sockets)}/debug/health"
    if isinstance(http.addr, Path):
        yield f"listening on {http.addr}{' with TLS' if http.tls else ''}"
    else:
        scheme, prefix = "https" if http.tls else "http", http.prefix if http.prefix != "/" else ""
        urls = [f"{scheme}://{_authority(host, sockets)}{prefix}" for host in hosts or [http.addr.host]]
        yield f"listening on {', '.join(urls)}"


def _is_open_to_others(settings: "Settings") -> bool:
    """Whether anyone who reaches the port may do everything, and the configuration does not say that this is meant."""
    from authproxy.config.mode import Mode
    from authproxy.this_machine import is_loopback

    http = settings.http
    is_reached = not isinstance(http.addr, Path) and not is_loopback(http.addr.host)
    return settings.mode is Mode.OPEN and settings.auth is None and http.tls is None and is_reached


def _show_openness(port: int) -> None:
    from authproxy.server.privileges import VARIABLE

    is_image = VARIABLE in os.environ  # the image sets it
    start = "docker run -p 5000:5000 -v authproxy:/var/lib/authproxy authproxy" if is_image else command("").strip()
    _say(
        f"\n  OPEN: anyone who reaches port {port} may push, pull and delete: there is no login, and no TLS."
        "\n  With both, and nothing to write; NAME is what clients call this machine:"
        f"\n\n    {start} serve --embedded --host NAME"
        "\n\n  If it is meant to be open, write auth: none in the configuration, or set REGISTRY_AUTH=none.\n",
        err=True,
    )


def _open_tls(http: "Http") -> "LiveTls | None":
    from authproxy.server.tls import LiveTls

    return LiveTls.open(http.tls.certificate, http.tls.key) if http.tls else None


def _options(settings: "Settings") -> "Options":
    from authproxy.edge.forwarded import is_trusted
    from authproxy.http.server.options import Options

    http = settings.http
    is_proxy = partial(is_trusted, trusted=http.trustedproxies) if http.trustedproxies else None
    return Options(
        max_head_bytes=settings.limits.requesthead,
        sends_preamble=is_proxy if http.proxyprotocol else None,
        is_proxy=is_proxy,
    )


def _authority(host: str, sockets: "Sequence[socket.socket]") -> str:
    from authproxy.this_machine import bracketed

    return f"{bracketed(host or 'localhost')}:{sockets[0].getsockname()[1]}"


def _say(text: str, *, err: bool = False) -> None:
    """Print to the operator; a start does not fail if the output is closed, or if the disk with the log is full."""
    with suppress(OSError):
        typer.echo(text, err=err)


def _show_password(password: str) -> None:
    from authproxy.quickstart import ADMIN

    change = exec_prefix() + command(f"user password {ADMIN}")
    typer.echo(f"\n  user      {ADMIN}\n  password  {password}\n")
    kept = ", but the container's log keeps it" if exec_prefix() else ""
    typer.echo(f"  shown this once{kept}; to change it: {change}\n")


def _show_next_steps(settings: "Settings", layout: "Layout", authority: str, hosts: Sequence[str]) -> None:
    from authproxy.identity.accounts import load_or_empty
    from authproxy.own_certificate import given_hosts
    from authproxy.quickstart import ADMIN, ADMINS
    from authproxy.this_machine import is_loopback

    prefix, variable = exec_prefix(), os.environ.get(ADDRESS_VARIABLE)
    names = load_or_empty(layout.htpasswd).names
    user = ADMIN if ADMIN in names else min(names, default=None)
    steps = [] if user is None else [f"docker login {authority} -u {user}"]
    if user is None:
        steps.append(f"{prefix}{command(f'user add {ADMIN} --group {ADMINS}')}   # nobody can log in")
    if variable and not prefix:  # so that commands find the server
        steps.insert(0, f"export {ADDRESS_VARIABLE}={shlex.quote(variable)}")
    steps += [
        f"docker tag busybox {authority}/team/busybox:1 && docker push {authority}/team/busybox:1",
        f"{prefix}{command('user add alice')}",
        f"{prefix}{command('policy explain alice push team/busybox')}",
    ]
    _say("\n  ".join(["\nnext, in another terminal:", *steps]))
    if prefix and not hosts and is_loopback(authority):
        _say("\nfrom outside of this container nothing reaches it: start it with --host NAME, the machine's name")
    if not hosts and (given := given_hosts(layout)) and is_loopback(authority):
        before = " ".join(f"--host {name}" for name in given)
        _say(f"\nthis start serves this machine only; an earlier one had: {before}")
    if settings.http.tls is not None and hosts:
        _say(
            "\nunder a name other than localhost, docker has to trust the certificate first;"
            f" `{prefix}{command(f'trust {authority}')}`\nprints the lines to paste"
        )
    _say("")


def _warn_of_lacking(settings: "Settings", layout: "Layout", hosts: Sequence[str]) -> None:
    """Say which of the given names the certificate is not for, if it is not ours to extend."""
    from authproxy.own_certificate import find_lacking

    tls = settings.http.tls
    if tls is None or not (lacking := find_lacking(tls.certificate, hosts)):
        return
    what = f"{tls.certificate} is not for {', '.join(lacking)}, so clients that use this name refuse it"
    fix = "get one that is"
    if tls.certificate == layout.certificate:
        fix += f", or remove it: it is not one that {layout.authority_key} can renew, and the next start makes one"
    _say(f"authproxy: warning: {what}; {fix}", err=True)


def _parse_host(text: str) -> str:
    from authproxy.this_machine import parse_host

    try:
        return parse_host(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--host") from None
