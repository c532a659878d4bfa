"""`authproxy registry ping`: what a registry is, and what is right and wrong with it."""

import os
import time
from typing import TYPE_CHECKING, Annotated

import typer

from authproxy.cli.examples import examples
from authproxy.cli.json_output import AsJson, in_json
from authproxy.cli.registry.login import Registry, parse_registry
from authproxy.cli.registry_options import Ca, PlainHttp, make_trust

if TYPE_CHECKING:
    from authproxy.doctor.ping.examine import PingReport
    from authproxy.reference import Repository

EXAMPLES = examples(
    "authproxy registry ping registry.example.org",
    "authproxy registry ping localhost:5000",
    "authproxy registry ping registry.example.org --write --repository team/app --json",
)


def ping(
    registry: Registry,
    *,
    write: Annotated[bool, typer.Option("--write", help="Start an upload there too, and cancel it.")] = False,
    repository: Annotated[
        str | None,
        typer.Option(help="A repository to check, and to start the upload in. Default: the catalog's first."),
    ] = None,
    ca: Ca = None,
    plain_http: PlainHttp = False,
    as_json: AsJson = False,
) -> None:
    """Report what a registry is, which auth it wants, and what is right and wrong with it, with the fix.

    It is asked as clients ask it, with the login that docker has stored for it. Nothing is written without --write.

    Exit code: 0 ok, 1 a check failed, 2 the command is wrong.
    """
    import asyncio

    from authproxy.doctor.finding import Level, conclude
    from authproxy.doctor.ping.examine import PingOptions
    from authproxy.doctor.ping.examine import ping as examine

    host = parse_registry(registry)
    options = PingOptions(write, None if repository is None else _parse_repository(repository))
    report = asyncio.run(examine(host, make_trust(ca, plain_http=plain_http), options, os.environ, time.time()))
    verdict = conclude(report.findings)
    typer.echo(_as_json(report, verdict.value) if as_json else _in_words(report, verdict.value))
    raise typer.Exit(1 if verdict is Level.FAILED else 0)


def _parse_repository(text: str) -> "Repository":
    from authproxy.errors import NameInvalid
    from authproxy.reference import parse_repository

    try:
        return parse_repository(text)
    except NameInvalid as error:
        raise typer.BadParameter(f"{text}: {error}", param_hint="--repository") from None


def _in_words(report: "PingReport", verdict: str) -> str:
    from authproxy.cli.doctor.findings import line_of

    kind = "" if report.product is None else f" ({report.product})"
    first = f"{report.address}{kind}: {verdict}"
    return "\n".join([first, *map(line_of, report.findings)])


def _as_json(report: "PingReport", verdict: str) -> str:
    from authproxy.cli.doctor.findings import row_of

    product, wanted = report.product, report.wanted
    content = {
        "registry": report.host,
        "address": report.address,
        "verdict": verdict,
        "product": None if product is None else {"name": product.name, "because": product.because},
        "auth": None
        if wanted is None
        else {"schemes": wanted.schemes, "realm": wanted.realm, "service": wanted.service},
        "findings": [row_of(finding) for finding in report.findings],
    }
    return in_json(content)
