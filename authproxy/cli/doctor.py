"""`authproxy doctor`: would another registry take our tokens, and what is wrong with those behind us."""

from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from authproxy.cli.faults import tell
from authproxy.doctor.finding import Verdict
from authproxy.errors import StartError

EXIT_CODES = {Verdict.TAKEN: 0, Verdict.REFUSED: 1, Verdict.UNSAID: 2}
USAGE = 2


class VersionName(Enum):
    """The versions of CNCF Distribution that differ."""

    V2_8 = "2.8"
    V3_0 = "3.0"
    V3_1 = "3.1"


def doctor(
    *,
    config: Annotated[
        Path | None, typer.Argument(help="Our configuration. Default: the embedded default in this folder.")
    ] = None,
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
        Path | None, typer.Option(help="A copy of its rootcertbundle, where that lies on another machine.")
    ] = None,
    jwks: Annotated[Path | None, typer.Option(help="A copy of its jwks, likewise.")] = None,
    env_file: Annotated[
        Path | None, typer.Option(help="The REGISTRY_* variables that it is started with, NAME=VALUE a line.")
    ] = None,
    live: Annotated[
        str | None, typer.Option(help="The address of the registry, such as http://localhost:5000: ask it as well.")
    ] = None,
    ca: Annotated[Path | None, typer.Option(help="The authorities (PEM) that --live is to trust.")] = None,
    write: Annotated[
        bool, typer.Option("--write", help="With --upstream: begin an upload there, and cancel it.")
    ] = False,
    repository: Annotated[
        str | None, typer.Option(help="With --upstream: a repository that it has, by its name there.")
    ] = None,
    host: Annotated[
        str | None,
        typer.Option(help="With --upstream: what clients call us, https://HOST, where http.host does not say."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say whether another registry would take our tokens, or what is wrong with the registries behind us, and why.

    Exit code: 0 nothing is wrong, 1 something is, 2 that cannot be said: a file cannot be read, or versions differ.
    """
    if (registry is None) != upstream:
        raise typer.BadParameter("name one of them: --registry CONFIG, or --upstream")
    if registry is None:
        about_theirs = {"--version": version, "--bundle": bundle, "--jwks": jwks, "--env-file": env_file}
        _refuse_in_vain(about_theirs | {"--live": live, "--ca": ca}, "--registry")
    else:
        _refuse_in_vain({"--write": write or None, "--repository": repository, "--host": host}, "--upstream")
    try:
        if registry is None:
            verdict = _look_at_upstreams(config, host, repository, write=write, as_json=as_json)
        else:
            from authproxy.cli.doctor_registry import Asked, look_at_registry

            name = None if version is None else version.value
            asked = Asked(registry, name, bundle, jwks, env_file, live, ca)
            verdict = look_at_registry(asked, config, as_json=as_json)
    except StartError as error:
        tell(error)
        raise typer.Exit(EXIT_CODES[Verdict.UNSAID]) from None
    raise typer.Exit(EXIT_CODES[verdict])


def _look_at_upstreams(
    config: Path | None, host: str | None, repository: str | None, *, write: bool, as_json: bool
) -> Verdict:
    from authproxy.cli.doctor_upstream import look_at_upstreams
    from authproxy.config.scalars import parse_url
    from authproxy.doctor.upstream.examine import Wishes
    from authproxy.errors import NameInvalid
    from authproxy.reference import parse_repository

    try:
        name = None if repository is None else parse_repository(repository)
    except NameInvalid as exc:
        raise StartError(f"--repository {repository}: {exc}") from exc
    try:
        known_as = None if host is None else parse_url(host)
    except ValueError as exc:
        raise StartError(f"--host {host}: {exc}") from exc
    return look_at_upstreams(config, Wishes(may_write=write, repository=name), known_as, as_json=as_json)


def _refuse_in_vain(given: Mapping[str, object], other: str) -> None:
    if in_vain := [option for option, value in given.items() if value is not None]:
        raise typer.BadParameter(f"{', '.join(in_vain)} is for {other} alone; leave it out")
