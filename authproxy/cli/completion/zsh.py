"""The script for zsh: a file `_authproxy` in a folder of fpath, or sourced after compinit."""

from collections.abc import Iterator, Sequence

from authproxy.cli.completion.tree import Command, Option, paths_with_values, quoted

_SCRIPT = """\
#compdef authproxy
# zsh completion of authproxy, made by: authproxy completion zsh
_authproxy() {{
    local at="" i takes_files=""
    local -a below flags
    for ((i = 2; i < CURRENT; i++)); do
        case "$at ${{words[i]}}" in
            ({known}) at="$at ${{words[i]}}" ;;
        esac
    done
    case "$at ${{words[CURRENT - 1]}}" in
{values}
    esac
    case "$at" in
{commands}
    esac
    if [[ $PREFIX == -* ]]; then
        _describe -o option flags
    elif (( ${{#below}} )); then
        _describe command below
    elif [[ -n $takes_files ]]; then
        _files
    fi
}}
if [[ ${{zsh_eval_context[-1]}} == loadautofunc ]]; then
    _authproxy "$@"
else
    compdef _authproxy authproxy
fi
"""


def script(tree: Command) -> str:
    """All of it."""
    known = "|".join(f'"{command.at}"' for command in tree.every() if command.at)
    return _SCRIPT.format(known=known, values="\n".join(_values(tree)), commands="\n".join(_commands(tree)))


def _values(tree: Command) -> Iterator[str]:
    for path, value in paths_with_values(tree):
        offer = f"compadd -- {' '.join(value.choices)}" if value.choices else "_files" if value.is_path else ":"
        yield f'        ("{path}") {offer}; return ;;'


def _commands(tree: Command) -> Iterator[str]:
    for command in tree.every():
        choices = [quoted(word) for argument in command.arguments for word in argument.choices]
        below = " ".join([*(quoted(f"{child.name}:{child.about}") for child in command.below), *choices])
        files = " takes_files=1;" if any(argument.is_path for argument in command.arguments) else ""
        yield f'        ("{command.at}") below=({below}); flags=({_flags(command.options)});{files} ;;'


def _flags(options: Sequence[Option]) -> str:
    return " ".join(quoted(f"{name}:{option.about}") for option in options for name in option.names)
