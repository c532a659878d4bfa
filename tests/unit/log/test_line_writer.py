"""Lines on their way out: what can't be written is counted and told of later, and no caller gets to know."""

import errno
import io
import os
import resource
import subprocess
import sys
import threading
from pathlib import Path
from typing import TextIO

import pytest

from authproxy.log.line_writer import LineWriter


def notice(lost: int) -> str:
    return f"{lost} lost"


class Moody(io.StringIO):
    """A stream that fails while `fault` is set."""

    fault: Exception | None = None

    def write(self, text: str) -> int:
        if self.fault is not None:
            raise self.fault
        return super().write(text)


FAULTS = [OSError(errno.ENOSPC, "full"), BrokenPipeError(), ValueError("closed"), MemoryError()]


@pytest.mark.parametrize("fault", FAULTS, ids=repr)
def test_lost_lines_are_counted_and_told_once_writing_works(fault: Exception) -> None:
    stream = Moody()
    lines = LineWriter(stream, notice=notice)
    lines.write("a\n")
    stream.fault = fault
    lines.write("b\n")
    lines.write("c\nd\n", 2)
    lines.lose()
    assert lines.lost == 4
    stream.fault = None
    lines.write("e\n")
    lines.write("f\n")
    assert stream.getvalue() == "a\n4 lost\ne\nf\n"
    assert lines.lost == 4


def test_a_line_that_fits_in_part_is_not_continued_by_the_next(tmp_path: Path) -> None:
    path = tmp_path / "log"
    size = resource.getpagesize()
    script = (
        "import resource, signal, sys\n"
        "from authproxy.log.line_writer import LineWriter\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, resource.RLIM_INFINITY))\n"
        "lines = LineWriter(notice='{} lost'.format)\n"
        f"lines.write('a' * {size + 10} + '\\n')\n"
        "assert lines.lost == 1\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))\n"
        "lines.write('b\\n')\n"
    )
    with path.open("w") as stderr:
        subprocess.run([sys.executable, "-c", script], stderr=stderr, check=True, timeout=60)
    assert path.read_text() == "a" * size + "\n1 lost\nb\n"


def _closed(stream: TextIO) -> TextIO:
    stream.close()
    return stream


@pytest.mark.parametrize("kind", ["full", "closed", "without a reader"])
def test_no_standard_error_is_a_fault_of_who_logs(kind: str) -> None:
    if kind == "without a reader":
        reader, writer = os.pipe()
        os.close(reader)
        stream = os.fdopen(writer, "w")
    else:
        stream = Path("/dev/full").open("w")  # noqa: SIM115 - closed below
    lines = LineWriter(_closed(stream) if kind == "closed" else stream)
    lines.write("a\n")
    lines.write("b\n")
    assert lines.lost == 2
    stream.close()


class Interrupted(io.StringIO):
    """A stream in the middle of whose first line another one is logged."""

    lines: LineWriter | None = None

    def write(self, text: str) -> int:
        lines, self.lines = self.lines, None
        if lines is not None:
            lines.write("from within\n")
        return super().write(text)


def test_logging_while_a_line_is_written_does_not_wait_for_it() -> None:
    """The garbage collector may run then, and log a fault of a task that it finds."""
    stream = Interrupted()
    lines = stream.lines = LineWriter(stream)
    writer = threading.Thread(target=lines.write, args=("a\n",), daemon=True)
    writer.start()
    writer.join(20)
    assert not writer.is_alive()
    assert stream.getvalue() == "from within\na\n"


def test_a_process_without_standard_error_logs_into_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    lines = LineWriter()
    lines.write("a\n")
    assert lines.lost == 1


def test_a_text_that_no_encoding_has_is_written_escaped(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as stream:
        LineWriter(stream).write("a\udcff\n")
    assert (tmp_path / "log").read_text() == "a\\udcff\n"


def test_no_socket_gets_the_place_of_a_stream_that_is_closed() -> None:
    script = (
        "import os\n"
        "from authproxy.log.line_writer import hold_standard_descriptors\n"
        "os.close(0)\n"
        "os.close(2)\n"
        "hold_standard_descriptors()\n"
        "print(os.readlink('/proc/self/fd/0'), os.readlink('/proc/self/fd/2'), os.open('/', os.O_RDONLY) > 2)\n"
    )
    ran = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, check=True, timeout=60)
    assert ran.stdout == "/dev/null /dev/null True\n"
