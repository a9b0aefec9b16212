"""Stochastic gradient descent on mini-batches."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from .questions import (
    CONVERGED,
    DIAGONAL,
    DIVERGED,
    PARTIAL,
    STALLED,
    Accept,
    Batch,
    Curvature,
    Draw,
    Evaluate,
    HessianVector,
    Sample,
)

SCHEDULES = ("constant", "inverse-scaling", "adaptive")
_ROWS_PER_PARAMETER = 20  # size of the sample that determines the scales of the parameters
_POWER_STEPS = 10
_LATE = 3  # in the average, the weight of step t grows as t³, so that early steps are soon forgotten
_LEAST_STEP = 1e-3  # relative to the first step, for "adaptive"


@dataclass
class State:
    """The state of a run, which `partial_fit` keeps between calls."""

    w: np.ndarray
    mean: np.ndarray | None = None
    velocity: np.ndarray | None = None
    inverse: np.ndarray | None = None
    scale: float = math.nan
    step: float = math.nan
    t: int = 0
    epochs: int = 0
    weight_seen: float = 0.0


@dataclass(frozen=True)
class sgd:
    """Mini-batch stochastic gradient descent with averaged iterates.

    A step follows the negative gradient of some rows, divided by the diagonal of the Hessian of a sample at
    the start, so that the scale of the columns matters little: w ← w − η_t·g/diag. A batch is every k-th row,
    or a few runs of rows if X is column-major or sparse. Batches come in a new random order in each epoch,
    and no row is copied. After each epoch the answer is judged by a read of all rows.

    Parameters
    ----------
    batch_size : int or None
        Rows of a step; None takes a 500th of all rows, but at least 32 and at most 65,536.
    schedule : "inverse-scaling", "constant" or "adaptive"
        "inverse-scaling": η_t = η₀/(1 + t/e)^power, where e is the number of steps in an epoch. "constant":
        η_t = η₀. "adaptive": η_t starts at η₀ and is divided by five whenever `n_iter_no_change` epochs in a
        row improved too little; the run ends below η₀/1000.
    step : float or None
        η₀; None takes 1/L, where L is the largest eigenvalue of a batch's Hessian, scaled by that diagonal.
    power : float
        The exponent of "inverse-scaling".
    momentum : float
        The share of the last step, from 0 to below 1, that is added to the next one.
    average : bool
        Whether the answer is the mean of the iterates, with the largest weights on late ones (Shamir and
        Zhang), or the last iterate.
    validation_share : float
        Share of the batches that is held out for early stopping. The answer is then the one with the least
        loss on the held-out rows.
    n_iter_no_change : int
        Number of epochs that may pass without an improvement of the loss (on the held-out rows, if there are
        any) by `min_improvement`.
    min_improvement : float
        The least improvement that counts, relative to the loss.

    References
    ----------
    Bottou, Curtis and Nocedal (2018), Optimization methods for large-scale machine learning, SIAM Rev. 60;
    Polyak and Juditsky (1992), SIAM J. Control Optim. 30; Shamir and Zhang (2013), ICML.
    """

    batch_size: int | None = None
    schedule: str = "inverse-scaling"
    step: float | None = None
    power: float = 0.5
    momentum: float = 0.0
    average: bool = True
    validation_share: float = 0.0
    n_iter_no_change: int = 5
    min_improvement: float = 1e-4
    State: ClassVar[type] = State
    patience: ClassVar[float] = math.inf  # its own rule detects that it no longer improves

    def __post_init__(self):
        for name, holds, expected in (
            (
                "batch_size",
                lambda v: v is None or (isinstance(v, int) and v >= 1),
                "a positive integer or None",
            ),
            ("schedule", lambda v: v in SCHEDULES, f"one of {', '.join(map(repr, SCHEDULES))}"),
            ("step", lambda v: v is None or 0 < v < math.inf, "a positive number or None"),
            ("power", lambda v: 0 <= v <= 1, "a number from 0 to 1"),
            ("momentum", lambda v: 0 <= v < 1, "a number from 0 to below 1"),
            ("validation_share", lambda v: 0 <= v < 1, "a number from 0 to below 1"),
            ("n_iter_no_change", lambda v: isinstance(v, int) and v >= 1, "a positive integer"),
            ("min_improvement", lambda v: v >= 0, "a number of at least 0"),
        ):
            value = getattr(self, name)
            try:
                right = holds(value)
            except TypeError:
                right = False
            if not right:
                raise ValueError(f"`{name}` is {value!r}; expected {expected}.")

    def bytes_beside(self, shape):
        return shape.vectors(12) + shape.sample(_ROWS_PER_PARAMETER * shape.size)

    def __call__(self, start):
        here = yield Evaluate(start.w)
        state, n_batches = State(here.w.copy()), batches(start.n_rows, self.batch_size)
        kept = n_batches
        if self.validation_share:
            n_batches = max(n_batches, 2)
            kept = min(max(n_batches - round(n_batches * self.validation_share), 1), n_batches - 1)
        held_out = (yield Draw(Batch(tuple(range(kept, n_batches)), n_batches))) if kept < n_batches else None
        yield from self._scale(state, start, (yield Draw(Batch((0,), n_batches))))
        least, since, factor = math.inf, 0, 1.0
        while True:
            score = (yield Evaluate(here.w, held_out)).value if held_out else None
            gap = 0.5 * state.scale * (here.gradient @ (state.inverse * here.gradient))
            if (yield Accept(here, gap, score, rough=True)):
                return CONVERGED
            loss = here.value if score is None else score
            since = 0 if loss < least * (1 - self.min_improvement) else since + 1
            least = min(least, loss)
            if since >= self.n_iter_no_change:
                factor, since = factor / 5, 0
                if self.schedule != "adaptive" or factor < _LEAST_STEP:
                    return STALLED
            yield from self._epoch(state, start.seed, n_batches, kept, factor)
            answer = state.mean if self.average else state.w
            if not np.isfinite(answer).all():
                return DIVERGED
            here = yield Evaluate(answer)

    def continued(self, state):
        """Return a solver that runs one epoch from `state` and updates it, for `partial_fit`."""

        def solve(start):
            n_batches = batches(start.n_rows, self.batch_size)
            if state.inverse is None:
                yield from self._scale(state, start, (yield Draw(Batch((0,), n_batches))))
            yield from self._epoch(state, start.seed, n_batches, n_batches)
            here = yield Evaluate(state.mean if self.average else state.w)
            yield Accept(here)
            return PARTIAL if np.isfinite(here.value) else DIVERGED

        solve.partial = True
        return solve

    def _epoch(self, state, seed, n_batches, kept, factor=1.0):
        """Run once through the first `kept` batches, which are those to train on, and update `state`."""
        rng = np.random.default_rng([seed, state.epochs])
        for number in rng.permutation(kept).tolist():
            here = yield Evaluate(state.w, on=(yield Draw(Batch((number,), n_batches))))
            decay = (1 + state.t / n_batches) ** -self.power if self.schedule == "inverse-scaling" else factor
            if not np.isfinite(here.value):
                return
            state.velocity = (
                self.momentum * state.velocity - state.step * decay * state.inverse * here.gradient
            )
            state.w = state.w + state.velocity
            state.t += 1
            state.mean = state.mean + (_LATE + 1) / (state.t + _LATE) * (state.w - state.mean)
        state.epochs += 1

    def _scale(self, state, start, batch):
        """Determine the scales of the parameters and the first step."""
        rng = np.random.default_rng(start.seed)
        sample = yield Draw(Sample(_ROWS_PER_PARAMETER * len(state.w), start.seed))
        diagonal = yield Curvature(state.w, DIAGONAL, on=sample)
        seen = diagonal > (1 + 1e-9) * start.ridge  # otherwise no row drawn has the column
        state.inverse = 1 / np.where(seen, diagonal, diagonal.max() or 1)
        state.mean, state.velocity = state.w.copy(), np.zeros_like(state.w)
        root, v, largest = np.sqrt(state.inverse), rng.standard_normal(len(state.w)), 1.0
        for _ in range(_POWER_STEPS):
            v = root * (yield HessianVector(state.w, root * v / (np.linalg.norm(v) or 1), on=batch))
            largest = np.linalg.norm(v) or 1.0
        state.scale = 1 / largest
        state.step = state.scale if self.step is None else self.step


def batches(n_rows, size=None):
    """Return the number of batches for a batch size; None means 500, but 32 to 65,536 rows in each."""
    return max(1, round(n_rows / (size or min(max(n_rows // 500, 32), 65536))))
