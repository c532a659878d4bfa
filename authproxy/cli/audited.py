"""Reports each change of a command twice: to the operator, and to the audit log."""

import os
import pwd
from typing import TYPE_CHECKING, Any

import typer

from authproxy.cli.json_output import in_json

if TYPE_CHECKING:
    from authproxy.config.settings import Settings

# The one that has started the command.
_ACCOUNT = os.getuid()


def tell_change(change: str, settings: "Settings", *, as_json: bool = False, **fields: Any) -> None:
    """Print a sentence that says what was changed, and record it: see `record_change`.

    `as_json`: print it as an object with these fields.
    """
    typer.echo(in_json({"change": change, **fields}) if as_json else change)
    record_change(change, settings)


def record_change(change: str, settings: "Settings | None") -> None:
    """Record a sentence that says what was changed where the configuration keeps an audit log.

    The change has been made: a log that can't be written is a warning. Names may be in the sentence, secrets never.
    """
    from authproxy.audit.event import Event, EventKind
    from authproxy.audit.log import AuditLog
    from authproxy.errors import StartError
    from authproxy.principal import Principal
    from authproxy.wiring.audit import make_sinks

    section = None if settings is None else settings.audit
    if section is None:
        return
    event = Event(EventKind.ADMIN_CHANGE, Principal(operator(), source="shell"), reason=change)
    try:
        # The standard output that a server's lines go to is not the one of this command.
        audits = [AuditLog(sink) for sink in make_sinks(section) if sink.name != "stdout"]
    except StartError as exc:
        typer.echo(f"authproxy: warning: the change is not in the audit log: {exc}", err=True)
        return
    for audit in audits:
        audit.record(event)
        audit.close()
        if not audit.written:
            typer.echo(f"authproxy: warning: the change is not in the audit log ({audit.name})", err=True)


def operator() -> str:
    """The login name of the operator on this machine, also under sudo, and once the command is another account."""
    if named := next(filter(None, map(os.environ.get, ("SUDO_USER", "LOGNAME", "USER"))), None):
        return named
    try:
        return pwd.getpwuid(_ACCOUNT).pw_name
    except KeyError:  # a container's user need not have a name
        return str(_ACCOUNT)
