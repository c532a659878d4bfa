from hypothesis import given
from hypothesis import strategies as st

from authproxy.bounded_cache import Bounded


def filled(*sizes: int, max_bytes: int = 10) -> Bounded[int, str]:
    """The values "0", "1", … of these sizes, in this order."""
    held: Bounded[int, str] = Bounded(max_bytes)
    for key, size in enumerate(sizes):
        held.put(key, str(key), size)
    return held


def held_by(bounded: Bounded[int, str]) -> list[int]:
    return [key for key in range(100) if bounded.get(key) is not None]


def test_what_was_put_is_got_and_nothing_else_is() -> None:
    held = filled(1, 2)
    assert (held.get(0), held.get(1), held.get(2), len(held)) == ("0", "1", None, 2)


def test_as_many_bytes_are_held_as_may_be_and_not_one_more() -> None:
    assert held_by(filled(5, 5)) == [0, 1]
    assert held_by(filled(5, 5, 1)) == [1, 2]
    assert held_by(filled(5, 5, 6)) == [2]


def test_what_was_touched_is_the_last_to_go() -> None:
    held = filled(5, 5)
    held.touch(0)
    held.put(2, "2", 5)
    assert held_by(held) == [0, 2]


def test_what_was_got_goes_as_if_it_had_not_been() -> None:
    held = filled(5, 5)
    assert held.get(0) == "0"
    held.put(2, "2", 5)
    assert held_by(held) == [1, 2]


def test_a_value_takes_the_place_and_the_bytes_of_the_one_before_and_is_the_last_to_go() -> None:
    held = filled(4, 4)
    held.put(0, "new", 6)
    assert (held.get(0), held_by(held)) == ("new", [0, 1])
    held.put(2, "2", 1)
    assert held_by(held) == [0, 2]


def test_what_is_larger_than_all_may_be_pushes_nothing_out_and_leaves_nothing_old() -> None:
    held = filled(4, 4)
    held.put(0, "too large", 11)
    assert held_by(held) == [1]


def test_what_was_popped_makes_room() -> None:
    held = filled(5, 5)
    assert (held.pop(0), held.pop(0), held.pop(7)) == ("0", None, None)
    held.put(2, "2", 5)
    assert held_by(held) == [1, 2]


def test_it_shows_how_full_it_is() -> None:
    assert repr(filled(3, 4)) == "Bounded(2 values, 7 of 10 bytes)"


@given(st.lists(st.tuples(st.sampled_from(("put", "touch", "pop")), st.integers(0, 5), st.integers(0, 12))))
def test_after_any_steps_it_holds_what_a_plain_list_of_them_says(steps: list[tuple[str, int, int]]) -> None:
    held: Bounded[int, str] = Bounded(10)
    model: dict[int, int] = {}  # key: size, the next to go first
    for what, key, size in steps:
        if what == "put":
            held.put(key, str(key), size)
            model.pop(key, None)
            if size <= 10:
                model[key] = size
            while sum(model.values()) > 10:
                del model[next(iter(model))]
        elif what == "pop":
            assert held.pop(key) == (str(key) if key in model else None)
            model.pop(key, None)
        elif key in model:
            held.touch(key)
            model[key] = model.pop(key)
        assert held_by(held) == sorted(model)
