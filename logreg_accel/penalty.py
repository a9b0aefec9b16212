"""The penalty on the weights: never on the intercept."""

import math
import numbers
from dataclasses import dataclass

import numpy as np


def check_number(name, value, expected, holds, kind=numbers.Real):
    """Raise ValueError unless a parameter is a number for which `holds`."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, kind) or not holds(value):
        raise ValueError(f"`{name}` is {value!r}; expected {expected}.")


def check_strength(C, l1_ratio=0.0):
    """Raise ValueError unless C is positive and l1_ratio from 0 to 1."""
    check_number("C", C, "a positive number, or np.inf for no penalty", lambda v: v > 0)
    check_number("l1_ratio", l1_ratio, "a number from 0 (L2) to 1 (L1)", lambda v: 0 <= v <= 1)


@dataclass(frozen=True)
class Penalty:
    """½·l2·‖w‖² + l1·‖w‖₁.

    Parameters
    ----------
    l2, l1 : float
        (1 − l1_ratio) / (C · Σᵢ sᵢ) and l1_ratio / (C · Σᵢ sᵢ): the strengths beside the *mean* loss. Both 0
        is no penalty (C = inf).
    """

    l2: float = 0.0
    l1: float = 0.0

    @classmethod
    def of_strength(cls, C, total_weight, l1_ratio=0.0):
        """The penalty of scikit-learn's C and l1_ratio beside the mean loss.

        Raises
        ------
        ValueError
            C is no positive number, or so small that 1/(C·Σs) overflows; l1_ratio is not from 0 to 1.
        """
        check_strength(C, l1_ratio)
        if C * total_weight == 0 or math.isinf(1 / (C * total_weight)):
            raise ValueError(
                f"`C` is {C!r}, too small beside a sum of weights of {total_weight:g}: 1/(C·Σs) overflows."
            )
        strength = 1 / (C * total_weight)
        return cls(l2=(1 - l1_ratio) * strength, l1=l1_ratio * strength)

    def value(self, w):
        return 0.5 * self.l2 * float((w * w).sum()) + (self.l1 * float(abs(w).sum()) if self.l1 else 0.0)

    def gradient(self, w):
        """Of the smooth part, l2·w."""
        return self.l2 * w

    def conjugate(self, v):
        """sup over w of v·w − ½·l2·‖w‖² − l1·‖w‖₁; inf where v is beyond l1 and l2 is 0."""
        beyond = np.maximum(abs(v) - self.l1, 0)
        if self.l2 > 0:
            return float((beyond * beyond).sum()) / (2 * self.l2)
        return float("inf") if beyond.any() else 0.0

    def suboptimality_bound(self, gradient):
        """How far F can lie above its minimum where its gradient is g: ‖g‖²/(2·l2), by strong convexity; inf without."""
        squared = float((gradient * gradient).sum())
        return squared / (2 * self.l2) if self.l2 > 0 else float("inf")
