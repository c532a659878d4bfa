import pytest

from authproxy.access import Access, delete, pull, push
from authproxy.token.grant import within

STAR = Access("repository", "a", "*")


@pytest.mark.parametrize(
    ("wanted", "allowed", "granted"),
    [
        ([pull("a"), push("a")], {push("a"), pull("a")}, [pull("a"), push("a")]),
        ([pull("a"), push("a")], {pull("a")}, [pull("a")]),
        ([pull("a")], {pull("a"), push("a"), pull("b")}, [pull("a")]),
        ([pull("a")], {STAR}, []),
        ([STAR], {STAR}, [STAR]),
        ([STAR], {pull("a"), delete("a"), pull("b")}, [delete("a"), pull("a")]),
        ([pull("b"), STAR], {pull("a"), pull("b")}, [pull("b"), pull("a")]),
        ([], {pull("a")}, []),
    ],
)
def test_a_token_never_carries_more_than_was_asked_for(
    wanted: list[Access], allowed: set[Access], granted: list[Access]
) -> None:
    assert list(within(wanted, frozenset(allowed))) == granted
