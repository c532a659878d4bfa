"""Numbers by family and labels, of one process or of several together; and as text, to pass between processes."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias


class MetricKind(Enum):
    """The type of a metric in Prometheus."""

    COUNTER = "counter"  # only grows; that of a dead process still counts
    GAUGE = "gauge"  # the current value; that of a dead process does not count
    HISTOGRAM = "histogram"  # counters per bucket, and a sum


@dataclass(frozen=True, slots=True)
class Family:
    """One metric. Its numbers are one value; for a histogram the count of each bucket, that above them all, the sum."""

    name: str
    kind: MetricKind
    about: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()  # upper bounds, inclusive
    lowest: bool = False  # the lowest value of several processes, instead of the sum
    shown: tuple[tuple[str, ...], ...] = ()  # labels with a 0 from the start: a rate needs a first value


# Family's name and label values → its numbers.
Numbers: TypeAlias = dict[tuple[str, tuple[str, ...]], list[float]]


def merge(families: Mapping[str, Family], several: Iterable[Numbers]) -> Numbers:
    """The numbers of several processes as those of one."""
    together: Numbers = {}
    for numbers in several:
        for key, values in numbers.items():
            if (before := together.get(key)) is None:
                together[key] = list(values)
            elif families[key[0]].lowest:
                together[key] = [min(pair) for pair in zip(before, values, strict=True)]
            else:
                together[key] = [sum(pair) for pair in zip(before, values, strict=True)]
    return together


def lasting(families: Mapping[str, Family], numbers: Numbers) -> Numbers:
    """The numbers that still count when the process has ended: all except gauges."""
    return {key: values for key, values in numbers.items() if families[key[0]].kind is not MetricKind.GAUGE}


def dump(numbers: Numbers) -> bytes:
    """The numbers as text for `load`."""
    return json.dumps([[name, labels, values] for (name, labels), values in numbers.items()]).encode()


def load(text: bytes) -> Numbers:
    """Read the text of `dump`."""
    return {(name, tuple(labels)): values for name, labels, values in json.loads(text)}
