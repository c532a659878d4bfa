"""`authproxy user …`: the users in htpasswd and users.yaml; a running server sees the change within two seconds."""

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from authproxy.cli.audited import tell_change
from authproxy.cli.examples import examples
from authproxy.cli.group import Commands
from authproxy.cli.json_output import AsJson
from authproxy.cli.settings import ConfigOption, find_loaded
from authproxy.errors import StartError
from authproxy.program import command

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Container, Mapping, Sequence

    from authproxy.config.load import Loaded
    from authproxy.identity.user_entry import UserEntry
    from authproxy.policy.model import PolicySet


app = Commands()

SHORT = 8  # characters; NIST SP 800-63B, section 5.1.1.1: the least for a password of a person's choice

Name = Annotated[str, typer.Argument(help="The user's name.")]
PasswordStdin = Annotated[
    bool, typer.Option(help="Read the password from standard input instead of asking for it.", show_default=False)
]
Cost = Annotated[int | None, typer.Option(help="The bcrypt cost, 4 to 16: one more takes twice as long. Default: 10.")]


class Files(NamedTuple):
    """Where users are kept."""

    htpasswd: Path
    users: Path | None  # None: the configuration has no file for groups


@app.callback()
def user() -> None:
    """Users: add, list, change, shut out, remove."""


@app.command(
    epilog=examples(
        "authproxy user add alice --group team",
        "authproxy user add guest --expires 2026-12-31",
        'echo "$PASSWORD" | authproxy user add ci --robot --password-stdin',
    )
)
def add(
    name: Name,
    *,
    group: Annotated[list[str] | None, typer.Option(help="A group; may be given several times.")] = None,
    expires: Annotated[
        str | None, typer.Option(help="The last day to log in, 2026-12-31 (UTC), or a time, 2026-12-31T18:00:00Z.")
    ] = None,
    robot: Annotated[
        bool, typer.Option("--robot", help="A machine signs in with it: policies can tell it from people.")
    ] = False,
    password_stdin: PasswordStdin = False,
    cost: Cost = None,
    force: Annotated[
        bool, typer.Option("--force", help="Take a name too that is a group's, or opens what another rule is about.")
    ] = False,
    as_json: AsJson = False,
    config: ConfigOption = None,
) -> None:
    """Add a user with a password and groups."""
    from authproxy.cli.new_user import check_free_name, load_rules
    from authproxy.identity.accounts import add_user, check_new_user
    from authproxy.identity.bcrypt_hash import DEFAULT_COST

    loaded = find_loaded(config)
    files = _files_of(loaded)
    groups, until = group or [], None if expires is None else _parse_expiry(expires)
    check_new_user(files.htpasswd, files.users, name, groups, until, is_robot=robot)  # before anybody types a password
    rules = load_rules(loaded.settings)
    if not force:
        check_free_name(rules, files.htpasswd, files.users, name, groups)
    typed = _ask_password(name, password_stdin)
    _note_short(typed)
    add_user(
        files.htpasswd,
        files.users,
        name,
        typed,
        groups,
        expires=until,
        is_robot=robot,
        cost=cost or DEFAULT_COST,
    )
    _tell_added(loaded, files, rules, name, groups, until, is_robot=robot, as_json=as_json)


@app.command(epilog=examples("authproxy user password alice"))
def password(
    name: Name,
    password_stdin: PasswordStdin = False,
    cost: Cost = None,
    as_json: AsJson = False,
    config: ConfigOption = None,
) -> None:
    """Give a user another password; logins with the old one end."""
    from authproxy.identity.accounts import check_known_user, set_password
    from authproxy.identity.bcrypt_hash import DEFAULT_COST

    loaded = find_loaded(config)
    files = _files_of(loaded)
    check_known_user(files.htpasswd, name)
    typed = _ask_password(name, password_stdin)
    _note_short(typed)
    first, *others = set_password(files.htpasswd, name, typed, cost=cost or DEFAULT_COST)
    also = f" (line {first}), and removed the other entries of this name: {_lines(others)}" if others else ""
    tell_change(
        f"changed the password of {name} in {files.htpasswd}{also}", loaded.settings, as_json=as_json, user=name
    )


@app.command(epilog=examples("authproxy user disable alice"))
def disable(name: Name, as_json: AsJson = False, config: ConfigOption = None) -> None:
    """Shut a user out: no login, no refresh token. The password is kept."""
    from authproxy.identity.accounts import set_disabled

    loaded = find_loaded(config)
    files = _files_of(loaded)
    set_disabled(files.htpasswd, files.users, name, disabled=True)
    tell_change(f"disabled {name} in {files.users}", loaded.settings, as_json=as_json, user=name)
    typer.echo(f"access tokens are good until they expire; end them: {command(f'token revoke {name}')}", err=as_json)


@app.command(epilog=examples("authproxy user enable alice"))
def enable(name: Name, as_json: AsJson = False, config: ConfigOption = None) -> None:
    """Let a disabled user log in again, with the same password."""
    from authproxy.identity.accounts import set_disabled

    loaded = find_loaded(config)
    files = _files_of(loaded)
    set_disabled(files.htpasswd, files.users, name, disabled=False)
    tell_change(f"enabled {name} in {files.users}", loaded.settings, as_json=as_json, user=name)


@app.command(epilog=examples("authproxy user expire alice 2026-12-31", "authproxy user expire alice never"))
def expire(
    name: Name,
    when: Annotated[str, typer.Argument(help="The last day to log in, 2026-12-31 (UTC), a time with its zone, never.")],
    as_json: AsJson = False,
    config: ConfigOption = None,
) -> None:
    """Say until when a user may log in and use refresh tokens."""
    from authproxy.identity.accounts import set_expiry

    loaded = find_loaded(config)
    files = _files_of(loaded)
    until = None if when == "never" else _parse_expiry(when)
    set_expiry(files.htpasswd, files.users, name, until)
    change = f"{name} never expires" if until is None else f"{name} expires: {when}"
    tell_change(change, loaded.settings, as_json=as_json, user=name)
    _note_expired(name, until)


@app.command(epilog=examples("authproxy user remove alice"))
def remove(
    name: Name,
    *,
    force: Annotated[
        bool, typer.Option("--force", help="Remove even the last user who can log in.", show_default=False)
    ] = False,
    as_json: AsJson = False,
    config: ConfigOption = None,
) -> None:
    """Remove a user and the user's groups; the last one who can log in only with --force."""
    from authproxy.cli.policy.callers import find_able
    from authproxy.identity.accounts import remove_user

    loaded = find_loaded(config)
    files = _files_of(loaded)
    if not force and find_able(loaded.settings) == {name}:
        raise StartError(
            f"{name} is the last user who can log in: without one, clients can only do what needs no login; add another"
            f" one first, or remove {name} all the same with --force"
        )
    lines = remove_user(files.htpasswd, files.users, name)
    also = f": {_lines(lines)}" if len(lines) > 1 else ""
    tell_change(f"removed {name} from {files.htpasswd}{also}", loaded.settings, as_json=as_json, user=name)


@app.command("list", epilog=examples("authproxy user list", "authproxy user list --config config.yml"))
def list_users(as_json: AsJson = False, config: ConfigOption = None) -> None:
    """List the users, their groups, who is a robot, who expires, and who cannot log in."""
    from authproxy.identity.accounts import load_or_empty, read_groups

    loaded = find_loaded(config)
    files = _files_of(loaded)
    htpasswd, entries = load_or_empty(files.htpasswd), read_groups(files.users)
    names = sorted({*htpasswd.names, *entries})
    if as_json:
        typer.echo(json.dumps([_row(name, entries.get(name), name in htpasswd.entries) for name in names], indent=2))
    else:
        _print_table(names, entries, htpasswd.entries)
    for remark in htpasswd.remarks_on_repeated():
        typer.echo(f"note: {files.htpasswd}: {remark}; {remark.fix}", err=True)


def _print_table(names: "Sequence[str]", entries: "Mapping[str, UserEntry]", with_password: "Container[str]") -> None:
    rows = [(name, _groups_of(entries, name), _state_of(entries.get(name), name in with_password)) for name in names]
    width = max((len(name) for name in names), default=0)
    groups_width = max((len(groups) for _, groups, _ in rows), default=0)
    for name, groups, state in rows:
        typer.echo(f"{name:<{width}}  {groups:<{groups_width}}  {state}".rstrip())


def _row(name: str, entry: "UserEntry | None", has_htpasswd_password: bool) -> "Mapping[str, Any]":
    """A user for programs. `can_log_in` is as of now."""
    from authproxy.identity.expiry import format_expiry

    has_password = has_htpasswd_password or (entry is not None and entry.hashed is not None)
    return {
        "user": name,
        "groups": sorted(entry.groups) if entry else [],
        "robot": entry is not None and entry.is_robot,
        "disabled": entry is not None and entry.disabled,
        "expires": format_expiry(entry.expires) if entry and entry.expires else None,
        "has_password": has_password,
        "can_log_in": has_password and not (entry and entry.is_shut_out(time.time())),
    }


def _tell_added(
    loaded: "Loaded",
    files: Files,
    rules: "PolicySet | None",
    name: str,
    groups: "Sequence[str]",
    until: "dt.datetime | None",
    *,
    is_robot: bool,
    as_json: bool,
) -> None:
    from authproxy.cli.new_user import find_may, find_similar, may_as_json, next_steps
    from authproxy.identity.accounts import read_groups
    from authproxy.policy.capabilities import render
    from authproxy.policy.glob import placeable_name

    entry = read_groups(files.users).get(name)  # an entry without a password may have been there before
    groups = sorted({*groups, *(entry.groups if entry else ())})
    may = None if rules is None else find_may(rules, name, groups, is_robot=is_robot)
    fields = {} if may is None else {"may": may_as_json(may)}
    tell_change(
        f"added {name} to {files.htpasswd}",
        loaded.settings,
        as_json=as_json,
        user=name,
        groups=groups,
        robot=is_robot,
        **fields,
    )
    if may is not None and not as_json:
        typer.echo(f"{name} may: {render(may)}")
    if placeable_name(name) is None:
        typer.echo(f"note: no repository can be called {name}, so rules with {{user}} never match this user", err=True)
    if (other := find_similar(files.htpasswd, files.users, name)) is not None:
        typer.echo(f"note: {other} is another user: upper and lower case count in names", err=True)
    _note_expired(name, until)
    for step in next_steps(loaded, files.htpasswd, name):
        typer.echo(f"next: {step}", err=True)


def _note_short(password: str) -> None:
    if 0 < len(password) < SHORT:  # without any it is refused
        typer.echo(f"note: the password is short: with {SHORT} characters or more it is harder to guess", err=True)


def _note_expired(name: str, until: "dt.datetime | None") -> None:
    if until is not None and until.timestamp() <= time.time():
        typer.echo(f"note: that is past, so {name} cannot log in", err=True)


def _lines(numbers: "Sequence[int]") -> str:
    from authproxy.identity.htpasswd import listed

    return f"line{'s' if len(numbers) > 1 else ''} {listed(numbers)}"


def _groups_of(entries: "Mapping[str, UserEntry]", name: str) -> str:
    return ",".join(sorted(entries[name].groups)) if name in entries and entries[name].groups else "-"


def _state_of(entry: "UserEntry | None", has_htpasswd_password: bool) -> str:
    states = ["robot" if entry is not None and entry.is_robot else "", _access_of(entry, has_htpasswd_password)]
    return ", ".join(filter(None, states))


def _access_of(entry: "UserEntry | None", has_htpasswd_password: bool) -> str:
    from authproxy.identity.expiry import format_expiry

    if entry is not None and entry.disabled:
        return "disabled"
    if not has_htpasswd_password and (entry is None or entry.hashed is None):
        return "cannot log in: no bcrypt password"
    if entry is None or entry.expires is None:
        return ""
    return f"{'expired' if entry.is_shut_out(time.time()) else 'expires'} {format_expiry(entry.expires)}"


def _parse_expiry(text: str) -> "dt.datetime":
    from authproxy.identity.expiry import parse_expiry

    try:
        return parse_expiry(text)
    except ValueError as exc:
        raise StartError(str(exc)) from exc


def _files_of(loaded: "Loaded") -> Files:
    sources = loaded.settings.sources
    htpasswd = next((source.htpasswd.path for source in sources if source.htpasswd), None)
    if htpasswd is None:
        raise StartError(
            f"{loaded.origin}: no htpasswd file is configured; add to identities: - htpasswd: {{path: htpasswd}}"
        )
    return Files(htpasswd, next((source.users.path for source in sources if source.users), None))


def _ask_password(name: str, from_stdin: bool) -> str:
    if not from_stdin:
        if not sys.stdin.isatty():
            raise StartError("there is no terminal to ask for a password; use --password-stdin")
        answer: str = typer.prompt(f"Password for {name}", hide_input=True, confirmation_prompt="Once more")
        return answer
    try:
        return sys.stdin.buffer.read().decode("utf-8-sig").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as exc:
        raise StartError("the password on standard input is not UTF-8") from exc
