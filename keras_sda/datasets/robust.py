"""The scale that no gross value decides: standard deviations of values that are cut first."""

import numpy as np

# How many robust standard deviations from the median a value counts at most.
_FARTHEST = 10.0
# By which share of its value a constant column may move until it counts as far as that.
_CONSTANT_TOLERANCE = 1e-3
# Narrower ranges cannot be told from a constant once values are float32.
_NARROWEST = float(np.finfo(np.float32).tiny)


def robust_map(values: np.ndarray) -> tuple[float, float, float, float]:
    """Returns offset, factor and bounds of the map to standard deviations from a robust mean.

    Values farther from the median than ten robust standard deviations (the interquartile range /
    1.349, as of normal values) are moved to there, so that no gross value decides the scale. Where
    half of the values are equal, the deviation is the standard one; and of constant values so small
    that any move beyond a thousandth counts as far out.

    Args:
        values: Training values of one column, float64 of shape `(rows,)`, none of them missing.
    """
    first, median, third = np.quantile(values, [0.25, 0.5, 0.75])
    if values.max() - values.min() <= _NARROWEST:
        deviation = _CONSTANT_TOLERANCE * max(1.0, abs(median)) / _FARTHEST
        return float(median), float(1.0 / deviation), -_FARTHEST, _FARTHEST
    robust = (third - first) / 1.349
    reach = _FARTHEST * (robust if robust > _NARROWEST else values.std())
    cut = np.clip(values, median - reach, median + reach)
    mean, deviation = cut.mean(), cut.std()
    low, high = (median - reach - mean) / deviation, (median + reach - mean) / deviation
    return float(mean), float(1.0 / deviation), float(low), float(high)
