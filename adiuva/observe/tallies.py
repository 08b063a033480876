"""Counters and histograms that cost next to nothing: whoever counts holds the number itself, found once by its labels.

The client library's own find a lock and walk their buckets each time. Here all counting is the event loop's, so none is
needed.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence

from attrs import define, field
from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector


@define(eq=False)
class Count:
    """How often something has happened, or how much of it: add to ``value``."""

    value: int = 0


@define(eq=False)
class Spread:
    """How often values fell below each of ``bounds``, and their sum."""

    bounds: Sequence[float]
    counts: list[int] = field(init=False)
    total: float = field(default=0.0, init=False)

    @counts.default
    def _one_for_each_and_one_above(self) -> list[int]:
        return [0] * (len(self.bounds) + 1)

    def add(self, value: float) -> None:
        """Count ``value``."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def buckets(self) -> list[tuple[str, float]]:
        """As Prometheus has them: each with all that are below it."""
        below, found = 0, []
        for bound, count in zip((*map(str, self.bounds), "+Inf"), self.counts, strict=True):
            below += count
            found.append((bound, float(below)))
        return found


class Counts(Collector):
    """A family of counters; without labels it has one, from the start."""

    def __init__(self, name: str, text: str, *labels: str) -> None:
        self._name, self._text, self._labels = name, text, labels
        self._all: dict[tuple[str, ...], Count] = {} if labels else {(): Count()}

    def of(self, *labels: str) -> Count:
        """The counter with these labels."""
        return self._all.setdefault(labels, Count())

    def describe(self) -> Iterator[Metric]:
        """Nothing is known before it is counted."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """The family as it is now."""
        family = CounterMetricFamily(self._name, self._text, labels=self._labels)
        for labels, count in self._all.items():
            family.add_metric(labels, count.value)
        yield family


class Spreads(Collector):
    """A family of histograms over ``bounds``; without labels it has one, from the start."""

    def __init__(self, name: str, text: str, *labels: str, bounds: Sequence[float]) -> None:
        self._name, self._text, self._labels, self._bounds = name, text, labels, bounds
        self._all: dict[tuple[str, ...], Spread] = {} if labels else {(): Spread(bounds)}

    def of(self, *labels: str) -> Spread:
        """The histogram with these labels."""
        return self._all.setdefault(labels, Spread(self._bounds))

    def describe(self) -> Iterator[Metric]:
        """Nothing is known before it is counted."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """The family as it is now."""
        family = HistogramMetricFamily(self._name, self._text, labels=self._labels)
        for labels, spread in self._all.items():
            family.add_metric(labels, spread.buckets(), spread.total)
        yield family
