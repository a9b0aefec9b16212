"""The penalty on the weights: never on the intercept."""

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

    def value(self, w):
        return 0.5 * self.l2 * float((w * w).sum())

    def gradient(self, w):
        return self.l2 * w

    def suboptimality_bound(self, gradient):
        """How far F can lie above its minimum where its gradient is g: ‖g‖²/(2·l2), by strong convexity; inf without."""
        squared = float((gradient * gradient).sum())
        return squared / (2 * self.l2) if self.l2 > 0 else float("inf")
