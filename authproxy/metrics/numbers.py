"""Numbers by family and labels, of one process or of several together; and as text, on their way between them."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias


class MetricKind(Enum):
    """What Prometheus makes of a family."""

    COUNTER = "counter"  # only grows: also that of a process which has died
    GAUGE = "gauge"  # as of now: gone with its process
    HISTOGRAM = "histogram"  # counters for ranges, and a sum


@dataclass(frozen=True, slots=True)
class Family:
    """One metric. Its numbers are one value, or for a histogram a count for each bucket and past them, then the sum."""

    name: str
    kind: MetricKind
    about: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()  # upper bounds, themselves included
    lowest: bool = False  # of several processes the lowest value is shown, instead of the sum
    shown: tuple[tuple[str, ...], ...] = ()  # labels that are there from the start with 0: a rate needs a first value


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
    """What counts on when the process has ended: all but the gauges."""
    return {key: values for key, values in numbers.items() if families[key[0]].kind is not MetricKind.GAUGE}


def dump(numbers: Numbers) -> bytes:
    """As text that `load` reads."""
    return json.dumps([[name, labels, values] for (name, labels), values in numbers.items()]).encode()


def load(text: bytes) -> Numbers:
    """What `dump` wrote."""
    return {(name, tuple(labels)): values for name, labels, values in json.loads(text)}
