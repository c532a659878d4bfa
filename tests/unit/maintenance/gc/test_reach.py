"""Reachability in a graph."""

from hypothesis import given
from hypothesis import strategies as st

from authproxy.maintenance.gc.reach import Edges

NODE = st.integers(0, 9)


@given(st.lists(st.tuples(NODE, NODE), max_size=30), st.sets(NODE))
def test_what_is_reached_is_what_paths_lead_to(pairs: list[tuple[int, int]], roots: set[int]) -> None:
    edges = Edges()
    for pair in pairs:
        edges.add(*pair)
    reached = bytearray(node in roots for node in range(10))
    edges.spread(reached)
    expected = set(roots)
    for _ in range(10):
        expected |= {target for source, target in pairs if source in expected}
    assert {node for node in range(10) if reached[node]} == expected


def test_a_chain_takes_one_pass() -> None:
    length = 200_000
    edges = Edges()
    for node in range(length - 1):
        edges.add(node, node + 1)
    reached = bytearray(length)
    reached[0] = 1
    edges.spread(reached)
    assert all(reached)
