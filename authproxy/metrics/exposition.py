"""The text that Prometheus reads (https://prometheus.io/docs/instrumenting/exposition_formats/, version 0.0.4)."""

import itertools
import platform
from collections.abc import Iterator

import prometheus_client
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector, CollectorRegistry
from prometheus_client.utils import floatToGoString

from authproxy import __version__
from authproxy.metrics.families import BUILD_INFO, FAMILIES
from authproxy.metrics.numbers import Family, MetricKind, Numbers

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4


def render(numbers: Numbers) -> bytes:
    """The text: families in the order of their table, labels sorted."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(numbers))
    return prometheus_client.generate_latest(registry)


def about_this_process() -> Numbers:
    """The kernel's numbers for this process, and the version of the program."""
    numbers: Numbers = {(BUILD_INFO.name, (__version__, platform.python_version())): [1.0]}
    for metric in ProcessCollector(registry=None).collect():
        for sample in metric.samples:
            if sample.name in FAMILIES:
                numbers[sample.name, ()] = [sample.value]
    return numbers


class _Collector(Collector):
    """The interface by which prometheus_client reads numbers."""

    def __init__(self, numbers: Numbers) -> None:
        self.numbers = numbers

    def collect(self) -> Iterator[Metric]:
        by_family: dict[str, list[tuple[tuple[str, ...], list[float]]]] = {}
        for (name, labels), values in sorted(self.numbers.items()):
            by_family.setdefault(name, []).append((labels, values))
        for family in FAMILIES.values():
            if rows := by_family.get(family.name):
                yield _metric(family, rows)


def _metric(family: Family, rows: list[tuple[tuple[str, ...], list[float]]]) -> Metric:
    if family.kind is MetricKind.HISTOGRAM:
        histogram = HistogramMetricFamily(family.name, family.about, labels=family.labels)
        bounds = [*map(floatToGoString, family.buckets), "+Inf"]
        for labels, (*counts, total) in rows:
            histogram.add_metric(labels, list(zip(bounds, itertools.accumulate(counts), strict=True)), total)
        return histogram
    kind = CounterMetricFamily if family.kind is MetricKind.COUNTER else GaugeMetricFamily
    single = kind(family.name, family.about, labels=family.labels)
    for labels, (value,) in rows:
        single.add_metric(labels, value)
    return single
