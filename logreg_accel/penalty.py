"""The penalty on the weights; the intercept is never penalised."""

import math
import numbers
from dataclasses import dataclass

import numpy as np


def check_number(name, value, expected, holds, kind=numbers.Real):
    """Raise ValueError unless a parameter is a number for which `holds`."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, kind) or not holds(value):
        raise ValueError(f"`{name}` is {value!r}; expected {expected}.")


def check_strength(C, l1_ratio=0.0):
    """Raise ValueError unless C is positive and l1_ratio is from 0 to 1."""
    check_number("C", C, "a positive number, or np.inf for no penalty", lambda v: v > 0)
    check_number("l1_ratio", l1_ratio, "a number from 0 (L2) to 1 (L1)", lambda v: 0 <= v <= 1)


@dataclass(frozen=True)
class Penalty:
    """½·l2·‖w‖² + l1·‖w‖₁.

    Parameters
    ----------
    l2, l1 : float
        (1 − l1_ratio) / (C · Σᵢ sᵢ) and l1_ratio / (C · Σᵢ sᵢ), the strengths relative to the *mean* loss. If
        both are 0 (C = inf), there is no penalty.
    """

    l2: float = 0.0
    l1: float = 0.0

    @classmethod
    def of_strength(cls, C, total_weight, l1_ratio=0.0):
        """Return the penalty that scikit-learn's C and l1_ratio mean when the loss is a mean.

        Raises
        ------
        ValueError
            C is not a positive number or so small that 1/(C·Σs) overflows, or l1_ratio is not from 0 to 1.
        """
        check_strength(C, l1_ratio)
        if C * total_weight == 0 or math.isinf(1 / (C * total_weight)):
            raise ValueError(
                f"`C` is {C!r}, too small beside a sum of weights of {total_weight:g}: 1/(C·Σs) overflows."
            )
        strength = 1 / (C * total_weight)
        return cls(l2=(1 - l1_ratio) * strength, l1=l1_ratio * strength)

    def value(self, w):
        squares = 0.5 * self.l2 * float((w * w).sum()) if self.l2 else 0.0  # of no weight they may overflow
        return squares + (self.l1 * float(abs(w).sum()) if self.l1 else 0.0)

    def gradient(self, w):
        """Return the gradient of the smooth part, l2·w."""
        return self.l2 * w

    def conjugate(self, v):
        """Return sup over w of v·w − ½·l2·‖w‖² − l1·‖w‖₁; inf if l2 is 0 and some |v| exceeds l1."""
        beyond = np.maximum(abs(v) - self.l1, 0)
        if self.l2 > 0:
            return float((beyond * beyond).sum()) / (2 * self.l2)
        return float("inf") if beyond.any() else 0.0

    def suboptimality_bound(self, gradient):
        """Bound by strong convexity how far F lies above its minimum where its gradient is g: ‖g‖²/(2·l2).

        The bound is inf without an L2 penalty.
        """
        squared = float((gradient * gradient).sum())
        return squared / (2 * self.l2) if self.l2 > 0 else float("inf")
