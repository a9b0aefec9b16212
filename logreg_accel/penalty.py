"""The penalty on the weights: never on the intercept."""

import math
import numbers
from dataclasses import dataclass


@dataclass(frozen=True)
class Penalty:
    """½·l2·‖w‖².

    Parameters
    ----------
    l2 : float
        λ = 1 / (C · Σᵢ sᵢ): the strength beside the *mean* loss. 0 is no penalty (C = inf).
    """

    l2: float = 0.0

    @classmethod
    def of_strength(cls, C, total_weight):
        """The penalty of scikit-learn's C beside the mean loss.

        Raises
        ------
        ValueError
            C is no positive number, or so small that 1/(C·Σs) overflows.
        """
        if isinstance(C, bool) or not isinstance(C, numbers.Real) or not C > 0:
            raise ValueError(f"`C` is {C!r}; expected a positive number, or np.inf for no penalty.")
        if C * total_weight == 0 or math.isinf(1 / (C * total_weight)):
            raise ValueError(f"`C` is {C!r}, too small beside a sum of weights of {total_weight:g}: 1/(C·Σs) overflows.")
        return cls(l2=1 / (C * total_weight))

    def value(self, w):
        return 0.5 * self.l2 * float((w * w).sum())

    def gradient(self, w):
        return self.l2 * w

    def suboptimality_bound(self, gradient):
        """How far F can lie above its minimum where its gradient is g: ‖g‖²/(2·l2), by strong convexity; inf without."""
        squared = float((gradient * gradient).sum())
        return squared / (2 * self.l2) if self.l2 > 0 else float("inf")
