"""The examples below the help of a command, one a line.

tests/unit/cli/test_help.py holds that each command has some, and that each of them is a command that there is.
"""

# The backspace keeps the lines as they are: the help would fill them otherwise.
_HEADING = "\b\nExamples:"


def examples(*commands: str) -> str:
    """The epilog of a command."""
    return "\n".join([_HEADING, *(f"  {command}" for command in commands)])


def example_lines(epilog: str | None) -> list[str]:
    """The commands in an epilog."""
    heading, lines = (epilog or "")[: len(_HEADING)], (epilog or "")[len(_HEADING) :].splitlines()
    return [line.strip() for line in lines if line.strip()] if heading == _HEADING else []
