"""`authproxy policy …`: ask the policies what they would say, before anybody else does."""

from pathlib import Path
from typing import Annotated, Any

import typer

from authproxy.cli.examples import examples
from authproxy.cli.group import Commands
from authproxy.cli.json_output import AsJson, in_json
from authproxy.cli.output import counted
from authproxy.cli.policy import as_json as documents
from authproxy.cli.policy import can_i, imports, replay, retention
from authproxy.cli.policy.arguments import (
    Address,
    At,
    Claims,
    Tls,
    parse_claims,
    parse_explained,
    parse_request,
    parse_time,
    parse_who,
)
from authproxy.cli.policy.callers import find_caller, known_users
from authproxy.cli.policy.files import (
    PoliciesOption,
    find_rules,
    has_users,
    read_users_files,
)
from authproxy.cli.policy.reporting import reporting
from authproxy.cli.settings import ConfigOption
from authproxy.errors import StartError

app = Commands()


@app.callback()
def policy() -> None:
    """Ask the policies what they would say."""


@app.command(
    epilog=examples(
        "authproxy policy explain alice repository:team/app:pull,push",
        "authproxy policy explain alice push team/app:v1",
        "authproxy policy explain - pull public/app",
        "authproxy policy explain ci push team/app --robot --group builders --address 10.1.2.3",
    )
)
def explain(
    user: Annotated[str, typer.Argument(help="A user's name, or - for a caller without credentials.")],
    scope: Annotated[str, typer.Argument(help="repository:team/app:pull,push or registry:catalog:*; or an action")],
    repository: Annotated[
        str, typer.Argument(help="Behind an action (push, overwrite, …): team/app, or with a tag team/app:v1.")
    ] = "",
    *,
    policies: PoliciesOption = None,
    group: Annotated[
        list[str] | None, typer.Option(help="A group of the user, instead of those that the users file says.")
    ] = None,
    robot: Annotated[bool, typer.Option("--robot", help="The user is a robot, whatever the users file says.")] = False,
    claim: Claims = None,
    at: At = None,
    address: Address = None,
    tls: Tls = None,
    as_json: AsJson = False,
    config: ConfigOption = None,
) -> None:
    """Say what a user may do, and the file, line and rule that decided it.

    Ask for a scope as clients write it (repository:team/app:push), or for actions: push team/app:v1.

    Exit code 0: all of it is allowed; 1: something is denied; 2: unknown, a file cannot be read.
    """
    from authproxy.policy.explain import explain, render
    from authproxy.policy.load import load_policies

    (accesses, tag), now = parse_explained(scope, repository), parse_time(at)
    request, claims = parse_request(address, tls=tls), parse_claims(claim)
    with reporting():
        settings, path = find_rules(policies, config)
        principal = find_caller(user, group, settings, is_robot=robot, claims=claims)
        rules = load_policies(path)
    explanations = [
        one for access in accesses for one in explain(rules, principal, access, tag=tag, now=now, request=request)
    ]
    is_allowed = all(one.decision.allowed for one in explanations)
    if as_json:
        _print(documents.explained(principal, explanations, allowed=is_allowed))
    else:
        for explanation in explanations:
            typer.echo("\n".join(render(explanation)))
    raise typer.Exit(0 if is_allowed else 1)


@app.command(
    "test",
    epilog=examples(
        "authproxy policy test", "authproxy policy test --policies draft.yaml --strict --junit policies.xml"
    ),
)
def decide_cases(
    policies: PoliciesOption = None,
    config: ConfigOption = None,
    junit: Annotated[Path | None, typer.Option(help="Write the outcome to this file too, as JUnit XML.")] = None,
    strict: Annotated[bool, typer.Option(help="Fail too where a rule decides in no case.", show_default=False)] = False,
    as_json: AsJson = False,
) -> None:
    """Decide the cases written beside the rules, and name the rules that decide in none.

    Exit code 0: all cases hold; 1: some fail; 2: a file cannot be read, or there are no cases.
    """
    from authproxy.policy.cases import run_cases
    from authproxy.policy.junit import to_junit
    from authproxy.policy.load import load_all

    with reporting():
        path = policies or find_rules(None, config)[1]
        loaded = load_all(path, needs_rule=policies is None)
        if not loaded.cases and not loaded.retention_cases:
            raise StartError(f"{path}: holds no cases; write them under tests: beside the rules")
        report = run_cases(loaded.policies, loaded.cases, loaded.retention, loaded.retention_cases)
        if junit is not None:
            _write(junit, to_junit(report))
    rules = len(loaded.policies.rules) + len(loaded.retention)
    exit_code = 1 if report.failed or (strict and report.untested) else 0
    if as_json:
        _print(documents.tested(report, rules))
        raise typer.Exit(exit_code)
    for outcome in report.failed:
        typer.echo(f"failed: {outcome.case.place}: {outcome.case}")
        typer.echo("\n".join(f"  {fault}" for fault in outcome.faults))
        if outcome.case.why:
            typer.echo(f"  why: {outcome.case.why}")
    for rule in report.untested:
        typer.echo(f"untested: {rule} decides in no case")
    typer.echo(
        f"{counted(len(report.outcomes), 'case')}, {len(report.failed)} failed;"
        f" {rules - len(report.untested)} of {counted(rules, 'rule')} decided in some"
    )
    raise typer.Exit(exit_code)


@app.command(epilog=examples("authproxy policy check", "authproxy policy check --config config.yml"))
def check(policies: PoliciesOption = None, config: ConfigOption = None, as_json: AsJson = False) -> None:
    """Find rules without effect, and names that open to their users what other rules are about.

    A rule has no effect where it never matches, where others cover it, or where its subjects do not exist.

    Exit code 0: there are none; 1: some were found; 2: unknown, a file cannot be read.
    """
    from authproxy.policy.check import check
    from authproxy.policy.load import load_all
    from authproxy.policy.shared_names import find_shared_names

    with reporting():
        settings, path = find_rules(policies, config)
        loaded = load_all(path)
        groups, robots = None, None
        users = known_users(settings)
        if read_users_files(settings):
            groups = {group for user in users.values() for group in user.groups}
            robots = {user.name for user in users.values() if user.is_robot}
        findings = check(loaded.policies, loaded.cases, groups=groups, robots=robots)
        shared = list(find_shared_names(loaded.policies, users=set(users), groups=groups or ()))
    if as_json:
        _print(documents.checked(len(loaded.policies.rules), findings, shared))
        raise typer.Exit(1 if findings or shared else 0)
    for finding in (*findings, *shared):
        typer.echo(str(finding))
    if not findings:
        typer.echo(f"{counted(len(loaded.policies.rules), 'rule')}: every one has an effect")
    raise typer.Exit(1 if findings or shared else 0)


@app.command(
    epilog=examples(
        "authproxy policy who-can push team/app",
        "authproxy policy who-can overwrite team/app:v1",
        "authproxy policy who-can catalog",
    )
)
def who_can(
    action: Annotated[str, typer.Argument(help="pull, push, delete, create, overwrite or catalog")],
    repository: Annotated[
        str, typer.Argument(help="A repository's name, with a tag behind a colon or without; none for the catalog.")
    ] = "",
    policies: PoliciesOption = None,
    config: ConfigOption = None,
    as_json: AsJson = False,
) -> None:
    """Say who may do something: users, groups and claims that rules, users files or the repository's name mention.

    Exit code 0: at least one certainly may; 1: none certainly may; 2: unknown, a file cannot be read.
    """
    from authproxy.policy.load import load_policies
    from authproxy.policy.who_can import find_unknown_users, who_can

    access, tag = parse_who(action, repository)
    with reporting():
        settings, path = find_rules(policies, config)
        rules = load_policies(path)
        users = known_users(settings)
        are_all = has_users(settings)
    answers = who_can(rules, access, users.values(), tag=tag, are_all_users=are_all)
    unknown = find_unknown_users(rules, users) if are_all else ()
    if as_json:
        _print(documents.who(access, tag, answers, unknown))
        raise typer.Exit(0 if answers.allowed else 1)
    for name in unknown:
        typer.echo(f"authproxy: no such user: {name}, whom a rule names", err=True)
    for answer in answers.allowed:
        typer.echo(f"{answer.who}: {answer.decision.reason}")
    for answer in answers.perhaps:
        typer.echo(f"perhaps {answer.who}: {answer.decision.reason}, by conditions")
    for answer in answers.denied:
        typer.echo(f"not {answer.who}: {answer.decision.reason}")
    if not answers.allowed and not answers.perhaps:
        typer.echo("none of the callers that the rules and the users files mention")
    raise typer.Exit(0 if answers.allowed else 1)


@app.command(epilog=examples("authproxy policy diff policies draft.yaml"))
def diff(
    old: Annotated[Path, typer.Argument(help="A policy file or folder, as it was.")],
    new: Annotated[Path, typer.Argument(help="A policy file or folder, as it is to be.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Say who gains (+) and who loses (-) what, on which repositories.

    Exit code 0: no decision changes; 1: some change; 2: unknown, a file cannot be read.
    """
    from authproxy.policy.diff import diff, render
    from authproxy.policy.load import load_policies

    with reporting():
        changes = diff(load_policies(old), load_policies(new))
    if as_json:
        _print(documents.changed(changes))
        raise typer.Exit(1 if changes else 0)
    for line in render(changes):
        typer.echo(line)
    raise typer.Exit(1 if changes else 0)


@app.command(epilog=examples("authproxy policy schema > policy.schema.json"))
def schema() -> None:
    """Print the JSON Schema of a policy file, by which editors complete it."""
    from authproxy.policy.json_schema import policy_schema

    typer.echo(policy_schema(), nl=False)


app.add_typer(imports.app, name="import")
app.command("can-i", epilog=can_i.EXAMPLES, context_settings=can_i.TAKES_MORE)(can_i.can_i)
app.command("replay", epilog=replay.EXAMPLES)(replay.replay)
app.command("retention", epilog=retention.EXAMPLES)(retention.retention)


def _print(content: Any) -> None:
    typer.echo(in_json(content))


def _write(path: Path, text: str) -> None:
    from authproxy.files.owner_rights import rights_at

    try:
        with rights_at(path):
            path.write_text(text, encoding="utf-8")
    except OSError as exc:
        raise StartError(f"{path}: cannot be written: {exc.strerror}") from exc
