"""`authproxy completion`: the script by which a shell completes our commands."""

from enum import StrEnum
from typing import Annotated

import typer

from authproxy.cli.examples import examples

EXAMPLES = examples(
    "source <(authproxy completion bash)",
    "authproxy completion bash > /etc/bash_completion.d/authproxy",
    "authproxy completion zsh > ~/.zfunc/_authproxy",
    "authproxy completion fish > ~/.config/fish/completions/authproxy.fish",
)


class Shell(StrEnum):
    """The shells that there is a script for."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def completion(
    context: typer.Context, shell: Annotated[Shell, typer.Argument(metavar="SHELL", help="bash, zsh or fish.")]
) -> None:
    """Print the script by which a shell completes commands, options and their values.

    The script never calls authproxy: generate it again after an upgrade.
    """
    from authproxy.cli.completion import bash as completion_bash
    from authproxy.cli.completion import fish as completion_fish
    from authproxy.cli.completion import zsh as completion_zsh
    from authproxy.cli.completion.tree import read_tree

    scripts = {
        Shell.BASH: completion_bash.script,
        Shell.ZSH: completion_zsh.script,
        Shell.FISH: completion_fish.script,
    }
    typer.echo(scripts[shell](read_tree(context.find_root().command)), nl=False)
