"""The claim that says what a token's holder is."""

from typing import Any

import pytest

from authproxy.principal import ANONYMOUS, Principal
from authproxy.token.holder_claim import MAX_BYTES, from_claim, to_claim

HOLDERS = [
    ANONYMOUS,
    Principal("alice"),
    Principal("ci", is_robot=True),
    Principal("alice", frozenset({"devs", "ops"}), {"project_path": "a/b", "n": [1, 2]}, "ldap"),
]


@pytest.mark.parametrize("holder", HOLDERS, ids=["anonymous", "a name", "a robot", "all"])
def test_what_is_written_is_read(holder: Principal) -> None:
    assert from_claim(holder.name, to_claim(holder) or None) == holder


def test_the_stamp_of_a_password_is_nobodys_business() -> None:
    assert to_claim(Principal("alice", source="", stamp="secret")) == {}


def test_what_does_not_fit_is_cut_and_is_nobody() -> None:
    groups = frozenset(f"a-group-with-a-long-name-{number}" for number in range(MAX_BYTES // 20))
    claim = to_claim(Principal("alice", groups))
    assert claim == {"cut": True}
    assert from_claim("alice", claim) is None


@pytest.mark.parametrize(
    "claim", [[], "x", 1, {"groups": "devs"}, {"groups": [1]}, {"claims": []}, {"source": 1}], ids=repr
)
def test_what_is_no_such_claim_is_nobody(claim: Any) -> None:
    assert from_claim("alice", claim) is None
