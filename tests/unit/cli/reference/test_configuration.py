import inspect
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from authproxy.cli.reference.configuration import page
from authproxy.config.deprecated import RENAMED
from authproxy.config.document.messages import dotted
from authproxy.config.document.schema import below, describe, fields_of, section_of
from authproxy.config.settings import Settings
from authproxy.config.unsupported import UNSUPPORTED
from tests.support.binaries import ROOT

PAGE = ROOT / "docs" / "reference" / "configuration.md"


def keys(section: type[BaseModel], path: str = "") -> Iterator[tuple[str, tuple[FieldInfo, str]]]:
    """Every key with its field and docstring; those of a list's entries with N for the index."""
    for key, field in fields_of(section).items():
        yield path + key, (field, describe(section, (key,)))
        annotation: Any = field.annotation
        if inner := section_of(annotation):
            yield from keys(inner, f"{path}{key}.")
        elif inner := section_of(below(annotation, 0)):
            yield from keys(inner, f"{path}{key}.N.")


KEYS = dict(keys(Settings))


def test_the_page_is_what_the_code_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "python -m authproxy.cli.reference.configuration > " + str(PAGE)


@pytest.mark.parametrize("key", KEYS)
def test_every_key_has_a_heading(key: str) -> None:
    assert f"### `{key}`\n" in PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize("key", KEYS)
def test_every_key_says_what_it_does_and_its_default(key: str) -> None:
    field, docstring = KEYS[key]
    section = section_of(field.annotation)
    about = docstring or (inspect.getdoc(section) if section else "") or ""
    assert len(about) > 20
    assert section or field.is_required() or "Default" in about


def test_every_old_name_has_a_row() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert [old for old, new in RENAMED if f"| `{dotted(old)}` | `{dotted(new)}` |\n" not in text] == []


def test_every_later_key_has_a_row() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert [row.key for row in UNSUPPORTED if f"| `{row.key}` | {row.here} |\n" not in text] == []
