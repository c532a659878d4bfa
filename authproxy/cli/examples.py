"""The examples below the help of a command, one a line.

tests/unit/cli/test_help.py holds that each command has some, and that each of them is a command that there is.
"""


def examples(*commands: str) -> str:
    """The epilog of a command. No square brackets: they would be read as markup."""
    return "\n".join(["Examples:", *(f"  {command}" for command in commands)])
