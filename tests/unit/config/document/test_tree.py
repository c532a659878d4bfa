import re
from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from authproxy.config.document.tree import DocumentError, Place, parse_document, read_document
from authproxy.errors import StartError

SCALARS = {
    "no": "no",
    "yes": "yes",
    "5000:30": "5000:30",
    "0.1": "0.1",
    "010": "010",
    "1e3": "1e3",
    "2024-01-01": "2024-01-01",
    ":5000": ":5000",
    "'null'": "null",
    '""': "",
    "null": None,
    "~": None,
    "": None,
    "!!str 5": "5",
}


@pytest.mark.parametrize(("written", "read"), SCALARS.items(), ids=[text or "nothing" for text in SCALARS])
def test_scalars_stay_text(written: str, read: str | None) -> None:
    assert parse_document(f"key: {written}\n", "f.yml").to_plain() == {"key": read}


def test_every_key_and_item_knows_its_line() -> None:
    document = parse_document("a:\n  b: 1\n  c:\n    - x\n    - y: 2\n", "f.yml")
    paths = [("a",), ("a", "b"), ("a", "c", 0), ("a", "c", 1), ("a", "c", 1, "y")]
    assert [document.line_of(path) for path in paths] == [1, 2, 4, 5, 5]
    assert str(document.place_of(("a", "c"))) == "f.yml:3"


def test_a_path_that_is_not_there_has_the_line_of_its_nearest_parent() -> None:
    document = parse_document("x: 1\na:\n  b: 1\n", "f.yml")
    assert document.line_of(("a", "missing", 3)) == 2
    assert document.line_of(("missing",)) == 1
    assert document.find(("a", "missing")) is None


def test_an_empty_file_is_a_document_without_values() -> None:
    assert parse_document("# nothing\n", "f.yml").to_plain() is None


def test_a_place_without_lines_is_its_name() -> None:
    assert str(Place("REGISTRY_HTTP_ADDR")) == "REGISTRY_HTTP_ADDR"


def test_anchors_and_merge_keys_work_and_own_keys_win() -> None:
    text = "base: &b {x: 1, y: 2}\nother: &o {y: 3, z: 4}\nuse:\n  <<: [*b, *o]\n  x: 9\n"
    assert parse_document(text, "f.yml").find(("use",)) is not None
    plain = parse_document(text, "f.yml").to_plain()
    assert isinstance(plain, dict)
    assert plain["use"] == {"x": "9", "y": "2", "z": "4"}


REFUSED = {
    "a key twice": (
        "a: 1\nb: 2\na: 3\n",
        "f.yml:3: a: duplicate key, the first is in line 1; keep one",
    ),
    "a key twice, quoted otherwise": ("a: 1\n'a': 3\n", "f.yml:2: a: duplicate key"),
    "broken YAML": ("a: [1\nb: 2\n", "f.yml:2: not valid YAML: "),
    "a tab": ("a:\n\tb: 1\n", ": indent with spaces, not with tabs"),
    "two documents": ("a: 1\n---\nb: 2\n", "f.yml:2: not valid YAML: "),
    "an unknown alias": ("a: *b\n", "f.yml:1: not valid YAML: an alias without an &anchor"),
    "a circle": ("a: &a [*a]\n", "f.yml:1: an alias to a value that contains it"),
    "a foreign tag": ("a: 1\nb: !ENV x\n", "f.yml:2: unknown tag !ENV; remove it"),
    "a tag that would run code": ("b: !!python/object:os.system x\n", "f.yml:1: unknown tag tag:yaml.org,2002:python"),
    "a null key": ("a: 1\n~: x\n", "f.yml:2: a key must be plain text"),
    "a list as a key": ("? [a]\n: x\n", "f.yml:1: a key must be plain text"),
    "a merge of text": ("a:\n  <<: x\n", "f.yml:2: << takes a mapping or a list of mappings"),
    "a control character": ("a: 1\nb: \x01\n", "f.yml:2: a control character"),
    "half of a character": ('a: 1\nb: "\\ud800"\n', r"f.yml:2: the escape \ud800 is half of a character"),
    "half of a character in a key": ('"\\udfff": 1\n', r"f.yml:1: the escape \udfff is half of a character"),
    "depth": ("[" * 1_000, "f.yml: nested too deeply"),
}


@pytest.mark.parametrize(("text", "message"), REFUSED.values(), ids=REFUSED)
def test_refused(text: str, message: str) -> None:
    with pytest.raises(DocumentError, match=re.escape(message)):
        parse_document(text, "f.yml")


def test_aliases_of_aliases_do_not_fill_the_memory() -> None:
    lines = ["l0: &l0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 12)]
    with pytest.raises(DocumentError, match="aliases make the file too large"):
        parse_document("\n".join(lines), "f.yml")


def test_a_long_file_without_aliases_is_no_bomb() -> None:
    assert parse_document("- \n" * 11_000, "f.yml").to_plain() == [None] * 11_000


def test_a_file_is_read_with_its_path_as_name(tmp_path: Path) -> None:
    path = tmp_path / "c.yml"
    path.write_bytes(b"\xef\xbb\xbfa: \xc3\xa4\n")
    document = read_document(path)
    assert (document.to_plain(), document.name) == ({"a": "ä"}, str(path))


def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"missing\.yml: cannot be read: No such file or directory"):
        read_document(tmp_path / "missing.yml")
    with pytest.raises(DocumentError, match="cannot be read: Is a directory"):
        read_document(tmp_path)
    latin = tmp_path / "latin.yml"
    latin.write_bytes(b"a: 1\nb: \xe4\n")
    with pytest.raises(DocumentError, match=r"latin\.yml:2: a byte that is not UTF-8"):
        read_document(latin)


@given(st.text(max_size=60))
def test_any_text_is_a_document_or_our_error(text: str) -> None:
    with suppress(DocumentError):
        assert parse_document(text, "f.yml").name == "f.yml"


values = st.recursive(
    st.none() | st.text("abcxyz019:.-~ nulloyes", max_size=8),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text("abc", min_size=1), children, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(st.text("abc", min_size=1), values, max_size=3))
def test_what_a_dumper_wrote_is_read_back(value: dict[str, object]) -> None:
    text = yaml.safe_dump(value, default_flow_style=None)
    assert parse_document(text, "f.yml").to_plain() == value
