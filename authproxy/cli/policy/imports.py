"""`authproxy policy import …`: rules that another system decided by, as a policy file, with a report by line."""

import json
from collections import defaultdict
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from authproxy.cli.examples import examples
from authproxy.cli.group import Commands
from authproxy.errors import StartError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from authproxy.importing.imported import Imported, ImportedUser
    from authproxy.importing.report import Remark

app = Commands()


class Format(StrEnum):
    """How the report is written."""

    TEXT = "text"
    JSON = "json"


Output: TypeAlias = Annotated[
    Path | None, typer.Option("--output", "-o", help="The policy file to write, instead of standard output.")
]
Users: TypeAlias = Annotated[
    Path | None, typer.Option(help="Write the users and their groups to this users file.", show_default=False)
]
Force: TypeAlias = Annotated[bool, typer.Option("--force", help="Replace files that are there.")]
ReportFormat: TypeAlias = Annotated[Format, typer.Option(help="How the report on standard error is written.")]


@app.callback()
def import_() -> None:
    """Write the rules of another system as a policy file, and report by line what does not carry over.

    Exit code 0: all of it does; 1: something is left behind; 2: the file cannot be used.
    """


@app.command(
    "docker_auth",
    epilog=examples(
        "authproxy policy import docker_auth auth_config.yml --output policies/imported.yaml",
        "authproxy policy import docker_auth auth_config.yml --users users.yaml --service registry.example.org",
    ),
)
def docker_auth(
    file: Annotated[Path, typer.Argument(help="docker_auth's configuration.")],
    output: Output = None,
    users: Users = None,
    service: Annotated[
        str | None, typer.Option(help="What `service` is in its tokens, where entries ask for it.")
    ] = None,
    force: Force = False,
    report: ReportFormat = Format.TEXT,
) -> None:
    """Write docker_auth's `acl` as rules that decide the same.

    Exit code 0: all of it carries over; 1: something is left behind; 2: the file cannot be used.
    """
    from authproxy.importing.docker_auth.importer import import_docker_auth

    with _reporting():
        _write(import_docker_auth(file, service=service), output, users, force=force, report=report)


@app.command(
    "zot",
    epilog=examples(
        "authproxy policy import zot /etc/zot/config.json --output policies/imported.yaml",
        "authproxy policy import zot config.json --report json > policy.yaml",
    ),
)
def zot(
    file: Annotated[Path, typer.Argument(help="zot's configuration, JSON or YAML.")],
    output: Output = None,
    users: Users = None,
    force: Force = False,
    report: ReportFormat = Format.TEXT,
) -> None:
    """Write zot's `accessControl` as rules that decide the same, and its retention as entries that never remove more.

    Exit code 0: all of it carries over; 1: something is left behind; 2: the file cannot be used.
    """
    from authproxy.importing.zot.importer import import_zot

    with _reporting():
        _write(import_zot(file), output, users, force=force, report=report)


def _write(imported: "Imported", output: Path | None, users: Path | None, *, force: bool, report: Format) -> None:
    from authproxy.files.atomic import write_private
    from authproxy.files.owner_rights import rights_at
    from authproxy.importing.imported import to_policy, to_users
    from authproxy.importing.report import Kind, render_json, render_text

    refused = list(_refused(imported.users))
    usable = [user for user in imported.users if user.line not in {finding.line for finding in refused}]
    unwritten = [] if users else list(_unwritten(usable))
    for path in filter(None, (output, users)):
        if path.exists() and not force:
            raise StartError(f"{path}: is there already; name another file, or replace it with --force")
    policy = to_policy(imported)
    if output is None:
        typer.echo(policy, nl=False)
    else:
        with rights_at(output):
            output.write_text(policy, encoding="utf-8")
    if users is not None:
        write_private(users, to_users(usable).encode())
    findings = sorted([*imported.findings, *refused, *unwritten])
    if report is Format.JSON:
        typer.echo(render_json(imported.source, findings), err=True)
    else:
        typer.echo("\n".join(render_text(imported.source, findings)), err=True, nl=bool(findings))
    raise typer.Exit(1 if any(finding.kind is Kind.LEFT for finding in findings) else 0)


def _refused(users: "Iterable[ImportedUser]") -> "Iterator[Remark]":
    """Users that no users file of ours can hold as they are."""
    from authproxy.identity.bcrypt_hash import find_cost
    from authproxy.identity.names import find_name_problem
    from authproxy.importing.report import Kind, Remark

    for user in users:
        problem = find_name_problem(user.name)
        if user.hashed is not None and find_cost(user.hashed) is None:
            problem = problem or "the password is no bcrypt hash"
        if any(group != group.strip() or not group.isprintable() for group in user.groups) or "" in user.groups:
            problem = problem or "a label's value is not one line of text, as a group is"
        if problem:
            yield Remark(user.line, Kind.LEFT, f"the user {json.dumps(user.name, ensure_ascii=False)}: {problem}")


def _unwritten(users: "Iterable[ImportedUser]") -> "Iterator[Remark]":
    """What is to be done for the groups that the rules name, where no users file is written."""
    from authproxy.importing.report import Kind, Remark

    members: defaultdict[str, list[str]] = defaultdict(list)
    for user in users:
        for group in user.groups:
            members[group].append(user.name)
    for group, names in sorted(members.items()):
        sentence = f"the group {group} has to be given to {', '.join(sorted(names))}; --users FILE writes a users file"
        yield Remark(0, Kind.LEFT, sentence)


@contextmanager
def _reporting() -> "Iterator[None]":
    """Report a file that cannot be read or written in one line, with exit code 2."""
    try:
        yield
    except OSError as exc:
        typer.echo(f"authproxy: {exc.filename}: cannot be written: {exc.strerror}", err=True)
        raise typer.Exit(2) from None
    except StartError as exc:
        typer.echo(f"authproxy: {exc}", err=True)
        raise typer.Exit(2) from None
