"""Batch gradient descent."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from .questions import CONVERGED, DIAGONAL, DIVERGED, Accept, Curvature, Evaluate


@dataclass(frozen=True)
class gd:
    """Gradient descent with a constant step and, optionally, Nesterov's momentum.

        u ← β·u − η·∇F(w)        w ← w + β·u − η·∇F(w)        (β = 0: w ← w − η·∇F(w))

    w is the point that Nesterov's method looks ahead to, so the point at which the gradient is taken is also
    the one returned.

    Parameters
    ----------
    step : float or None
        η, for the mean loss. None uses 1/L, where L = Σᵢ sᵢ‖(xᵢ, 1)‖²/(4·Σᵢ sᵢ) + λ·n is a bound by the trace
        that takes one read.
    momentum : float
        β in [0, 1).
    start : "zeros" or "random"
        "random" draws small normal numbers, seeded by the estimator's `random_state`. A warm start takes
        precedence.

    References
    ----------
    Nesterov (1983), Soviet Math. Dokl. 27; the form is that of Sutskever et al. (2013), ICML, eq. 3-4,
    shifted by half a step.
    """

    step: float | None = None
    momentum: float = 0.0
    start: str = "zeros"

    patience: ClassVar[int] = 50  # momentum oscillates, so be more patient than the driver's default

    def __post_init__(self):
        if self.step is not None and not 0 < self.step < np.inf:
            raise ValueError(f"`step` is {self.step}; expected a positive number, or None for 1/L.")
        if not 0 <= self.momentum < 1:
            raise ValueError(f"`momentum` is {self.momentum}; expected a number from 0 to below 1.")
        if self.start not in ("zeros", "random"):
            raise ValueError(f"`start` is {self.start!r}; expected 'zeros' or 'random'.")

    def bytes_beside(self, shape):
        return shape.vectors(8)

    def __call__(self, start):
        w = start.w
        if self.start == "random" and not w.any():
            w = 0.01 * np.random.default_rng(start.seed).standard_normal(w.shape)
        velocity = np.zeros_like(w)
        first = here = yield Evaluate(w)
        step = self.step
        if step is None:
            curvature = float((yield Curvature(np.zeros_like(w), DIAGONAL)).sum())
            step = 1 / max(curvature, np.finfo(float).tiny)  # squares of tiny columns are zero
        while True:
            if (yield Accept(here)):
                return CONVERGED
            velocity = self.momentum * velocity - step * here.gradient
            here = yield Evaluate(here.w + self.momentum * velocity - step * here.gradient)
            if not here.value <= first.value + 9 * abs(first.value):  # also true of inf and nan
                return DIVERGED
