"""`authproxy config`: look at a configuration without serving it."""

import typer

from authproxy.cli.examples import examples
from authproxy.cli.group import Commands
from authproxy.cli.settings import ConfigArgument, ConfigToo, find_loaded, named_config
from authproxy.cli.user_files import remarks_on_users
from authproxy.errors import StartError

app = Commands(help="Check and show the configuration; REGISTRY_* variables apply.")


@app.command(epilog=examples("authproxy config check config.yml", "REGISTRY_HTTP_ADDR=:443 authproxy config check"))
def check(config: ConfigArgument = None, *, config_too: ConfigToo = None) -> None:
    """Say whether the configuration can be served, and in which mode; the exit code is 1 where it cannot."""
    from authproxy.config.pem_files import find_file_faults

    loaded = find_loaded(named_config(config, config_too))
    for warning in (*loaded.warnings, *remarks_on_users(loaded.settings)):
        typer.echo(f"warning: {warning}")
    for fault in find_file_faults(loaded.settings):
        said = f"{fault.key}: {fault.path} {fault.what}"
        if not fault.is_missing:
            raise StartError(said)
        typer.echo(f"warning: {said}")
    typer.echo(f"{loaded.origin}: ok (mode: {loaded.settings.mode.value})")


@app.command(epilog=examples("authproxy config show config.yml"))
def show(config: ConfigArgument = None, *, config_too: ConfigToo = None) -> None:
    """Print the effective configuration as YAML, each value with its source; secrets are hidden."""
    from authproxy.config.show import show as render

    typer.echo(render(find_loaded(named_config(config, config_too))), nl=False)
