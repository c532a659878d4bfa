"""A person at a terminal: types a line, and answers what it asks."""

import os
import pty
import select
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.binaries import binary
from tests.support.program import Outcome

READ_BYTES = 65_536


def type_line(
    line: str, *, env: Mapping[str, str], cwd: Path, answers: Sequence[tuple[str, str]] = (), timeout_s: float = 120
) -> Outcome:
    """Type a line into a shell at a terminal and wait for its end. All that the terminal showed is its output.

    `answers` are pairs of a prompt and the text to type at it, in order. Raises AssertionError with what was shown if a
    prompt does not come, or the line does not end in time.
    """
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        (binary("bash"), "--norc", "-c", line),
        env={**env, "TERM": "xterm"},
        cwd=cwd,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    shown, seen, left = "", 0, list(answers)
    try:
        while select.select([ours], [], [], timeout_s)[0]:
            try:
                read = os.read(ours, READ_BYTES)
            except OSError:  # Linux's end of a terminal that has no writer left
                break
            shown += read.decode("utf-8", "replace").replace("\r\n", "\n")
            if left and (at := shown.find(left[0][0], seen)) >= 0:
                prompt, text = left.pop(0)
                seen = at + len(prompt)
                os.write(ours, f"{text}\n".encode())
        else:
            raise AssertionError(f"$ {line}\n{shown}\nshowed nothing more for {timeout_s} s")
        code = process.wait(timeout_s)
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    assert not left, f"$ {line}\n{shown}\nnever asked {left[0][0]!r}"
    return Outcome((line,), code, shown, "")
