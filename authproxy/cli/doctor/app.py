"""`authproxy doctor`: what will not work here, with the registries behind us, or with our tokens at another one."""

from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from authproxy.cli.errors import tell
from authproxy.cli.examples import examples
from authproxy.cli.json_output import AsJson
from authproxy.cli.settings import ConfigArgument, ConfigToo, named_config
from authproxy.doctor.finding import Level
from authproxy.errors import StartError

EXIT_CODES = {Level.OK: 0, Level.FAILED: 1, Level.UNKNOWN: 2}

EXAMPLES = examples(
    "authproxy doctor config.yml",
    "authproxy doctor --as www-data --host registry.example.org config.yml",
    "authproxy doctor --upstream --write config.yml",
    "authproxy doctor --registry /etc/docker/registry/config.yml config.yml",
)


class VersionName(Enum):
    """The versions of CNCF Distribution that differ."""

    V2_8 = "2.8"
    V3_0 = "3.0"
    V3_1 = "3.1"


def doctor(
    config: ConfigArgument = None,
    *,
    config_too: ConfigToo = None,
    registry: Annotated[
        Path | None,
        typer.Option(help="The other registry's config.yml (CNCF Distribution): would it take our tokens?"),
    ] = None,
    upstream: Annotated[
        bool, typer.Option("--upstream", help="The upstreams of our configuration: what is wrong with them?")
    ] = False,
    version: Annotated[
        VersionName | None,
        typer.Option("--version", help="The registry's version; 3.1 for later ones. Default: all that it may be."),
    ] = None,
    bundle: Annotated[
        Path | None, typer.Option(help="A copy of its rootcertbundle, if that is on another machine.")
    ] = None,
    jwks: Annotated[Path | None, typer.Option(help="A copy of its jwks, likewise.")] = None,
    env_file: Annotated[
        Path | None, typer.Option(help="The REGISTRY_* variables that it is started with, one NAME=VALUE per line.")
    ] = None,
    live: Annotated[
        str | None, typer.Option(help="The address of the registry, such as http://localhost:5000: ask it as well.")
    ] = None,
    ca: Annotated[
        Path | None,
        typer.Option(help="The CAs (PEM) that --live trusts instead of the usual ones.", exists=True, dir_okay=False),
    ] = None,
    write: Annotated[
        bool, typer.Option("--write", help="With --upstream: start an upload there, and cancel it.")
    ] = False,
    repository: Annotated[
        str | None, typer.Option(help="With --upstream: an existing repository, by its name there.")
    ] = None,
    hosts: Annotated[
        list[str] | None,
        typer.Option(
            "--host", help="The name that clients use for us, HOST[:PORT] or https://HOST, if http.host has none."
        ),
    ] = None,
    account: Annotated[
        str | None, typer.Option("--as", help="As root: check everything as this user, who will serve.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Report what will not work and the fix: with our configuration on this machine, or with other registries.

    Without --registry and --upstream, checks ports, permissions, certificates, names, keys, users, policies, disk and
    clock. Apart from DNS queries this uses no network, and it changes no file.

    Exit code: 0 ok, 1 a check failed, 2 unknown: a file can't be read, a check could not be made, or versions differ.
    """
    config = named_config(config, config_too)
    if registry is not None and upstream:
        raise typer.BadParameter("name one of them: --registry CONFIG, or --upstream")
    if registry is None:
        about_theirs = {"--version": version, "--bundle": bundle, "--jwks": jwks, "--env-file": env_file}
        _refuse_unused(about_theirs | {"--live": live, "--ca": ca}, "--registry")
    elif hosts:
        raise typer.BadParameter("--host is about our server; leave it out with --registry")
    if not upstream:
        _refuse_unused({"--write": write or None, "--repository": repository}, "--upstream")
    if account is not None and (registry is not None or upstream):
        raise typer.BadParameter("--as is only for this machine: leave out --registry and --upstream")
    try:
        if upstream:
            verdict = _examine_upstreams(config, hosts or [], repository, write=write, as_json=as_json)
        elif registry is None:
            from authproxy.cli.doctor.machine import examine_machine

            names = [host.partition("://")[2].rstrip("/") or host for host in hosts or []]
            verdict = examine_machine(config, names, account, as_json=as_json)
        else:
            from authproxy.cli.doctor.registry import OtherRegistry, examine_registry

            name = None if version is None else version.value
            asked = OtherRegistry(registry, name, bundle, jwks, env_file, live, ca)
            verdict = examine_registry(asked, config, as_json=as_json)
    except StartError as error:
        tell(error)
        raise typer.Exit(EXIT_CODES[Level.UNKNOWN]) from None
    raise typer.Exit(EXIT_CODES[verdict])


def _examine_upstreams(
    config: Path | None, hosts: Sequence[str], repository: str | None, *, write: bool, as_json: bool
) -> Level:
    from authproxy.cli.doctor.upstream import examine_upstreams
    from authproxy.config.document.scalars import parse_url
    from authproxy.doctor.upstream.examine import UpstreamOptions
    from authproxy.errors import NameInvalid
    from authproxy.reference import parse_repository

    try:
        name = None if repository is None else parse_repository(repository)
    except NameInvalid as exc:
        raise StartError(f"--repository {repository}: {exc}") from exc
    if len(hosts) > 1:
        raise typer.BadParameter("--upstream asks on behalf of clients of one host: give one --host")
    try:
        known_as = parse_url(hosts[0]) if hosts else None
    except ValueError as exc:
        raise StartError(f"--host {hosts[0]}: {exc}") from exc
    return examine_upstreams(config, UpstreamOptions(may_write=write, repository=name), known_as, as_json=as_json)


def _refuse_unused(given: Mapping[str, object], other: str) -> None:
    if unused := [option for option, value in given.items() if value is not None]:
        raise typer.BadParameter(f"{', '.join(unused)}: only for {other}; leave it out")
