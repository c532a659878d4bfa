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


def test_a_longer_password_is_compared_by_its_first_72_bytes() -> None:
    hashed = hash_password("a" * 72, 4)  # as htpasswd makes it of 80
    assert check_password("a" * 80, hashed)
    assert not check_password("a" * 71 + "b" * 9, hashed)
    assert not check_password("a" * 71, hashed)
    assert not check_password("a" * 80, hash_password("a" * 71, 4))


@pytest.mark.parametrize(
    "beginning", ['{"type": "service_account"', "{", "eyJhbGciOi", "ewogICJ0", "-----BEGIN KEY-----"]
)
def test_a_longer_password_whose_beginning_is_no_secret_fits_nothing(beginning: str) -> None:
    cut = beginning.ljust(72, "x")
    hashed = hash_password(cut, 4)
    assert check_password(cut, hashed)
    assert not check_password(cut + "the secret part", hashed)


@pytest.mark.parametrize("hidden", ["a" * 72 + "\0", "a" * 80 + "\0b"])
def test_a_zero_byte_behind_72_bytes_is_refused_too(hidden: str) -> None:
    assert not check_password(hidden, hash_password("a" * 72, 4))


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
