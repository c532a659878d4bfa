"""`authproxy policy can-i`: yes or no, and the rule that decided, in one line."""

import shlex
from typing import Annotated

import typer

from authproxy.cli.examples import examples
from authproxy.cli.json_output import AsJson, in_json
from authproxy.cli.policy.arguments import Address, At, Claims, Tls, parse_can, parse_claims, parse_request, parse_time
from authproxy.cli.policy.callers import ANONYMOUS, find_caller
from authproxy.cli.policy.files import PoliciesOption, find_rules
from authproxy.cli.policy.reporting import reporting
from authproxy.cli.settings import ConfigOption
from authproxy.program import command

UNKNOWN = 2

# More words reach the command, which says where the user goes.
TAKES_MORE = {"allow_extra_args": True}

EXAMPLES = examples(
    "authproxy policy can-i push team/app --as alice",
    "authproxy policy can-i pull,push team/app --tag v1 --as alice --group team",
    "authproxy policy can-i pull public/app --anonymous",
)


def can_i(
    ctx: typer.Context,
    actions: Annotated[str, typer.Argument(help="pull, push, delete, create, overwrite; several: pull,push; catalog")],
    repository: Annotated[
        str, typer.Argument(help="A repository's name, with a tag behind a colon or without; none for the catalog.")
    ] = "",
    *,
    user: Annotated[str | None, typer.Option("--as", metavar="USER", help="The user who asks.")] = None,
    anonymous: Annotated[bool, typer.Option("--anonymous", help="A caller without credentials asks.")] = False,
    group: Annotated[
        list[str] | None, typer.Option(help="A group of the user, instead of those that the users file says.")
    ] = None,
    robot: Annotated[bool, typer.Option("--robot", help="The user is a robot, whatever the users file says.")] = False,
    claim: Claims = None,
    tag: Annotated[str | None, typer.Option(help="The tag that it is about.")] = None,
    at: At = None,
    address: Address = None,
    tls: Tls = None,
    policies: PoliciesOption = None,
    as_json: AsJson = False,
    config: ConfigOption = None,
) -> None:
    """Say yes or no: may this user do this? With the rule that decided; `policy explain` says more.

    Exit code 0: yes, all of it; 1: no; 2: unknown, it depends on what was not given, or a file cannot be read.
    """
    from authproxy.policy.explain import explain
    from authproxy.policy.load import load_policies

    _refuse_more(ctx, actions, repository)
    asked, now, request = parse_can(actions, repository, tag), parse_time(at), parse_request(address, tls=tls)
    claims = parse_claims(claim)
    if (user is not None) is anonymous:
        raise typer.BadParameter("say who asks: --as USER, or --anonymous", param_hint="--as")
    with reporting():
        settings, path = find_rules(policies, config)
        name = ANONYMOUS if user is None else user
        caller = find_caller(name, group, settings, is_robot=robot, claims=claims, hint="--as")
        rules = load_policies(path)
    explanations = [
        one
        for access in asked.accesses
        for one in explain(rules, caller, access, tag=asked.tag, now=now, request=request)
    ]
    denied = [one for one in explanations if not one.decision.allowed]
    is_unknown = bool(denied) and all(one.is_undecided for one in denied)
    if as_json:
        from authproxy.cli.policy.as_json import explained

        allowed = None if is_unknown else not denied
        typer.echo(in_json(explained(caller, explanations, allowed=allowed)))
    else:
        verdict = "unknown" if is_unknown else "no" if denied else "yes"
        reasons: dict[str, list[str]] = {}
        for one in denied or explanations:
            reason = "a condition needs --address, --tls or --at" if is_unknown else one.decision.reason
            reasons.setdefault(reason, []).append(one.access.action)
        text = "; ".join(
            f"{', '.join(about)}: {reason}" if len(explanations) > 1 else reason for reason, about in reasons.items()
        )
        typer.echo(f"{verdict}: {text}")
    raise typer.Exit(UNKNOWN if is_unknown else 1 if denied else 0)


def _refuse_more(ctx: typer.Context, actions: str, repository: str) -> None:
    """Raise BadParameter for words behind the repository: most are in the order of `policy explain`."""
    from authproxy.policy.model import HIDDEN_ACTIONS, REPOSITORY_ACTIONS

    if not ctx.args:
        return
    user, asked, name = actions, repository, ctx.args[0]
    if len(ctx.args) == 1 and {*asked.split(",")} <= {*REPOSITORY_ACTIONS, *HIDDEN_ACTIONS}:
        who = "--anonymous" if user == ANONYMOUS else f"--as {shlex.quote(user)}"
        line = command(f"policy can-i {asked} {shlex.quote(name)} {who}")
        raise typer.BadParameter(f"the user is an option here: {line}", param_hint="ACTIONS")
    raise typer.BadParameter(f"nothing goes behind REPOSITORY, and {' '.join(ctx.args)} does", param_hint="REPOSITORY")
