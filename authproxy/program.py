"""How this program was called, so that commands in messages can be typed as they are printed."""

import os
import re
import shlex
import shutil
import sys
from pathlib import Path

NAME = "authproxy"


class _Called:
    """What a command of this process was called with. One process is one command, and a message may be anywhere."""

    config: Path | None = None


def remember_config(config: Path | None) -> None:
    """Commands that messages suggest from now on name this configuration."""
    _Called.config = config


def command(words: str) -> str:
    """A command line of this program, from the words behind its name: `user add alice`.

    It names the configuration that this command was given; a folder or a variable that says it is still in force when
    the line is typed in the same place.
    """
    has_config = words.split(" ", 1)[0] in _TAKE_A_CONFIG and " --config " not in words
    config = f" --config {shlex.quote(str(_Called.config))}" if has_config and _Called.config is not None else ""
    return f"{called(sys.argv[0])} {words}{config}"


_TAKE_A_CONFIG = {"audit", "config", "doctor", "health", "key", "policy", "token", "user"}


def exec_prefix() -> str:
    """What comes before a command that is typed outside of the container, in our image; "" elsewhere.

    docker names a container's host by its id, unless it is given another name.
    """
    if _SET_BY_OUR_IMAGE not in os.environ:
        return ""
    name = os.uname().nodename
    return f"docker exec -it {name if _CONTAINER_ID.fullmatch(name) else 'CONTAINER'} "


_SET_BY_OUR_IMAGE = "AUTHPROXY_RUN_AS"
_CONTAINER_ID = re.compile(r"[0-9a-f]{12}")


def called(started_as: str) -> str:
    """The program's name as it can be typed, from `sys.argv[0]`: its path only where PATH finds another or none."""
    path = Path(started_as)
    if path.name == "__main__.py" and path.parent.name == NAME:
        beside = Path(sys.executable).with_name(NAME)
        return NAME if _is_found(NAME, beside) else f"{shlex.quote(sys.executable)} -m {NAME}"
    if not path.name.startswith(NAME):
        return NAME  # another program runs our code: a test, or a script
    return path.name if _is_found(path.name, path) else shlex.quote(started_as)


def _is_found(name: str, path: Path) -> bool:
    found = shutil.which(name)
    try:
        return found is not None and Path(found).samefile(path)
    except OSError:
        return False
