"""Processes that do the same at the same moment."""

import subprocess
import sys

PROCESSES = 3


def say_at_once(code: str, *arguments: str) -> set[str]:
    """Run `code` in several processes at once; the different things that they print."""
    running = [
        subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, text=True)
        for _ in range(PROCESSES)
    ]
    return {process.communicate(timeout=60)[0] for process in running}
