"""Proximal methods for penalties with an L1 part: proximal Newton with sub-sampled Hessians, and FISTA."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from .. import clock
from . import by_signs, quadratic, saturated
from .from_sample import MOST_STEPS, POOR_RATE, SOLVED, near_the_optimum
from .line_search import descend, l1_change
from .nearly_singular import creep
from .questions import CONVERGED, DIAGONAL, MATRIX, NOISE_FLOOR, Accept, Curvature, Draw, Evaluate, Sample

_FRESH_RATE = 0.1  # share of the predicted decrease that is left after the first steps on a new sample
_PROVABLE = 0.01  # share of `tol` at which a fit usually ends: a smaller predicted decrease is mostly proven
_GATHERED = 16  # reads that take as long as gathering the same rows, with twice as many candidates
_PER_READ, _PER_SPARSE_READ = 40, 2  # numbers in a row whose Hessian takes as long as a read of the row
_FACTORED = 12  # multiplications in the systems of a step that take as long as reading one number
_ROWS = 512  # rows of a Hessian that are updated between two checks of the deadline
_LITTLE = 1e-3  # share of a model's decrease below which the gain of more weights is not worth a system
_CREEPING = 0.7  # share of a decrease that is left two steps later where models lose directions
_CHEAP = 1 << 24  # multiplications up to which a Hessian costs next to nothing


@dataclass(frozen=True)
class prox_newton:
    """Proximal Newton with sub-sampled Hessians and BFGS corrections.

    A step goes to the minimum of the quadratic model plus l1·‖w‖₁, which is found in memory (quadratic.py);
    weights that are zero there are exactly zero. As in newton-subsampled, the model's Hessian is that of rows
    drawn in proportion to what they add to it. BFGS updates correct it by the gradients of all rows, at one
    read per step. When the predicted decrease exceeds 0.3 of the previous one, and a new sample costs
    less than the steps that it spares, one is drawn, twice as large every second time. The predicted decrease
    also estimates the distance to the optimum. Where a Hessian of all rows costs next to nothing, the fit
    ends with one Newton step, which about squares the relative error of the weights.

    Parameters
    ----------
    rows_per_parameter : int
        Rows of a sample, per parameter.

    References
    ----------
    Lee, Sun and Saunders (2014), Proximal Newton-type methods for minimizing composite functions, SIAM J.
    Optim. 24; the model is solved by feature-sign search: Lee, Battle, Raina and Ng (2007), NIPS.
    """

    rows_per_parameter: int = 50
    for_l1: ClassVar[bool] = True

    def __post_init__(self):
        if not (isinstance(self.rows_per_parameter, int) and self.rows_per_parameter >= 1):
            raise ValueError(
                f"`rows_per_parameter` is {self.rows_per_parameter!r}; expected a positive integer."
            )

    def bytes_beside(self, shape):
        """Count a sample and a Hessian, and copies of the part that belongs to weights that are not zero."""
        sample = shape.sample(self.rows_per_parameter * shape.size)
        return shape.vectors(12) + sample + shape.hessian(shape.size)

    def __call__(self, start):
        l1 = start.l1
        size = self.rows_per_parameter * len(start.w)
        here, size = yield from near_the_optimum(start, size, lambda sample, w: _on_sample(sample, w, start))
        H, drawn, before = None, 0, math.inf
        decreases, closely, left = [], False, 0.0
        while True:
            fresh = H is None
            if fresh:
                drawn += 1
                sample = yield Draw(Sample(size, start.seed + drawn, at=here))
                H = yield Curvature(here.w, MATRIX, on=sample)
            direction, decrease = _model(here, H, start, _unseen(here, H, l1))
            if (yield Accept(here, gap=max(decrease, left))):
                return (yield from _settled(here, start))
            there = yield from descend(here, direction, l1)
            decreases.append(decrease)
            closely = closely or (
                (there is None or creep(decreases, _CREEPING)) and by_signs.worth(here, H, l1)
            )
            if closely:
                there, left = yield from _by_signs(there or here, l1)
            if there is None or there is here:
                if decrease <= here.rounding or (fresh and size == math.inf):
                    return NOISE_FLOOR
                size, H, before = math.inf if fresh else size, None, math.inf
                continue
            larger, s = size * (1 + drawn % 2), there.w - here.w
            level = not s @ (H @ s) > 0  # no row of the sample had curvature along the step
            if level or (not fresh and _pays(decrease, before, larger, here, start)):
                size, H, before = larger, None, math.inf
            else:
                _bfgs(H, s, there.gradient - here.gradient)
                before = decrease
            here = there


def _by_signs(here, l1):
    """The Point after a step for the signs of the weights, or `here` if it gains nothing; the decrement."""
    step, decrement = yield from by_signs.step(here, l1)
    there = (yield from descend(here, step, l1)) if step.any() else None
    return there or here, decrement


def _pays(decrease, before, size, here, start):
    """Whether a new sample spares more steps than it costs.

    While it is a small part of the rows, it does as soon as steps are poor. A sample of most rows takes as
    long as several steps, which is too much when only a few are left.
    """
    if not decrease > POOR_RATE * before:
        return False
    if start.gathers or decrease >= before:
        return True
    left = decrease / max(_PROVABLE * start.tol * here.value, here.rounding, math.ulp(0.0))
    spared = 1 / math.log(before / decrease) - 1 / math.log(1 / _FRESH_RATE)
    return math.log(max(left, math.e)) * spared > _steps_of_a_sample(size, len(here.w), start)


def _steps_of_a_sample(size, p, start):
    """How many steps take as long as drawing a sample and forming its Hessian.

    The unit of all times below is a read of all rows. BLAS forms products many times faster than it reads
    numbers from memory; sparse products do not. A step also factors parts of its model a few times.
    """
    m, entries = start.n_rows, max(start.entries, 1)
    hessian = p / _PER_READ if entries >= m * start.n_features else entries / m / _PER_SPARSE_READ
    draw = _GATHERED if 2 * size < m else 0
    return min(size / m, 1) * (draw + hessian) / (1 + p**3 / (_FACTORED * entries))


def _settled(here, start):
    """Take one more Newton step from a point that is good enough, if that is cheap, and return the status."""
    if start.n_rows * len(here.w) ** 2 <= _CHEAP:
        there, decrease = yield from polished(here, start.l1)
        if there is not here:
            yield Accept(there, gap=decrease)
    return CONVERGED


def polished(here, l1, on=None):
    """Take a Newton step in the weights that are not zero, if it brings their gradient nearer to zero.

    Near the optimum the rounding of F hides the progress that the gradient still shows, so that solvers stop
    before their residuals give the best bound.

    Returns
    -------
    Point
        `here` if no step was taken.
    decrease : float
        The decrease that Newton's model predicted for the step.
    """
    free = np.flatnonzero((here.w != 0) | (l1 == 0))
    if not len(free):
        return here, 0.0

    def off(point):
        return (point.gradient + l1 * np.sign(point.w))[free]

    H = yield Curvature(here.w, MATRIX, on)
    solve = quadratic.cholesky(H[np.ix_(free, free)])
    if solve is None:
        return here, 0.0
    step = solve(off(here))
    stepped = here.w.copy()
    stepped[free] -= step
    if (np.sign(stepped) != np.sign(here.w))[l1 > 0].any():
        return here, 0.0
    there = yield Evaluate(stepped, on)
    better = abs(off(there)).max() < abs(off(here)).max()
    return (there if better else here), 0.5 * float(off(here) @ step)


def _on_sample(sample, w, start):
    """Run proximal Newton on rows in memory, with a new Hessian in every step, and return the final Point."""
    here = yield Evaluate(w, sample)
    surely = math.sqrt(SOLVED)  # Newton's step squares the decrease, and checking that costs a Hessian
    for _ in range(MOST_STEPS):
        H = yield Curvature(here.w, MATRIX, sample)
        direction, decrease = _model(here, H, start)
        there = None
        if decrease > SOLVED * here.value:
            there = yield from descend(here, direction, start.l1, sample)
        if there is None:
            break
        here = there
        if decrease <= surely * here.value:
            break
    return here


def _unseen(here, H, l1):
    """Which weights belong to columns that are zero in all rows: only the L1 penalty acts on them."""
    return (l1 > 0) & (here.gradient == 0) & (H.diagonal() == 0)


def _model(here, H, start, unseen=False):
    """Return the step to the minimum of the quadratic model, and the decrease that the model predicts.

    The weight of a column that is zero in all rows of the sample stays as it is. Only where the column is
    `unseen`, zero in all rows of X, is its weight set to zero.
    """
    u = start.lasso(H, here.gradient, here.w, little=_LITTLE)
    d = np.where(unseen, 0.0, u) - here.w
    d = saturated.shortened(d, here, start) if d.any() else saturated.along_slopes(here, H, start)
    return d, max(-(here.gradient @ d + 0.5 * d @ (H @ d) + l1_change(here, d, start.l1)), 0.0)


def _bfgs(H, s, y):
    """Update H such that H·s = y (Nocedal and Wright, Numerical Optimization, 2nd ed., eq. 6.19)."""
    Hs = H @ s
    if s @ y > 1e-10 * (s @ Hs):
        for rows in clock.slices(len(H), _ROWS):
            H[rows] += np.outer(y[rows], y / (s @ y)) - np.outer(Hs[rows], Hs / (s @ Hs))


@dataclass(frozen=True)
class fista:
    """Accelerated proximal gradient descent with restarts.

    The step is 1/L. L starts as the bound tr ∇²F(0), divided by the number of parameters, and is raised
    whenever two gradients show more curvature. Points are judged by their duality gap. The momentum is reset
    when it points uphill.

    References
    ----------
    Beck and Teboulle (2009), SIAM J. Imaging Sci. 2; O'Donoghue and Candès (2015), Found. Comput. Math. 15.
    """

    for_l1: ClassVar[bool] = True
    patience: ClassVar[int] = 50  # momentum oscillates, so be more patient than the driver's default

    def bytes_beside(self, shape):
        return shape.vectors(8)

    def __call__(self, start):
        w, l1 = start.w, start.l1
        here = yield Evaluate(w)
        bound = 0.25 * start.scale**2 + start.ridge if start.offset else None  # no curvature may be left at 0
        L = (bound if start.offset else (yield Curvature(np.zeros_like(w), DIAGONAL))).sum() / len(w)
        x, t = here.w, 1.0
        while True:
            if (yield Accept(here)):
                return CONVERGED
            moved = here.w - here.gradient / L
            new = np.sign(moved) * np.maximum(abs(moved) - l1 / L, 0)
            if (here.w - new) @ (new - x) > 0:
                t = 1.0
            t_new = (1 + math.sqrt(1 + 4 * t * t)) / 2
            there = yield Evaluate(new + (t - 1) / t_new * (new - x))
            s, y = there.w - here.w, there.gradient - here.gradient
            # Squares would overflow where columns are large.
            seen = float(np.hypot.reduce(y) / np.hypot.reduce(s)) if s.any() else 0.0
            if seen > L:
                L, t_new = 1.5 * seen, 1.0
                if not there.value <= here.value:  # the step was too long: repeat it from its origin
                    x, t = here.w, 1.0
                    continue
            x, t, here = new, t_new, there
