"""The passes of dual coordinate ascent. They have no generic body: a backend needs a kernel to offer them."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from .passes import Pass


class EpochResult(NamedTuple):
    """The result of an epoch.

    w : (n + 1,), float64 on the host; its last element is the multiplier of the constraint by the intercept
    state : array (rows, 2): p, the absolute residual of a row, and ‖x‖²
    gap : float, Σ s·(the gap of a row); approximate, or exact after `settle`
    intercept : float, the best one for w after `settle`, otherwise the multiplier
    """

    w: Any
    state: Any
    gap: float
    intercept: float


@dataclass(frozen=True, eq=False)
class DualEpoch(Pass):
    """-> an EpochResult: one visit of every row, in an order drawn with a seed.

    strength : float, C
    intercept : whether there is one
    settle : whether to compute the best intercept and the exact gap, in one more read
    state : that of the last epoch, or None for the residuals at the margins of W
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
    """-> Σ s·(the gap of a row), and C·Σ s·p·ỹ·x (n,); with an intercept, the residuals are changed such that
    their sum is zero.

    margins : those of the point that is judged
    """

    vectors = ("margins", "state")
    W: Any
    loss: Any
    strength: float
    intercept: bool
    margins: Any
    state: Any
