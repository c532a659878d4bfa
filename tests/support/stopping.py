"""Runs a Python program that stops itself before a named step of the storage, as SIGSTOP does; SIGCONT goes on.

Arguments: METHOD as `module:Class.method`, PART of its arguments ("" for any), ARMED, then the program and its
arguments. It stops once, before the first call of METHOD that has PART in its arguments while the file ARMED exists,
which is removed by then.
"""

import importlib
import inspect
import os
import runpy
import signal
import sys
from pathlib import Path
from typing import Any


def stop_before(method: str, part: str, armed: Path) -> None:
    """Wrap a method."""
    module, _, path = method.partition(":")
    owner_name, _, name = path.partition(".")
    owner = getattr(importlib.import_module(module), owner_name)
    inner = getattr(owner, name)

    def step(arguments: tuple[Any, ...]) -> None:
        if part not in repr(arguments):
            return
        try:
            armed.unlink()
        except FileNotFoundError:
            return
        os.kill(os.getpid(), signal.SIGSTOP)

    if inspect.iscoroutinefunction(inner):

        async def called(self: Any, *arguments: Any, **more: Any) -> Any:
            step(arguments)
            return await inner(self, *arguments, **more)

    else:

        def called(self: Any, *arguments: Any, **more: Any) -> Any:  # type: ignore[misc]
            step(arguments)
            return inner(self, *arguments, **more)

    setattr(owner, name, called)


if __name__ == "__main__":
    stop_before(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
    sys.argv = sys.argv[4:]
    sys.path[0] = str(Path(__file__).parents[2])  # for programs of the tests
    runpy.run_path(sys.argv[0], run_name="__main__")
