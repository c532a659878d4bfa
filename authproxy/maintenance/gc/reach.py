"""Which nodes of a graph are reached from its roots, in a few bytes for each edge. No I/O."""

from array import array
from itertools import accumulate

_NUMBER = "I"  # unsigned, 32 bits


class Edges:
    """Edges between numbered nodes."""

    def __init__(self) -> None:
        self._sources = array(_NUMBER)
        self._targets = array(_NUMBER)

    def __len__(self) -> int:
        return len(self._sources)

    def add(self, source: int, target: int) -> None:
        """An edge in one direction."""
        self._sources.append(source)
        self._targets.append(target)

    def spread(self, reached: bytearray) -> None:
        """Set each node that can be reached from one that is set."""
        count = len(reached)
        starts = array(_NUMBER, bytes(4 * (count + 1)))
        for source in self._sources:
            starts[source + 1] += 1
        starts = array(_NUMBER, accumulate(starts))
        free = array(_NUMBER, starts)
        targets = array(_NUMBER, bytes(4 * len(self._targets)))
        for source, target in zip(self._sources, self._targets, strict=True):
            targets[free[source]] = target
            free[source] += 1
        waiting = array(_NUMBER, (node for node in range(count) if reached[node]))
        while waiting:
            node = waiting.pop()
            for target in targets[starts[node] : starts[node + 1]]:
                if not reached[target]:
                    reached[target] = 1
                    waiting.append(target)
