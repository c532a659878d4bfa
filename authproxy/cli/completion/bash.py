"""The script for bash, 3.2 and newer. Where it offers nothing, bash completes names of files."""

from collections.abc import Iterator

from authproxy.cli.completion.tree import Command, paths_with_values

_SCRIPT = """\
# bash completion of authproxy, made by: authproxy completion bash
_authproxy() {{
    local cur=${{COMP_WORDS[COMP_CWORD]}} at="" words="" i
    for ((i = 1; i < COMP_CWORD; i++)); do
        case "$at ${{COMP_WORDS[i]}}" in
            {known}) at="$at ${{COMP_WORDS[i]}}" ;;
        esac
    done
    COMPREPLY=()
    case "$at ${{COMP_WORDS[COMP_CWORD - 1]}}" in
{values}
    esac
    case "$at" in
{commands}
    esac
    COMPREPLY=($(compgen -W "$words" -- "$cur"))
}}
complete -o default -F _authproxy authproxy
"""


def script(tree: Command) -> str:
    """All of it."""
    known = "|".join(f'"{command.at}"' for command in tree.every() if command.at)
    return _SCRIPT.format(known=known, values="\n".join(_values(tree)), commands="\n".join(_commands(tree)))


def _values(tree: Command) -> Iterator[str]:
    for path, value in paths_with_values(tree):
        offer = f'COMPREPLY=($(compgen -W "{" ".join(value.choices)}" -- "$cur")); ' if value.choices else ""
        yield f'        "{path}") {offer}return ;;'


def _commands(tree: Command) -> Iterator[str]:
    for command in tree.every():
        below = [child.name for child in command.below]
        choices = [word for argument in command.arguments for word in argument.choices]
        options = [name for option in command.options for name in option.names]
        yield f'        "{command.at}")'
        yield f'            words="{" ".join([*below, *choices])}"'
        yield f'            if [[ $cur == -* ]]; then words="{" ".join(options)}"; fi'
        yield "            ;;"
