"""ELF files of 64 bits: what programs and libraries need, and how they become smaller. For any architecture.

System V ABI, "ELF-64 Object File Format". Little-endian only: amd64 and arm64.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

MAGIC = b"\x7fELF\x02\x01"  # 64 bits, little-endian
HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
SEGMENT = struct.Struct("<IIQQQQQQ")
DYNAMIC = struct.Struct("<qQ")
PT_LOAD, PT_DYNAMIC = 1, 2
ET_EXEC, ET_DYN = 2, 3
DT_NULL, DT_NEEDED, DT_STRTAB = 0, 1, 5


@dataclass(frozen=True, slots=True)
class _Segment:
    kind: int
    offset: int
    address: int
    size: int  # in the file


def is_elf(content: bytes) -> bool:
    """Whether it is a program or a shared library."""
    return content.startswith(MAGIC) and HEADER.unpack_from(content)[1] in (ET_EXEC, ET_DYN)


def strip(content: bytes) -> bytes:
    """The file without what no program is loaded with: symbols for debuggers, and the table of sections.

    The loader reads segments only, so nothing behind the last one is needed.
    """
    if not is_elf(content):
        return content
    fields = list(HEADER.unpack_from(content))
    table_end = fields[5] + fields[9] * fields[10]  # of the program headers
    end = max([HEADER.size, table_end, *(segment.offset + segment.size for segment in _segments(content))])
    fields[6] = fields[12] = fields[13] = 0  # where the table of sections begins, its length, and that of its names
    return HEADER.pack(*fields) + content[HEADER.size : end]


def needed(content: bytes) -> list[str]:
    """The names of the libraries that it is loaded with."""
    if not is_elf(content):
        return []
    entries = [
        entry for segment in _segments(content) if segment.kind == PT_DYNAMIC for entry in _dynamic(content, segment)
    ]
    tables = [value for tag, value in entries if tag == DT_STRTAB]
    return [_text(content, _offset(content, tables[0]) + value) for tag, value in entries if tag == DT_NEEDED]


def _segments(content: bytes) -> list[_Segment]:
    fields = HEADER.unpack_from(content)
    start, size, count = fields[5], fields[9], fields[10]
    found = []
    for number in range(count):
        kind, _, offset, address, _, in_file, *_ = SEGMENT.unpack_from(content, start + number * size)
        found.append(_Segment(kind, offset, address, in_file))
    return found


def _dynamic(content: bytes, segment: _Segment) -> Iterator[tuple[int, int]]:
    for place in range(segment.offset, segment.offset + segment.size, DYNAMIC.size):
        tag, value = DYNAMIC.unpack_from(content, place)
        if tag == DT_NULL:
            return
        yield tag, value


def _offset(content: bytes, address: int) -> int:
    """Where the byte that is loaded at `address` is in the file."""
    for segment in _segments(content):
        if segment.kind == PT_LOAD and segment.address <= address < segment.address + segment.size:
            return segment.offset + address - segment.address
    raise ValueError(f"no segment has the address {address:#x}")


def _text(content: bytes, start: int) -> str:
    return content[start : content.index(b"\0", start)].decode()
