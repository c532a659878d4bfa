"""What is said once: by one process, by several that share a folder, and where the folder fails."""

from pathlib import Path

from authproxy.log.once import LogOnce


def test_a_process_says_a_thing_once_and_another_thing_too() -> None:
    once = LogOnce()
    assert [once.claim(what) for what in ("a", "a", "b", "a")] == [True, False, True, False]


def test_of_several_processes_one_says_it(tmp_path: Path) -> None:
    parent, worker = LogOnce(tmp_path), LogOnce(tmp_path)
    assert [parent.claim("a"), worker.claim("a"), worker.claim("b"), parent.claim("b")] == [
        True,
        False,
        True,
        False,
    ]


def test_without_its_folder_it_is_said_rather_twice_than_never(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    assert [LogOnce(gone).claim("a"), LogOnce(gone).claim("a")] == [True, True]


def test_a_name_that_is_no_text_can_be_said() -> None:
    assert LogOnce().claim("\udcff/htpasswd")
