"""What is read of manifests that nobody has checked."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authproxy.digest import Digest
from authproxy.oci.dependencies import Mentions, read_mentions

ONE, TWO = Digest.of(b"1"), Digest.of(b"2", "sha512")


def named(digest: Digest) -> dict[str, str]:
    return {"digest": str(digest)}


MANIFESTS: list[tuple[str, Any, Mentions]] = [
    ("an image", {"config": named(ONE), "layers": [named(TWO)]}, Mentions(frozenset({ONE, TWO}))),
    ("an index", {"manifests": [named(ONE), named(TWO)]}, Mentions(manifests=frozenset({ONE, TWO}))),
    ("its subject is not needed", {"subject": named(ONE)}, Mentions()),
    (
        "what is no digest",
        {"config": {"digest": "sha256:0"}, "layers": [named(ONE), 1, None]},
        Mentions(frozenset({ONE})),
    ),
    ("what is no list", {"layers": named(ONE), "manifests": 1, "config": [named(ONE)]}, Mentions()),
    ("no object", [named(ONE)], Mentions()),
]


@pytest.mark.parametrize(("body", "mentions"), [row[1:] for row in MANIFESTS], ids=[row[0] for row in MANIFESTS])
def test_mentions(body: Any, mentions: Mentions) -> None:
    assert read_mentions(json.dumps(body).encode()) == mentions


@given(st.binary())
def test_anything_else_names_nothing(content: bytes) -> None:
    assert read_mentions(content) == Mentions()


def test_what_is_nested_without_end_names_nothing() -> None:
    assert read_mentions(b"[" * 100_000) == Mentions()
