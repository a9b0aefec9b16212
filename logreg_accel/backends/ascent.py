"""The passes of dual coordinate ascent. They have no generic body: a backend has a kernel, or does not offer
them."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from .passes import Pass


class Walk(NamedTuple):
    """What an epoch gives.

    w : (n + 1,), float64 on the host, the multiplier of the intercept last
    state : array (rows, 2): p, the size of a row's residual, and ‖x‖²
    gap : float, Σ s·(the gap of a row); about, or if it is settled what it is now
    intercept : float, the best one beside w if it is settled, else the multiplier
    """

    w: Any
    state: Any
    gap: float
    intercept: float


@dataclass(frozen=True, eq=False)
class DualEpoch(Pass):
    """-> a Walk: one visit to every row, in an order drawn with a seed.

    strength : float, C
    intercept : whether there is one
    settle : whether the best intercept is wanted, and the gap that goes with it; one more read
    state : what the last epoch gave, or None for the residuals at the margins of W
    """

    vectors = ("state",)
    W: Any
    loss: Any
    strength: float
    intercept: bool
    seed: int
    settle: bool
    state: Any = None


@dataclass(frozen=True, eq=False)
class DualGap(Pass):
    """-> Σ s·(the gap of a row), and C·Σ s·p·ỹ·x (n,), for residuals whose sum is made zero beside an
    intercept.

    margins : those of the point that is judged
    """

    vectors = ("margins", "state")
    W: Any
    loss: Any
    strength: float
    intercept: bool
    margins: Any
    state: Any
