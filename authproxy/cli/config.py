"""`authproxy config`: look at a configuration without serving it."""

import typer

from authproxy.cli.examples import examples
from authproxy.cli.group import Commands
from authproxy.cli.json_output import AsJson, in_json
from authproxy.cli.named_files import (
    check_pair,
    check_passwords,
    check_policies,
    missing_files,
    remarks_on_users,
    unusable_folders,
)
from authproxy.cli.output import counted
from authproxy.cli.settings import ConfigArgument, ConfigToo, find_loaded, named_config
from authproxy.config.mode import Mode
from authproxy.errors import StartError

# What the configuration makes of callers.
IN_WORDS = {
    Mode.OPEN: "no login: anyone who reaches it may read, write and delete",
    Mode.BASIC: "a password with each request",
    Mode.VERIFY: "it accepts the tokens of another server",
    Mode.ISSUE: "it issues its own tokens",
    Mode.SILLY: "anyone who sends any Authorization header may read, write and delete",
}

app = Commands(help="Check and show the configuration; REGISTRY_* variables apply.")


@app.command(epilog=examples("authproxy config check config.yml", "REGISTRY_HTTP_ADDR=:443 authproxy config check"))
def check(config: ConfigArgument = None, *, as_json: AsJson = False, config_too: ConfigToo = None) -> None:
    """Say whether the configuration can be served, and in which mode; the exit code is 1 where it cannot.

    Files that are missing here, and paths that this account cannot read or write, are warnings, and the last line
    counts them: they may be right where the server runs.
    """
    from authproxy.config.pem_files import find_file_faults

    loaded = find_loaded(named_config(config, config_too))
    warnings: list[str] = []

    def warn(warning: str) -> None:
        warnings.append(warning)
        if not as_json:
            typer.echo(f"warning: {warning}")

    for warning in (*loaded.warnings, *remarks_on_users(loaded.settings)):
        warn(str(warning))
    unusable = [*missing_files(loaded), *unusable_folders(loaded)]
    for fault in find_file_faults(loaded.settings):
        said = f"{fault.key}: {fault.path} {fault.what}"
        if not fault.is_missing:
            raise StartError(said)
        unusable.append(said)
    for said in unusable:
        warn(said)
    check_passwords(loaded.settings)
    check_pair(loaded.settings)
    check_policies(loaded.settings)
    mode = loaded.settings.mode.value
    if as_json:
        content = {"config": str(loaded.origin), "mode": mode, "warnings": warnings}
        typer.echo(in_json(content))
        return
    but = f", but {counted(len(unusable), 'path')} cannot be used here" if unusable else ""
    typer.echo(f"{loaded.origin}: ok{but}: {IN_WORDS[loaded.settings.mode]}")


@app.command(epilog=examples("authproxy config show config.yml"))
def show(config: ConfigArgument = None, *, as_json: AsJson = False, config_too: ConfigToo = None) -> None:
    """Print the effective configuration as YAML, each value with its source; secrets are hidden."""
    from authproxy.config.show import rows_of
    from authproxy.config.show import show as render

    loaded = find_loaded(named_config(config, config_too))
    if as_json:
        content = {"config": str(loaded.origin), "values": rows_of(loaded)}
        typer.echo(in_json(content))
        return
    typer.echo(render(loaded), nl=False)
