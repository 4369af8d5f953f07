"""Latencies in constant memory: a histogram with buckets of 1/1024 of their value, like HdrHistogram's three digits."""

from __future__ import annotations

from collections.abc import Mapping


class LatencyHistogram:
    """Counts durations in nanoseconds. Quantiles are accurate to 0.1%, the maximum is exact."""

    __slots__ = ("count", "counts", "max")

    def __init__(self) -> None:
        self.counts: dict[int, int] = {}
        self.count = 0
        self.max = 0

    def record(self, duration: int) -> None:
        shift = duration.bit_length() - 11
        bucket = duration if shift <= 0 else (shift << 11) + (duration >> shift)
        self.counts[bucket] = self.counts.get(bucket, 0) + 1
        self.count += 1
        if duration > self.max:
            self.max = duration

    def quantile(self, fraction: float) -> int | None:
        """Returns the nanoseconds that `fraction` of the durations do not exceed; None if there are no durations."""
        if not self.count:
            return None
        left = max(1, -int(-fraction * self.count // 1))
        for bucket in sorted(self.counts):
            left -= self.counts[bucket]
            if left <= 0:
                return min(_upper(bucket), self.max)
        return self.max

    def add(self, other: LatencyHistogram) -> None:
        """Adds the counts of `other`."""
        for bucket, count in other.counts.items():
            self.counts[bucket] = self.counts.get(bucket, 0) + count
        self.count += other.count
        self.max = max(self.max, other.max)

    def summary_ms(self) -> Mapping[str, float | None]:
        """Returns p50, p95, p99 and max in milliseconds; None for each if nothing was counted."""
        names = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
        quantiles = {name: self.quantile(fraction) for name, fraction in names.items()}
        return {name: None if value is None else round(value / 1e6, 3) for name, value in quantiles.items()}


def _upper(bucket: int) -> int:
    shift = bucket >> 11
    return bucket if shift <= 0 else ((bucket & 0x7FF) + 1 << shift) - 1
