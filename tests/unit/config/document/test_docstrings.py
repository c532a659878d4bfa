from pydantic import BaseModel, Field

from authproxy.config.document.docstrings import field_docstrings


class Parent(BaseModel):
    first: str = ""
    """Of the parent."""


class Child(Parent):
    """Not a field's."""

    bare: int = 0

    second: str = Field(default="", alias="2nd")
    """Of the child,
    in two lines."""

    def method(self) -> None:
        """Not a field's either."""


def test_docstrings_are_those_below_the_fields_with_the_parents() -> None:
    assert field_docstrings(Child) == {"first": "Of the parent.", "second": "Of the child,\nin two lines."}


def test_a_model_without_source_has_none() -> None:
    made: dict[str, type[BaseModel]] = {}
    exec("class Made(BaseModel):\n    a: int = 0\n    'gone'\n", {"BaseModel": BaseModel}, made)  # noqa: S102 - the point
    assert field_docstrings(made["Made"]) == {}
