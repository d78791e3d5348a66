"""Shares of a histogram: the duration below which half of the requests stayed, or 99 in 100."""

from collections.abc import Sequence


def quantile(buckets: Sequence[tuple[float, int]], share: float) -> float | None:
    """The value below which that share of a cumulative histogram lies, interpolated as Prometheus does; None if empty.

    Source: https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile
    """
    if not buckets or buckets[-1][1] <= 0:
        return None
    wanted = share * buckets[-1][1]
    lower, below = 0.0, 0
    for bound, count in buckets:
        if count >= wanted:
            return bound if count == below else lower + (bound - lower) * (wanted - below) / (count - below)
        lower, below = bound, count
    return buckets[-1][0]
