"""The marks of what the garbage collector has condemned."""

import hashlib
from itertools import product

from authproxy.digest import Digest
from authproxy.reference import Repository
from authproxy.registry.gc_marks import MARK_BYTES, Kind, mark_of

DIGEST = Digest.of(b"content")


def test_a_mark_is_the_beginning_of_the_sha256_of_what_it_is_of() -> None:
    expected = hashlib.sha256(f"layer\0team/app\0{DIGEST}".encode()).digest()[:16]
    assert mark_of(Kind.LAYER, Repository("team/app"), DIGEST) == expected


def test_the_mark_of_bytes_names_no_repository() -> None:
    assert mark_of(Kind.BYTES, None, DIGEST) == hashlib.sha256(f"bytes\0\0{DIGEST}".encode()).digest()[:16]


def test_marks_differ_by_kind_repository_and_digest() -> None:
    repositories = (Repository("a"), Repository("b"), Repository("a/b"))
    digests = (DIGEST, Digest.of(b"content", "sha512"), Digest.of(b"other"))
    marks = [mark_of(kind, name, digest) for kind, name, digest in product(Kind, repositories, digests)]
    assert len(set(marks)) == len(marks)
    assert {len(mark) for mark in marks} == {MARK_BYTES}
