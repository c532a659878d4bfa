"""`authproxy trust`: the lines by which a client on another machine trusts our certificate."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from authproxy.cli.examples import examples
from authproxy.cli.json_output import AsJson, in_json
from authproxy.cli.settings import ConfigOption, find_told, load_found
from authproxy.cli.trust.lines import TITLES, Client, lines_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from authproxy.cli.trust.served import Served

EXAMPLES = examples(
    "authproxy trust nas.lan:5000", "authproxy trust nas.lan:5000 --for podman", "authproxy trust --json --for docker"
)

MAX_PORT = 65535

# Those that trust the CA for this registry alone.
USUAL = (Client.DOCKER, Client.PODMAN, Client.CONTAINERD, Client.K3S)


def trust(
    hosts: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="HOST", help="What clients call the server, NAME:PORT. Default: the names that it was started with."
        ),
    ] = None,
    *,
    clients: Annotated[
        list[Client] | None, typer.Option("--for", help="Only for this client; may be given several times.")
    ] = None,
    as_json: AsJson = False,
    config: ConfigOption = None,
) -> None:
    """Print the lines to paste on another machine, so that its clients trust the server's certificate.

    They contain the certificate of the CA, so that nothing has to be copied.

    Exit code: 0 the lines are printed, or none are needed, 1 the CA is not known, 2 the command is wrong.
    """
    from authproxy.cli.trust.served import read_served
    from authproxy.errors import StartError

    found = find_told(config)
    served = read_served(found, load_found(found).settings)
    if hosts:
        served = replace(served, hosts=tuple(_parse(text, served) for text in hosts))
    if not served.hosts:
        raise typer.BadParameter("what clients call the server is not known; name it: nas.lan:5000", param_hint="HOST")
    if served.authority is None and not served.is_trusted_here:
        raise StartError(
            f"{served.file} was issued by {served.issuer}, whose certificate is not in the file; give clients that"
            " certificate, or append it to the file, and run this again"
        )
    if as_json:
        typer.echo(_as_json(served, clients or list(Client)))
        return
    if served.is_trusted_here:
        what = f"this machine trusts {served.issuer}, which issued the certificate"
        typer.echo(f"# {what}; nothing is needed on machines that do so too")
    if served.authority is not None:
        typer.echo(_in_words(served, clients or USUAL), nl=False)


def _parse(text: str, served: "Served") -> str:
    from authproxy.certificates import covers
    from authproxy.this_machine import bracketed, parse_host

    name, colon, port = text.rpartition(":")
    has_port = bool(colon) and port.isascii() and port.isdecimal() and (":" not in name or name.endswith("]"))
    try:
        host = parse_host(name if has_port else text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="HOST") from None
    if has_port and not 0 < int(port) <= MAX_PORT:
        raise typer.BadParameter(f"{text}: {port} is no port", param_hint="HOST")
    if not covers(served.names, host):
        typer.echo(
            f"authproxy: warning: {served.file} is not for {host}, so clients refuse it all the same;"
            f" for the embedded default: serve --embedded --host {host}",
            err=True,
        )
    return f"{bracketed(host)}:{port}" if has_port else served.with_port(host)


def _pem(served: "Served") -> str:
    from authproxy.certificates import to_pem

    assert served.authority is not None, "it is known"
    return to_pem(served.authority).decode()


def _in_words(served: "Served", clients: "Sequence[Client]") -> str:
    blocks = [lines_for(client, served.hosts, _pem(served)) for client in clients]
    if len(clients) == 1:
        return blocks[0]
    others = ", ".join(client.value for client in Client if client not in clients)
    first = "# Paste the lines of one client on the other machine.\n"
    if others:
        first += f"# Others: --for {others}. With system, mac and windows the machine trusts this CA for every name.\n"
    titled = (
        f"\n# --for {client.value}: {TITLES[client]}\n{block}" for client, block in zip(clients, blocks, strict=True)
    )
    return first + "".join(titled)


def _as_json(served: "Served", clients: "Sequence[Client]") -> str:
    known = served.authority is not None
    content = {
        "hosts": list(served.hosts),
        "issuer": served.issuer,
        "trusted_here": served.is_trusted_here,
        "ca": _pem(served) if known else None,
        "lines": {client.value: lines_for(client, served.hosts, _pem(served)) for client in clients} if known else {},
    }
    return in_json(content)
