"""The script for fish."""

from collections.abc import Iterator

from authproxy.cli.completion.tree import Command, Option, quoted

_SCRIPT = """\
# fish completion of authproxy, made by: authproxy completion fish
function __authproxy_at
    set -l at ""
    for word in (commandline -opc)[2..-1]
        switch "$at $word"
            case {known}
                set at "$at $word"
        end
    end
    test "$at" = "$argv[1]"
end
complete -c authproxy -f
{lines}
"""


def script(tree: Command) -> str:
    """All of it."""
    known = " ".join(quoted(command.at) for command in tree.every() if command.at)
    return _SCRIPT.format(known=known, lines="\n".join(_lines(tree)))


def _lines(tree: Command) -> Iterator[str]:
    for command in tree.every():
        here = f"complete -c authproxy -n \"__authproxy_at '{command.at}'\""
        for child in command.below:
            yield f"{here} -a {quoted(child.name)} -d {quoted(child.about)}"
        for argument in command.arguments:
            if argument.choices:
                yield f"{here} -a {quoted(' '.join(argument.choices))}"
            elif argument.is_path:
                yield f"{here} -F"
        for option in command.options:
            yield f"{here} {_option(option)} -d {quoted(option.about)}"


def _option(option: Option) -> str:
    names = " ".join(f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in option.names)
    if option.value is None:
        return names
    if option.value.choices:
        return f"{names} -x -a {quoted(' '.join(option.value.choices))}"
    return f"{names} -r -F" if option.value.is_path else f"{names} -x"
