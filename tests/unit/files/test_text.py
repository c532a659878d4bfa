import codecs
from pathlib import Path

import pytest

from authproxy.errors import StartError
from authproxy.files.text import read_content, without_mark


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"alice", b"alice"),
        (b"", b""),
        (b"\0", b"\0"),
        (codecs.BOM_UTF8 + b"alice", b"alice"),
        (codecs.BOM_UTF8, b""),
        (codecs.BOM_UTF8 * 2 + b"alice", codecs.BOM_UTF8 + b"alice"),
        ("ä".encode(), "ä".encode()),
    ],
)
def test_a_byte_order_mark_is_passed_over_and_nothing_else(content: bytes, text: bytes) -> None:
    assert without_mark(content, "file") == text


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_utf_16_is_named_with_the_fix(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "htpasswd"
    path.write_text("alice:x\n", encoding=encoding)
    with pytest.raises(StartError, match=r"htpasswd: is UTF-16.*; save it as UTF-8: .*Set-Content -Encoding utf8"):
        read_content(path)
