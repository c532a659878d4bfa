"""Reads text files that operators write, with any editor on any system: a byte order mark is ignored.

UTF-16, as PowerShell's `>` writes it, is refused with that reason: read as UTF-8, it would be nonsense names.
"""

import codecs
from pathlib import Path

from authproxy.errors import StartError

# UTF-32 in little endian begins like UTF-16.
_WIDE_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class FileIsUtf16(StartError):
    """A file that is UTF-16 or UTF-32, and the fix."""


def read_content(path: Path) -> bytes:
    """The content of a file, without a byte order mark. Raises OSError, FileIsUtf16."""
    return without_mark(path.read_bytes(), str(path))


def without_mark(content: bytes, name: str) -> bytes:
    """The content of the file `name` without a byte order mark. Raises FileIsUtf16."""
    # All our texts begin with ASCII: in UTF-16, one half of the first character is zero, with and without a mark.
    if content.startswith(_WIDE_MARKS) or (len(content) > 1 and content[:2].count(0) == 1):
        raise FileIsUtf16(
            f"{name}: is UTF-16, as PowerShell's > writes it, and not UTF-8; save it as UTF-8: (Get-Content {name}) |"
            f" Set-Content -Encoding utf8 {name}, or: iconv -f UTF-16 -t UTF-8 {name}"
        )
    return content.removeprefix(codecs.BOM_UTF8)
