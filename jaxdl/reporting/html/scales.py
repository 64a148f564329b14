"""Places numbers along an axis, and finds the numbers that are written beside it."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Real

LOG_FROM = 100.0  # of the largest to the smallest value: from here on a linear axis hides the small


class Scale(NamedTuple):
    """An axis: its ends, and whether it is logarithmic."""

    low: float
    high: float
    log: bool = False

    def share(self, values: Real[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """Places values along the axis, 0 at its low end and 1 at its high end."""
        low, high, at = map(self._spread, (self.low, self.high, np.asarray(values, float)))
        return (at - low) / (high - low)

    def _spread(self, values):
        if not self.log:
            return values
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.log10(values)

    def ticks(self, most: int = 5) -> list[float]:
        """Lists round numbers on the axis, about as many as asked for."""
        from matplotlib import ticker  # here: it takes a tenth of a second

        locator: ticker.Locator = ticker.MaxNLocator(most, steps=[1, 2, 2.5, 5, 10])
        if self.log:
            locator = ticker.LogLocator(numticks=most + 1)
        values = np.asarray(locator.tick_values(self.low, self.high))
        slack = 1e-9 * abs(self.high - self.low)
        inside = (values >= self.low - slack) & (values <= self.high + slack)
        chosen = [float(value) for value in values[inside]]
        # An axis that lies between two powers of ten is told by its ends.
        return chosen if len(chosen) > 1 else [self.low, self.high]


def scale_of(values: Real[np.ndarray, "*shape"], log: bool = False) -> Scale:
    """Makes the axis that holds all finite values.

    Args:
      log: whether it may be logarithmic: it is where all values are positive and the largest is
        `LOG_FROM` times the smallest.
    """
    finite = np.asarray(values, float).ravel()
    finite = finite[np.isfinite(finite)]
    if not len(finite):
        return Scale(0.0, 1.0)
    low, high = float(finite.min()), float(finite.max())
    if log and low > 0 and high >= LOG_FROM * low:
        return Scale(low, high, True)
    # One value alone stands in the middle of an axis of some width.
    margin = 0.04 * (high - low) or abs(low) * 0.1 or 0.5
    return Scale(low - margin, high + margin)


def tick_text(value: float) -> str:
    """Writes a number beside an axis.

    >>> [tick_text(value) for value in (0.30000000000000004, 1500.0, 1e-7, -0.0)]
    ['0.3', '1500', '1e-07', '0']
    """
    return f"{value + 0.0:.4g}"
