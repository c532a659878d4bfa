import hashlib
from pathlib import Path

from benchmarks.content import MIB, BigBlob, random_pieces

SIZE = 2 * MIB + 5


def digest_of(path: Path) -> str:
    return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


def test_pieces_add_up_to_the_size_and_differ() -> None:
    pieces = [bytes(piece) for piece in random_pieces(SIZE, b"x" * MIB)]
    assert [len(piece) for piece in pieces] == [MIB, MIB, 5]
    assert pieces[0] != pieces[1]


def test_pieces_are_the_same_for_the_same_beginning() -> None:
    first = [bytes(piece) for piece in random_pieces(SIZE, b"x" * MIB)]
    assert first == [bytes(piece) for piece in random_pieces(SIZE, b"x" * MIB)]


def test_a_big_blob_becomes_another_blob_whose_digest_it_knows(tmp_path: Path) -> None:
    blob = BigBlob.create(tmp_path / "blob", SIZE)
    before = str(blob.digest)
    assert before == digest_of(blob.path)
    blob.become(1)
    assert before != str(blob.digest) == digest_of(blob.path)
    assert blob.path.stat().st_size == SIZE


def test_a_big_blob_that_becomes_what_it_was_is_the_same_blob(tmp_path: Path) -> None:
    blob = BigBlob.create(tmp_path / "blob", SIZE)
    before = blob.digest
    blob.become(1)
    blob.become(0)
    assert blob.digest == before
