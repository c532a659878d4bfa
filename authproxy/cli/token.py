"""`authproxy token …`: what was given out, taken back; a running server sees the change within two seconds."""

import datetime as dt
from contextlib import suppress
from pathlib import Path
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
    epilog=examples("authproxy token revoke alice", "authproxy token revoke alice --before 2026-12-31T18:00:00Z")
)
def revoke(
    subject: Annotated[str, typer.Argument(help="The user.")],
    before: Annotated[
        str | None,
        typer.Option(help="Revoke what was issued before this time, 2026-12-31T18:00:00Z. Default: until now."),
    ] = None,
    as_json: AsJson = False,
    config: ConfigOption = None,
) -> None:
    """End a user's logins: refuse all access and refresh tokens that were issued to the user so far.

    The password stays good. To shut the user out: authproxy user disable.
    """
    from authproxy.cli.policy.callers import known_users
    from authproxy.cli.policy.files import has_users
    from authproxy.identity.names import find_name_problem
    from authproxy.token.revocations import LEARNED_WITHIN_S, revoke

    if problem := find_name_problem(subject):
        raise StartError(problem)
    now = dt.datetime.now(dt.UTC)
    # Until every node knows, one that does not may still renew an old login: that token must not outlive this.
    moment = now + dt.timedelta(seconds=LEARNED_WITHIN_S) if before is None else _parse_past(before, now)
    loaded = find_loaded(config)
    revoked = revoke(_state_of(loaded), subject, moment)
    until = revoked.isoformat().replace("+00:00", "Z")
    users: Collection[str] | None = None  # None: any user may exist
    with suppress(StartError):  # files that do not load are not what was asked about
        users = known_users(loaded.settings) if has_users(loaded.settings) else None
    is_known = None if users is None else subject in users
    tell_change(
        f"revoked what was issued to {subject} before {until}",
        loaded.settings,
        as_json=as_json,
        user=subject,
        before=until,
        known=is_known,
    )
    if users is not None and not is_known:
        typer.echo(f"note: no such user: {subject}{meant(subject, users)}; it was revoked all the same", err=True)


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


def _state_of(loaded: "Loaded") -> Path:
    token = loaded.settings.token
    if token is None or token.state is None:
        raise StartError(
            f"{loaded.origin}: token.state is not set, so nothing can be revoked; write token: {{state: FOLDER}}"
        )
    return token.state
