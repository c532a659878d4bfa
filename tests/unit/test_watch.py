"""Files that change under a running server."""

import asyncio
import os
from pathlib import Path

import pytest

from authproxy.watch import fingerprint, keep_fresh


def write(path: Path, text: str) -> None:
    """As our writers do: a new file under the old name."""
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    fresh.replace(path)


def test_a_new_file_under_the_old_name_shows_even_with_the_same_size_and_time(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("one")
    before, status = fingerprint(path), path.stat()
    write(path, "two")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert fingerprint(path) != before


def test_appearing_and_vanishing_show(tmp_path: Path) -> None:
    path = tmp_path / "a"
    without = fingerprint(path)
    path.write_text("x")
    assert fingerprint(path) != without
    path.unlink()
    assert fingerprint(path) == without


def test_a_folder_stands_for_its_matching_files(tmp_path: Path) -> None:
    before = fingerprint(tmp_path, pattern="*.yaml")
    (tmp_path / "a.txt").write_text("x")
    assert fingerprint(tmp_path, pattern="*.yaml") == before
    (tmp_path / "a.yaml").write_text("x")
    assert fingerprint(tmp_path, pattern="*.yaml") != before


def test_a_symlink_swap_shows(tmp_path: Path) -> None:
    """Kubernetes' ConfigMaps: the name stays, what it points to is another folder's file."""
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a").write_text(folder)
    link = tmp_path / "a"
    link.symlink_to("one/a")
    before = fingerprint(link)
    link.unlink()
    link.symlink_to("two/a")
    assert fingerprint(link) != before


class Part:
    def __init__(self, fault: Exception | None = None) -> None:
        self.fault = fault
        self.looks = 0
        self.enough = asyncio.Event()
        self.loop = asyncio.get_running_loop()

    def refresh(self) -> None:
        self.looks += 1
        if self.looks == 3:
            self.loop.call_soon_threadsafe(self.enough.set)
        if self.fault:
            raise self.fault


@pytest.mark.parametrize("fault", [None, OSError("gone")], ids=["fine", "failing"])
async def test_every_part_is_looked_at_again_and_again_whatever_the_others_do(fault: Exception | None) -> None:
    first, second = Part(fault), Part()
    task = asyncio.create_task(keep_fresh([first, second], every_s=0.001))
    await asyncio.wait_for(asyncio.gather(first.enough.wait(), second.enough.wait()), 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
