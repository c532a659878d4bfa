import re
from typing import Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, model_validator

from authproxy.config.document.messages import conflict, validate_document
from authproxy.config.document.scalars import Duration, Integer
from authproxy.config.document.tree import DocumentError, parse_document


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")

    wait: Duration
    """How long to wait.

    More that belongs to the reference alone."""
    kind: Literal["a", "b"] = "a"
    start: Integer = Field(default=0, alias="from")
    end: Integer = 9

    @model_validator(mode="after")
    def _forwards(self) -> "Inner":
        if self.end < self.start:
            raise conflict("the end lies before the start", ("from",), ("end",))
        return self


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = ""
    inner: Inner | None = None
    many: tuple[Inner, ...] = ()
    short: str = Field(default="", max_length=3)
    free: dict[str, list[str]] = Field(default_factory=dict)


CASES = {
    "an unknown key": ("name: x\nnam: y\n", 'f.yml:2: nam: unknown key (did you mean "name"?); allowed: name, inner,'),
    "an unknown key below": ("inner:\n  wait: 5s\n  zz: y\n", "f.yml:3: inner.zz: unknown key; allowed: wait, kind, f"),
    "an unknown key in a list": ("many:\n- wait: 5s\n  zz: y\n", "f.yml:3: many.0.zz: unknown key; allowed: wait, k"),
    "a missing key": ("name: x\ninner:\n  kind: a\n", "f.yml:2: inner.wait: missing, and it has no default. How long"),
    "a bad value": ("inner:\n  wait: 5\n", 'f.yml:2: inner.wait: "5" is not a duration; allowed: numbers with units'),
    "a bad word": (
        "inner:\n  wait: 5s\n  kind: c\n",
        "f.yml:3: inner.kind: unknown value; allowed: 'a'",
    ),
    "text for keys": ("inner: x\n", "f.yml:1: inner: expected keys below it, not one value"),
    "keys for text": ("name: {a: b}\n", "f.yml:1: name: expected one value, not keys"),
    "nothing for text": ("name:\n", "f.yml:1: name: expected one value, not nothing"),
    "text for a list": ("free:\n  a: x\n", "f.yml:2: free.a: expected a list, not one value"),
    "what only the model knows": ("short: long\n", "f.yml:1: short: String should have at most 3 characters"),
    "a list for the file": ("- a\n", "f.yml:1: expected keys below it, not a list"),
    "an empty file": ("", "f.yml:1: expected keys below it, not nothing"),
    "two keys at odds": (
        "inner:\n  wait: 5s\n  from: 5\n  end: 1\n",
        "f.yml:3 and f.yml:4: inner.from, inner.end: the end lies before the start",
    ),
}


@pytest.mark.parametrize(("text", "message"), CASES.values(), ids=CASES)
def test_a_fault_is_one_sentence(text: str, message: str) -> None:
    with pytest.raises(DocumentError, match=re.escape(message)) as caught:
        validate_document(parse_document(text, "f.yml"), Outer)
    assert len(str(caught.value).splitlines()) == 1


def test_all_faults_are_told_in_the_order_of_their_lines() -> None:
    with pytest.raises(DocumentError) as caught:
        validate_document(parse_document("zz: 1\ninner:\n  kind: c\n  wait: x\nname: [a]\n", "f.yml"), Outer)
    assert [line.split(": ")[:2] for line in str(caught.value).splitlines()] == [
        ["f.yml:1", "zz"],
        ["f.yml:3", "inner.kind"],
        ["f.yml:4", "inner.wait"],
        ["f.yml:5", "name"],
    ]


def test_a_sound_document_is_the_model() -> None:
    outer = validate_document(parse_document("inner: {wait: 5s, from: 1}\n", "f.yml"), Outer)
    assert outer.inner is not None
    assert (outer.inner.start, outer.inner.end) == (1, 9)
