import pytest

from authproxy.access import CATALOG, Access, delete, pull, push
from authproxy.principal import ANONYMOUS, Principal
from authproxy.token.grant import EveryUserEverything, within

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


def test_without_policies_every_user_may_do_everything_that_there_is() -> None:
    known = {pull("a"), push("a"), delete("a/b"), STAR, CATALOG}
    unknown = {
        Access("planet", "mars", "visit"),
        Access("registry", "catalog", "burn"),
        Access("repository", "a", "burn"),
        Access("repository", "A", "pull"),
        Access("repository", "../a", "pull"),
    }
    assert EveryUserEverything().granted(Principal("alice"), known | unknown) == known


def test_without_policies_nobody_may_do_nothing() -> None:
    assert EveryUserEverything().granted(ANONYMOUS, {pull("a"), CATALOG}) == frozenset()
