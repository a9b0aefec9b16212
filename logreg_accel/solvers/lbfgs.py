"""Limited-memory BFGS."""

from collections import deque
from dataclasses import dataclass

import numpy as np

from .line_search import step
from .questions import CONVERGED, NOISE_FLOOR, Accept, Evaluate

_PATIENCE = 50  # steps
_NUMBERS = 1 << 18


@dataclass(frozen=True)
class lbfgs:
    """L-BFGS with the diagonal of the Hessian at the start as its initial metric.

    With this metric, the scale of the columns matters little.

    Parameters
    ----------
    memory : int
        Number of pairs (s, y) of changes in w and in the gradient that are kept. After 50 steps up to ten
        times as many are kept if vectors are short.

    References
    ----------
    Nocedal and Wright, Numerical Optimization, 2nd ed., algorithms 7.4 and 7.5.
    """

    memory: int = 10

    def __post_init__(self):
        if not (isinstance(self.memory, int) and self.memory >= 1):
            raise ValueError(f"`memory` is {self.memory!r}; expected a positive integer.")

    def bytes_beside(self, shape):
        return shape.vectors(2 * self._most(shape.size) + 8)

    def _most(self, size):
        """The number of pairs after many steps: reads cost more than pairs that stay in the cache."""
        return max(self.memory, min(10 * self.memory, _NUMBERS // (2 * size)))

    def __call__(self, start):
        here = yield Evaluate(start.w, diagonal=True)
        inverse = 1 / np.where(here.diagonal > 0, here.diagonal, 1)
        pairs, steps = deque(maxlen=self.memory), 0
        while True:
            if (yield Accept(here)):
                return CONVERGED
            steps += 1
            if steps == _PATIENCE:
                pairs = deque(pairs, maxlen=self._most(len(here.w)))
            there = yield from step(here, -two_loop(pairs, _scaled(pairs, inverse), here.gradient))
            if there is None and pairs:
                pairs.clear()
                there = yield from step(here, -inverse * here.gradient)
            if there is None:
                return NOISE_FLOOR
            s, y = there.w - here.w, there.gradient - here.gradient
            if s @ y > 0:
                pairs.append((s, y))
            here = there


def two_loop(pairs, metric, gradient):
    """Apply to g the inverse Hessian that the pairs build from a metric, a function v -> H₀·v."""
    q = gradient.copy()
    coefficients = []
    for s, y in reversed(pairs):
        coefficients.append(s @ q / (s @ y))
        q -= coefficients[-1] * y
    q = metric(q)
    for (s, y), a in zip(pairs, reversed(coefficients), strict=True):
        q += (a - y @ q / (s @ y)) * s
    return q


def _scaled(pairs, inverse):
    """Return a function that applies γ·diag(inverse), with γ as in eq. 7.20 but in the scaled space."""
    gamma = 1.0
    if pairs:
        s, y = pairs[-1]
        gamma = s @ y / (y @ (inverse * y))
    return lambda v: gamma * inverse * v
