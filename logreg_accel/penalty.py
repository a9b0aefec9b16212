"""The penalty on the weights; the intercept is never penalised."""

import math
import numbers
from dataclasses import dataclass, field
from typing import Any

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
    """½·Σⱼ l2ⱼ·wⱼ² + Σⱼ l1ⱼ·|wⱼ|.

    Parameters
    ----------
    l2, l1 : float, or ndarray of the size of a point
        (1 − l1_ratio) / (C · Σᵢ sᵢ) and l1_ratio / (C · Σᵢ sᵢ), the strengths relative to the *mean* loss; in
        an array, these times a factor for each weight. If all are 0 (C = inf), there is no penalty.
    modulus : float or None
        The smallest l2 of a weight that is not an intercept; None means that of a single number.

    Attributes
    ----------
    plain : bool
        Whether all weights have the same strengths.
    has_l1, there : bool
        Whether any weight has an L1 part, and whether any has a penalty.
    """

    l2: Any = 0.0
    l1: Any = 0.0
    modulus: float | None = None
    plain: bool = field(init=False)
    has_l1: bool = field(init=False)
    there: bool = field(init=False)

    def __post_init__(self):
        plain = np.ndim(self.l2) == 0
        some = bool if plain else np.any
        l1, l2 = bool(some(self.l1)), bool(some(self.l2))
        modulus = float(self.l2) if self.modulus is None else self.modulus
        # Computed once, since every step needs them.
        vars(self).update(plain=plain, has_l1=l1, there=l1 or l2, modulus=modulus)

    def by_weight(self, of_l2, of_l1, fixed):
        """The same penalty with separate strengths for each weight.

        Parameters
        ----------
        of_l2, of_l1 : ndarray (size,)
            Factors of the strengths.
        fixed : ndarray (size,) of bool
            Intercepts, which have no penalty.
        """
        l2, l1 = (np.where(fixed, 0.0, part) for part in (self.l2 * of_l2, self.l1 * of_l1))
        return Penalty(l2, l1, float(l2[~fixed].min(initial=np.inf)))

    def of_some(self, weights):
        """The same penalty on some of the weights."""
        return self if self.plain else Penalty(self.l2[weights], self.l1[weights], self.modulus)

    @property
    def one_ridge(self):
        """Whether there is an L2 part that is the same for all weights."""
        return self.plain and self.l2 > 0

    def everywhere(self, fixed):
        """Whether every weight except those in `fixed` has an L2 part."""
        return bool(np.all((self.l2 > 0) | (self.l1 > 0) | fixed))

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
        if not self.plain:
            return 0.5 * float((self.l2 * w * w).sum()) + float((self.l1 * abs(w)).sum())
        squares = 0.5 * self.l2 * float((w * w).sum()) if self.l2 else 0.0  # 0·inf would be nan
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
        """Bound F − min F at a point with gradient g by strong convexity: ‖g‖²/(2·l2).

        The bound is inf without an L2 penalty.
        """
        squared = float((gradient * gradient).sum())
        return squared / (2 * self.l2) if self.l2 > 0 else float("inf")
