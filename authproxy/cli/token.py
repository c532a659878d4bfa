"""`authproxy token …`: what was given out, taken back; a running server sees the change within two seconds."""

import datetime as dt
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from authproxy.cli.audited import tell_change
from authproxy.cli.examples import examples
from authproxy.cli.group import Commands
from authproxy.cli.json_output import AsJson
from authproxy.cli.output import meant
from authproxy.cli.settings import ConfigOption, find_loaded
from authproxy.errors import StartError
from authproxy.program import command

if TYPE_CHECKING:
    from collections.abc import Collection

    from authproxy.config.load import Loaded

app = Commands()


@app.callback()
def token() -> None:
    """Tokens: revoke."""


@app.command(
    epilog=examples(
        "authproxy token revoke alice",
        "authproxy token revoke alice --before 2026-12-31T18:00:00Z",
        "authproxy token revoke --all",
    )
)
def revoke(
    subject: Annotated[str | None, typer.Argument(help="The user.")] = None,
    all_users: Annotated[bool, typer.Option("--all", help="All users, instead of one.")] = False,
    before: Annotated[
        str | None,
        typer.Option(help="Revoke what was issued before this time, 2026-12-31T18:00:00Z. Default: until now."),
    ] = None,
    undo: Annotated[
        bool, typer.Option("--undo", help="Take a revocation back: what has not expired is accepted again.")
    ] = False,
    as_json: AsJson = False,
    config: ConfigOption = None,
) -> None:
    """End a user's logins: refuse all access and refresh tokens that were issued to the user so far.

    The password stays good. To shut the user out: authproxy user disable.
    """
    from authproxy.cli.revocations import revoke, take_back
    from authproxy.identity.names import find_name_problem
    from authproxy.token.revocations import LEARNED_WITHIN_S

    _check(subject, all_users=all_users, before=before, undo=undo)
    if subject is not None and (problem := find_name_problem(subject)):
        raise StartError(problem)
    now = dt.datetime.now(dt.UTC)
    # Until every node knows, one that does not may still renew an old login: that token must not outlive this.
    moment = now + dt.timedelta(seconds=LEARNED_WITHIN_S) if before is None else _parse_past(before, now)
    loaded = find_loaded(config)
    whom = "all users" if subject is None else subject
    if undo:
        was_there = take_back(loaded, subject)
        until = None
        change = f"took back the revocation of {whom}" if was_there else f"nothing that was issued to {whom} is revoked"
    else:
        until = revoke(loaded, subject, moment).isoformat().replace("+00:00", "Z")
        change = f"revoked what was issued to {whom} before {until}"
    users = None if subject is None else _known_users(loaded)
    is_known = None if users is None else subject in users
    tell_change(change, loaded.settings, as_json=as_json, user=subject, before=until, known=is_known)
    if subject is not None and users is not None and not is_known and not undo:
        typer.echo(f"note: no such user: {subject}{meant(subject, users)}; it was revoked all the same", err=True)


def _check(subject: str | None, *, all_users: bool, before: str | None, undo: bool) -> None:
    if (subject is None) != all_users:
        raise StartError("name one user, or --all: authproxy token revoke SUBJECT")
    if undo and before is not None:
        raise StartError("--undo takes a revocation back as a whole; leave out --before")


def _known_users(loaded: "Loaded") -> "Collection[str] | None":
    """The users that the files have; None: any user may exist."""
    from authproxy.cli.policy.callers import known_users
    from authproxy.cli.policy.files import has_users

    with suppress(StartError):  # files that do not load are not what was asked about
        return known_users(loaded.settings) if has_users(loaded.settings) else None
    return None


def _parse_past(text: str, now: dt.datetime) -> dt.datetime:
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError as exc:
        raise StartError(f"--before {text}: not a time; write 2026-12-31T18:00:00Z") from exc
    if moment.tzinfo is None:
        raise StartError(f"--before {text}: the zone is missing; write 2026-12-31T18:00:00Z")
    if moment > now:
        raise StartError(f"--before {text}: still to come; to shut a user out: {command('user disable NAME')}")
    return moment
