"""The command `authproxy`: one module for each group of commands.

A command imports what it needs when it runs, so that `--help` and completion are quick.
"""

import os
import sys
from typing import Annotated

import typer

from authproxy import __version__
from authproxy.cli import config, gc, health, key, serve, token, undelete, usage, user, verify, version
from authproxy.cli.audit.app import app as audit_app
from authproxy.cli.completion.command import EXAMPLES as COMPLETION_EXAMPLES
from authproxy.cli.completion.command import completion
from authproxy.cli.doctor.app import EXAMPLES as DOCTOR_EXAMPLES
from authproxy.cli.doctor.app import doctor
from authproxy.cli.errors import tell
from authproxy.cli.examples import examples
from authproxy.cli.group import Commands
from authproxy.cli.images.app import app as images_app
from authproxy.cli.policy.app import app as policy_app
from authproxy.cli.registry.app import app as registry_app
from authproxy.cli.trust.command import EXAMPLES as TRUST_EXAMPLES
from authproxy.cli.trust.command import trust
from authproxy.errors import StartError, Unavailable

app = Commands(
    name="authproxy",
    help="The registry's front door: TLS, docker login, tokens by policy, and an OCI registry or any behind it.",
)
app.command("serve", epilog=serve.EXAMPLES)(serve.serve)
app.command("doctor", epilog=DOCTOR_EXAMPLES)(doctor)
app.command("health", epilog=health.EXAMPLES)(health.health)
app.command("trust", epilog=TRUST_EXAMPLES)(trust)
app.command("version", epilog=version.EXAMPLES)(version.version)
app.command("completion", epilog=COMPLETION_EXAMPLES)(completion)
app.command("gc", epilog=gc.EXAMPLES)(gc.gc)
app.command("garbage-collect", epilog=gc.DISTRIBUTION_EXAMPLES, hidden=True)(gc.garbage_collect)
app.command("undelete", epilog=undelete.EXAMPLES)(undelete.undelete)
app.command("usage", epilog=usage.EXAMPLES)(usage.usage)
app.command("verify", epilog=verify.EXAMPLES)(verify.verify)
app.add_typer(audit_app, name="audit")
app.add_typer(config.app, name="config")
app.add_typer(images_app, name="images")
app.add_typer(key.app, name="key")
app.add_typer(policy_app, name="policy")
app.add_typer(registry_app, name="registry")
app.add_typer(token.app, name="token")
app.add_typer(user.app, name="user")


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"authproxy {__version__}")
        raise typer.Exit


@app.callback(
    epilog=examples(
        "authproxy serve --embedded",
        "authproxy user add alice --group team",
        "authproxy policy explain alice repository:team/app:push",
        "authproxy registry ping registry.example.org",
        "authproxy doctor config.yml",
    )
)
def _root(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and end.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line. Errors that the operator can fix are one line, with exit code 1 and no traceback.

    `authproxy CONFIG.yml` is `authproxy serve CONFIG.yml`: so CNCF Distribution's container image is called.
    """
    arguments = sys.argv[1:]
    if arguments and arguments[0].endswith((".yml", ".yaml")):
        arguments.insert(0, "serve")
    try:
        app(arguments)
    except (StartError, Unavailable) as error:  # Unavailable: the storage is, or a record in it
        _fail(error)
    except OSError as error:
        if error.filename is None:
            raise
        _fail(StartError(f"{os.fsdecode(error.filename)}: {error.strerror}"))


def _fail(fault: Exception) -> None:
    tell(fault)
    sys.exit(1)
