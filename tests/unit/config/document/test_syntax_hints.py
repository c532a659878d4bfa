"""Slips that people make in YAML: the line, and how to write it."""

import pytest

from authproxy.config.document.tree import DocumentError, parse_document

SLIPS = {
    "an IPv6 address": ("http:\n  addr: [::]:5000\n", 2, 'write addr: "[::]:5000"'),
    "a list misindented": (
        "upstreams:\n  - prefix: a\n   url: http://x\n",
        3,
        "indented by 3, unlike every line that it could",
    ),
    "a list misindented, the way out": ("upstreams:\n  - prefix: a\n   url: http://x\n", 3, "by 4 like line 2"),
    "a key too far in": ("http:\n  headers:\n    X: [a]\n   addr: x\n", 4, "by 4 like line 3, or by 2 like line 2"),
    "a key too far out": ("http:\n    addr: x\n  host: y\n", 3, "by 4 like line 2, or by 0 like line 1"),
    "a list, then a key": ("- a\nb: c\n", 2, "no key can be beside its entries"),
    "a tab": ("http:\n\taddr: :5000\n", 2, "indent with spaces, not with tabs"),
    "a space that is none": ("a:\u00a0b\nc:\n\u00a0\u00a0d: e\n", 2, "(U+00A0); write a space"),
    "no space behind a colon": ("version:0.1\nstorage: x\n", 2, "line 1: a key's colon needs a space after it"),
    "no space behind a colon, the way out": ("version:0.1\nstorage: x\n", 2, "write version: 0.1"),
    "a quote without end": ('a: b\nname: "abc\nb: c\n', 4, "the quote that begins in line 2 has no end"),
    "a single quote without end": ("name: 'abc\nb: c\n", 3, "the quote that begins in line 1 has no end"),
    "an at sign": ("name: @abc\n", 1, 'write name: "@abc"'),
    "a backtick": ("name: `abc\n", 1, 'write name: "`abc"'),
    "a percent sign": ("name: %abc  # why\n", 1, 'write name: "%abc"'),
    "an ampersand": ("name: & co\n", 1, 'write name: "& co"'),
    "a glob": ("repositories: **\n", 1, 'write repositories: "**"'),
    "a glob in a list": ("on: {repositories: [a, **]}\n", 1, 'an element that begins with * needs quotes; write "**"'),
    "a glob among entries": ("on:\n  - */x\n", 2, 'write - "*/x"'),
    "a star for everybody": ("origins: [*]\n", 1, 'write "*"'),
    "a name in braces": ("repositories: {user}/**\n", 1, 'write repositories: "{user}/**"'),
    "a name in braces in a list": ("repositories: [{user}/**]\n", 1, 'write "{user}/**"'),
    "a pipe": ("name: |b\n", 1, 'write name: "|b"'),
    "a colon inside a text": ("realm: Registry: of us\n", 1, 'write realm: "Registry: of us"'),
    "a Windows path": ('path: "C:\\data\\x"\n', 1, "use single quotes: path: 'C:\\data\\x'"),
    "text behind a quote": ('a: "b" c\n', 1, 'text after the closing "'),
    "an apostrophe": ("a: 'it's'\n", 1, "in \" if it has a '"),
    "a value, then keys": ("storage: filesystem\n  rootdirectory: /x\n", 2, "storage already has a value in line 1"),
    "a list without end": ("a: [b, c\nd: e\n", 2, "the list that begins in line 1 has no ]"),
    "a map without end": ("a: {b: c\nd: e\n", 2, "the map that begins in line 1 has no }"),
    "a second document": ("a: b\n---\nc: d\n", 2, "begins a second document"),
    "an alias of nothing": ("a: *unknown\n", 1, "an alias without an &anchor of this name"),
    "a template": ("{% if x %}\na: b\n", 1, "that was not filled in"),
    "a merge": ("<<<<<<< HEAD\na: b\n=======\n", 2, "a conflict marker of an unfinished merge"),
    "an exclamation mark": ("a: !abc\n", 1, "a value that begins with ! in quotes"),
    "a key twice": ("a: b\nc: d\na: e\n", 3, "duplicate key, the first is in line 1"),
}


@pytest.mark.parametrize("what", SLIPS)
def test_a_slip_is_told_by_its_line_and_how_to_write_it(what: str) -> None:
    text, line, told = SLIPS[what]
    with pytest.raises(DocumentError) as caught:
        parse_document(text, "f.yml")
    assert str(caught.value).startswith(f"f.yml:{line}: ")
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["secret: @hunter2\n", 'password: "C:\\hunter2"\n', "REGISTRY_AUTH: *hunter2\n", "x-api-key: a: hunter2\n"],
)
def test_a_value_that_may_be_a_secret_is_not_shown(text: str) -> None:
    with pytest.raises(DocumentError) as caught:
        parse_document(text, "f.yml")
    assert "hunter2" not in str(caught.value)


def test_a_long_line_takes_no_time() -> None:
    for text in ("a" * 1_000_000 + ": @b\n", "a: " + "[" * 50 + "b:" * 100_000):
        with pytest.raises(DocumentError):
            parse_document(text, "f.yml")
