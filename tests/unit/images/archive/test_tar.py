import io
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authproxy.images.archive import tar
from authproxy.images.archive.decompression import open_decompressed
from authproxy.images.archive.errors import ArchiveError
from authproxy.images.archive.tar import TarMembers, open_tar


def tar_of(*entries: tuple[tarfile.TarInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for info, content in entries:
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def file_entry(name: str, content: bytes = b"content") -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    return info, content


def link_entry(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info, b""


def opened(folder: Path, content: bytes) -> TarMembers:
    path = folder / "archive.tar"
    path.write_bytes(content)
    return open_tar(open_decompressed(path), path)


def read(members: TarMembers, name: str) -> bytes | None:
    member = members.find(name)
    return None if member is None else member.read(1 << 20)


def test_a_member_is_read_from_any_place(tmp_path: Path) -> None:
    members = opened(tmp_path, tar_of(file_entry("a/b", b"0123456789"), file_entry("c", b"other")))
    member = members.find("a/b")
    assert member is not None
    assert b"".join(member.pieces(start=7)) == b"789"
    assert b"".join(member.pieces(start=10)) == b""
    members.close()


async def test_a_member_is_streamed_from_any_place(tmp_path: Path) -> None:
    members = opened(tmp_path, tar_of(file_entry("a/b", b"0123456789")))
    member = members.find("a/b")
    assert member is not None
    assert b"".join([piece async for piece in member.stream(start=4)]) == b"456789"
    members.close()


FOUND = [
    ("a name with a dot before it", [file_entry("./a/b")], "a/b", b"content"),
    ("a name that is asked for with a dot", [file_entry("a/b")], "./a//b", b"content"),
    ("a name of 300 characters", [file_entry("a" * 300)], "a" * 300, b"content"),
    ("the last of two", [file_entry("a", b"first"), file_entry("a", b"second")], "a", b"second"),
    (
        "a symbolic link",
        [file_entry("x/layer.tar"), link_entry("y/layer.tar", "../x/layer.tar")],
        "y/layer.tar",
        b"content",
    ),
    ("a hard link", [file_entry("x/layer.tar"), link_entry("y", "x/layer.tar", tarfile.LNKTYPE)], "y", b"content"),
    ("a link to a link", [file_entry("a"), link_entry("b", "a"), link_entry("c", "b")], "c", b"content"),
    ("a link to nothing", [link_entry("b", "a")], "b", None),
    ("nothing of this name", [file_entry("a")], "b", None),
]


@pytest.mark.parametrize(("entries", "name", "content"), [row[1:] for row in FOUND], ids=[row[0] for row in FOUND])
def test_member_is_found(
    tmp_path: Path, entries: list[tuple[tarfile.TarInfo, bytes]], name: str, content: bytes | None
) -> None:
    members = opened(tmp_path, tar_of(*entries))
    assert read(members, name) == content
    members.close()


REFUSED = [
    ("a name that climbs", [file_entry("a/../../etc/passwd")], r"contains '\.\.', which"),
    ("an absolute name", [file_entry("/etc/passwd")], "absolute path"),
    ("a name that is no text", [file_entry("a\udcff")], "is not a file name"),
    ("a symbolic link to the outside", [link_entry("a", "../../etc/passwd")], "leads out of the archive"),
    ("an absolute symbolic link", [link_entry("a", "/etc/passwd")], "leads out of the archive"),
    ("a hard link to the outside", [link_entry("a", "../x", tarfile.LNKTYPE)], r"contains '\.\.', which"),
]


@pytest.mark.parametrize(("entries", "words"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_archive_is_refused(tmp_path: Path, entries: list[tuple[tarfile.TarInfo, bytes]], words: str) -> None:
    with pytest.raises(ArchiveError, match=words) as raised:
        opened(tmp_path, tar_of(file_entry("manifest.json"), *entries))
    assert str(tmp_path / "archive.tar") in str(raised.value)


def test_a_circle_of_links_is_refused(tmp_path: Path) -> None:
    members = opened(tmp_path, tar_of(link_entry("a", "b"), link_entry("b", "a")))
    with pytest.raises(ArchiveError, match=r"a: is a chain of 8 or more links"):
        members.find("a")
    members.close()


@pytest.mark.parametrize("kind", [tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE], ids=["folder", "pipe", "device"])
def test_what_is_no_file_is_not_read(tmp_path: Path, kind: bytes) -> None:
    members = opened(tmp_path, tar_of(link_entry("a", "", kind)))
    with pytest.raises(ArchiveError, match="a: is not a regular file"):
        members.find("a")
    members.close()


def test_a_size_that_lies_is_refused(tmp_path: Path) -> None:
    info = tarfile.TarInfo("a")
    info.size = 1 << 40
    with pytest.raises(ArchiveError, match=f"a: has {1 << 40} bytes"):
        opened(tmp_path, info.tobuf(tarfile.GNU_FORMAT) + b"\0" * 2048)


def test_a_header_that_claims_a_gigabyte_is_not_read(tmp_path: Path) -> None:
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 1 << 30
    with pytest.raises(ArchiveError, match="has a header of 1073741824 bytes"):
        opened(tmp_path, info.tobuf(tarfile.GNU_FORMAT) + b"\0" * 2048)


def test_more_members_than_any_archive_has_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tar, "MAX_MEMBERS", 3)
    opened(tmp_path, tar_of(*[file_entry(str(number)) for number in range(3)])).close()
    with pytest.raises(ArchiveError, match="more than 3 members"):
        opened(tmp_path, tar_of(*[file_entry(str(number)) for number in range(4)]))


def test_a_file_that_shrinks_while_it_is_read_is_told(tmp_path: Path) -> None:
    members = opened(tmp_path, tar_of(file_entry("a", b"x" * 4096)))
    member = members.find("a")
    assert member is not None
    (tmp_path / "archive.tar").write_bytes(b"")
    with pytest.raises(ArchiveError, match="a: ends after 0 of 4096 bytes"):
        member.read(4096)
    members.close()


@pytest.mark.parametrize("content", [b"", b"hello", b"x" * 5000], ids=["empty", "short", "long"])
def test_what_is_no_tar_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(ArchiveError, match="is not a tar archive"):
        opened(tmp_path, content)


VALID = tar_of(file_entry("manifest.json", b"[]"), link_entry("a", "manifest.json"), file_entry("b" * 200, b"x" * 700))


@given(st.integers(0, len(VALID)), st.integers(0, len(VALID) - 1), st.binary(min_size=1, max_size=600))
def test_damage_anywhere_gives_members_or_an_archive_error(
    tmp_path_factory: pytest.TempPathFactory, cut: int, place: int, damage: bytes
) -> None:
    content = (VALID[:place] + damage + VALID[place + len(damage) :])[:cut]
    try:
        members = opened(tmp_path_factory.getbasetemp(), content)
    except ArchiveError:
        return
    for name in tuple(members.entries):
        try:
            member = members.find(name)
            assert member is None or len(member.read(len(VALID))) == member.size
        except ArchiveError:
            continue
    members.close()
