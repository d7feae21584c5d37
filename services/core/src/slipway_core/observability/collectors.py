"""Counters and histograms for metrics that every request updates.

They are exposed like those of the Prometheus client library, in its registry, but have no locks and
no checks: each must be updated from one thread only.
"""

from __future__ import annotations

from abc import abstractmethod
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Generic, TypeVar

from prometheus_client import REGISTRY, CollectorRegistry, disable_created_metrics
from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

LATENCY_SECONDS = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
)  # fmt: skip
"""Bounds of the buckets of latency histograms, in seconds."""

# One series less for each counter and histogram: their times of creation are not used.
disable_created_metrics()  # type: ignore[no-untyped-call]

S = TypeVar("S")


class _Metric(Collector, Generic[S]):
    """A metric with a series for each combination of label values."""

    def __init__(
        self,
        name: str,
        documentation: str,
        labels: Sequence[str] = (),
        *,
        registry: CollectorRegistry = REGISTRY,
    ) -> None:
        self._name = name
        self._documentation = documentation
        self._label_names = labels
        self._series: dict[tuple[str, ...], S] = {}
        if not labels:
            self.labels()
        registry.register(self)

    def labels(self, *values: str) -> S:
        """Return the series with these label values, and create it at the first call.

        Keep the result for a metric without labels.
        """
        series = self._series.get(values)
        return self._add(values) if series is None else series

    def _add(self, values: tuple[str, ...]) -> S:
        if len(values) != len(self._label_names):
            raise ValueError(f"{self._name} has the labels {self._label_names}, not {values}")
        return self._series.setdefault(values, self._new())

    @abstractmethod
    def _new(self) -> S: ...


class CounterSeries:
    """A number that only grows."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0

    def inc(self, count: float = 1) -> None:
        """Add `count`."""
        self.value += count


class Counter(_Metric[CounterSeries]):
    """A counter, exposed as `<name>_total`."""

    def collect(self) -> Iterable[Metric]:
        """Return the metric for the registry."""
        family = CounterMetricFamily(self._name, self._documentation, labels=self._label_names)
        for values, series in list(self._series.items()):
            family.add_metric(values, series.value)
        return [family]

    def _new(self) -> CounterSeries:
        return CounterSeries()


class HistogramSeries:
    """Numbers of observations, by the smallest bound that they do not exceed."""

    __slots__ = ("_bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, amount: float) -> None:
        """Count an observation of `amount`."""
        self.counts[bisect_left(self._bounds, amount)] += 1
        self.sum += amount


class Histogram(_Metric[HistogramSeries]):
    """A histogram with a bucket for each bound of `buckets`, ascending, and one for the rest."""

    def __init__(
        self,
        name: str,
        documentation: str,
        labels: Sequence[str] = (),
        *,
        buckets: Sequence[float],
        registry: CollectorRegistry = REGISTRY,
    ) -> None:
        self._buckets = buckets
        super().__init__(name, documentation, labels, registry=registry)

    def collect(self) -> Iterable[Metric]:
        """Return the metric for the registry."""
        family = HistogramMetricFamily(self._name, self._documentation, labels=self._label_names)
        names = [*map(floatToGoString, self._buckets), "+Inf"]
        for values, series in list(self._series.items()):
            cumulative, buckets = 0, []
            for name, count in zip(names, series.counts, strict=True):
                cumulative += count
                buckets.append((name, cumulative))
            family.add_metric(values, buckets, series.sum)
        return [family]

    def _new(self) -> HistogramSeries:
        return HistogramSeries(self._buckets)
