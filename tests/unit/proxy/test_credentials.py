"""A user and a password in a file."""

import base64
import os
from contextlib import nullcontext
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from authproxy.errors import StartError
from authproxy.files.reload import DoesNotLoad
from authproxy.proxy.credentials import FixedBasic


def decoded(value: bytes) -> str:
    scheme, _, text = value.partition(b" ")
    assert scheme == b"Basic"
    return base64.b64decode(text).decode()


@pytest.mark.parametrize("content", ["s3cret", "s3cret\n", "s3cret\r\n"])
async def test_password_is_the_only_line(tmp_path: Path, content: str) -> None:
    (tmp_path / "password").write_bytes(content.encode())
    assert decoded(await FixedBasic("robot", tmp_path / "password").authorization(())) == "robot:s3cret"


BAD = {"empty": b"", "two lines": b"a\nb\n", "no text": b"\xff\xfe", "far too long": b"a" * 20_000, "control": b"a\x01"}


@pytest.mark.parametrize("content", BAD.values(), ids=BAD)
def test_file_that_holds_no_password_stops_the_start(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "password").write_bytes(content)
    with pytest.raises(StartError, match=r"upstream.passwordfile: .*password"):
        FixedBasic("robot", tmp_path / "password")


def test_missing_file_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"upstream.passwordfile: cannot read .*password: No such file"):
        FixedBasic("robot", tmp_path / "password")


def test_a_file_that_cannot_be_looked_at_stops_the_start_in_the_words_of_its_setting(tmp_path: Path) -> None:
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(StartError, match=r"upstream\.passwordfile: cannot read .*/circle"):
        FixedBasic("ci", tmp_path / "circle")


def test_new_password_is_taken_and_a_broken_file_is_not(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("old")
    credentials = FixedBasic("robot", file)
    for content, expected in (("new!", "robot:new!"), ("two\nlines\n", "robot:new!")):
        other = tmp_path / "other"
        other.write_text(content)
        os.replace(other, file)  # noqa: PTH105 - as an editor does it
        with nullcontext() if "new" in content else pytest.raises(DoesNotLoad, match="one line"):
            credentials.refresh()
        assert decoded(credentials.value) == expected


def test_new_password_is_logged_without_its_value(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("old")
    credentials = FixedBasic("robot", file)
    file.write_text("another")
    with capture_logs() as lines:
        credentials.refresh()
        credentials.refresh()
    assert lines == [{"event": "upstream password reloaded", "file": str(file), "log_level": "info"}]


def test_password_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("s3cret")
    assert "s3cret" not in repr(FixedBasic("robot", tmp_path / "password"))
