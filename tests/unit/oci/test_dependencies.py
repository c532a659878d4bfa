"""What is read of manifests that nobody has checked."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authproxy.digest import Digest
from authproxy.oci import dependencies
from authproxy.oci.dependencies import Dependencies, read_dependencies
from authproxy.oci.media_types import NON_DISTRIBUTABLE

ONE, TWO = Digest.of(b"1"), Digest.of(b"2", "sha512")


def named(digest: Digest) -> dict[str, str]:
    return {"digest": str(digest)}


MANIFESTS: list[tuple[str, Any, Dependencies]] = [
    ("an image", {"config": named(ONE), "layers": [named(TWO)]}, Dependencies(frozenset({ONE, TWO}))),
    ("an index", {"manifests": [named(ONE), named(TWO)]}, Dependencies(manifests=frozenset({ONE, TWO}))),
    ("its subject is not needed", {"subject": named(ONE)}, Dependencies()),
    (
        "what is no digest",
        {"config": {"digest": "sha256:0"}, "layers": [named(ONE), 1, None]},
        Dependencies(frozenset({ONE})),
    ),
    ("what is no list", {"layers": named(ONE), "manifests": 1, "config": [named(ONE)]}, Dependencies()),
    ("no object", [named(ONE)], Dependencies()),
]


@pytest.mark.parametrize(("body", "mentions"), [row[1:] for row in MANIFESTS], ids=[row[0] for row in MANIFESTS])
def test_mentions(body: Any, mentions: Dependencies) -> None:
    assert read_dependencies(json.dumps(body).encode()) == mentions


@given(st.binary())
def test_anything_else_names_nothing(content: bytes) -> None:
    assert read_dependencies(content) == Dependencies()


def test_what_is_nested_without_end_names_nothing() -> None:
    assert read_dependencies(b"[" * 100_000) == Dependencies()


@pytest.mark.parametrize(
    "content",
    [
        f'{{"config": {{"digest": "{ONE}"}}, "n": NaN}}'.encode(),
        f'{{"config": {{"digest": "{ONE}"}}}}'.encode("utf-8-sig"),
        f'{{"config": {{"digest": "{ONE}"}}}}'.encode("utf-16"),
    ],
    ids=["a number that is not JSON", "a byte order mark", "UTF-16"],
)
def test_what_our_registry_would_refuse_is_read_nonetheless(content: bytes) -> None:
    assert read_dependencies(content) == Dependencies(frozenset({ONE}))


def test_a_long_manifest_is_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    content = json.dumps({"config": named(ONE), "padding": "x" * dependencies.KNOWN_FROM_BYTES}).encode()
    assert read_dependencies(content) == Dependencies(frozenset({ONE}))
    monkeypatch.setattr(dependencies, "_parse", None)
    assert read_dependencies(content) == Dependencies(frozenset({ONE}))


def test_a_layer_that_is_elsewhere() -> None:
    layer = named(TWO) | {"mediaType": NON_DISTRIBUTABLE[0], "urls": ["https://x.example"]}
    content = json.dumps({"config": named(ONE), "layers": [layer]}).encode()
    assert read_dependencies(content) == Dependencies(frozenset({ONE, TWO}), elsewhere=frozenset({TWO}))
