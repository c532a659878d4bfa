import bcrypt
import pytest

from authproxy.identity.bcrypt_hash import check_password, find_cost, find_problem, hash_password, stand_in

HASH = "$2y$04$4HGoJBK6.BfAUpXPinYlG.LGhSGxDGMfADBYplP2aPXVJBxN1kIfa"  # correct


def test_a_new_hash_is_one_that_other_implementations_check() -> None:
    assert bcrypt.checkpw(b"correct", HASH.encode())


def test_every_common_marker_is_checked() -> None:
    for marker in ("$2a$", "$2b$", "$2y$"):
        assert check_password("correct", marker + HASH[4:])


@pytest.mark.parametrize(
    "password",
    ["", "wrong", "correct\0", "\0", "correct " * 9 + "x", "é" * 37, "\ud800"],
    ids=["empty", "other", "zero byte behind", "zero byte", "73 bytes", "74 bytes in 37 letters", "half a character"],
)
def test_what_does_not_fit_is_refused_and_never_an_error(password: str) -> None:
    assert not check_password(password, HASH)


def test_a_password_is_not_cut_at_72_bytes() -> None:
    """CVE-2024-9683."""
    stored = "a" * 72
    hashed = hash_password(stored, 4)
    assert check_password(stored, hashed)
    assert not check_password(stored + "b", hashed)


def test_a_password_is_not_cut_at_a_zero_byte() -> None:
    assert not check_password("a\0b", hash_password("a?b", 4))


@pytest.mark.parametrize(
    ("hashed", "cost"),
    [
        (HASH, 4),
        (stand_in(12), 12),
        (stand_in(16), 16),
        (stand_in(17), None),
        (stand_in(3), None),
        ("$2x$" + HASH[4:], None),
        (HASH[:-1], None),
        (HASH + "x", None),
        (HASH + "\n", None),
        ("$apr1$abcdefgh$1234567890123456789012", None),
        ("{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=", None),
        ("correct", None),
        ("", None),
    ],
)
def test_only_sound_bcrypt_hashes_of_a_bearable_cost_are_used(hashed: str, cost: int | None) -> None:
    assert find_cost(hashed) == cost


@pytest.mark.parametrize("cost", [4, 5])
def test_no_password_fits_the_stand_in_of_an_unknown_user(cost: int) -> None:
    assert find_cost(stand_in(cost)) == cost
    assert not check_password("", stand_in(cost))
    assert not check_password("anything", stand_in(cost))


@pytest.mark.parametrize(
    ("password", "word"), [("", "empty"), ("x" * 73, "72 bytes"), ("é" * 37, "72 bytes"), ("a\0b", "control")]
)
def test_a_password_that_bcrypt_cannot_hold_is_named_and_not_hashed(password: str, word: str) -> None:
    assert word in (find_problem(password) or "")
    with pytest.raises(ValueError, match=word):
        hash_password(password, 4)


def test_72_bytes_are_a_password() -> None:
    assert find_problem("x" * 72) is None
