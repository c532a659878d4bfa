"""`authproxy registry …`: log in to any registry and out of it, and see what is right and wrong with one."""

from authproxy.cli.group import Commands
from authproxy.cli.registry import login as registry_login
from authproxy.cli.registry import ping as registry_ping

app = Commands()
app.command("login", epilog=registry_login.LOGIN_EXAMPLES)(registry_login.login)
app.command("logout", epilog=registry_login.LOGOUT_EXAMPLES)(registry_login.logout)
app.command("ping", epilog=registry_ping.EXAMPLES)(registry_ping.ping)


@app.callback()
def registry() -> None:
    """Any registry: log in, log out, see what is right and wrong with it."""
