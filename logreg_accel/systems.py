"""The systems of a proof by repair, (H_S + λ)·d = r: solved by a factor, or by conjugate gradients."""

import functools
import math

import numpy as np

from .backends import linalg
from .solvers import questions as ask
from .solvers.by_class import beside_shifts
from .solvers.by_levels import LEVELS_AT_ONCE, metric_by_levels
from .solvers.conjugate import conjugate_gradients
from .solvers.nearly_singular import LOST, directions, factored, split
from .solvers.newton import worth_blocks

FACTORED_UP_TO = 2000
"""Parameters up to which H_S is formed and factored; beyond, conjugate gradients solve the systems."""

_SPLIT_UP_TO = 1200  # parameters up to which directions without curvature are taken apart
_PRODUCTS = 60  # largest number of products in conjugate gradients
_BLOCKS_UP_TO = 1000  # features up to which the preconditioner has a block for each class
_FLAT = 1e-12  # with L1, steps avoid directions with less curvature than this, for a unit diagonal
SURE = 10  # a slope is not rounding if it exceeds its error by this factor
_ABOUT, _STEPS = 0.01, 6  # relative error at which the iteration for a cost ends, and its steps at most
_LEFT, _REFINED = 1e-6, 2  # share of the decrement that a solution may miss, and refinements of it at most


def possible(penalty, size):
    """Whether systems can be solved: without a matrix, conjugate gradients need an L2 penalty and no L1."""
    return size <= FACTORED_UP_TO or (penalty.modulus > 0 and not penalty.has_l1)


class Matrix:
    """H_S + λ, factored.

    Parameters
    ----------
    H : ndarray (p, p)
    rows : handle or None
    active : ndarray (p,) of bool, or None for all
    ridge : ndarray (p,)
    ridged : bool
        Whether all weights but intercepts have a positive one.
    fixed : ndarray (p,) of bool, or None
        With an L1 penalty, the weights whose sums have to be zero. What is left of the other sums is
        compensated by scaling all residuals, so that no direction has to be treated separately.
    cholesky : function or None
        As in `Start`.
    n_outputs : int
    """

    def __init__(self, H, rows, active, ridge, ridged, fixed=None, cholesky=None, n_outputs=1):
        self.ridged, self.fixed, self.made_up = ridged, fixed, fixed is not None
        self.rows, self.active = rows, slice(None) if active is None else active
        self.size, self.n_outputs = len(H), n_outputs
        self.ridge_of_all = np.broadcast_to(ridge, self.size)
        self.ridge = self.ridge_of_all[self.active]
        self.whole, self.flat, self.bounded = H, None, True
        self.cholesky, self.basis, self._of_fixed = cholesky or linalg.cholesky, None, None
        self.factor, least = factored(self.H, self.cholesky)
        self.vague = least <= LOST  # the curvature of some directions may be rounding

    @property
    def H(self):
        """The part of the active parameters; a copy if these are not all, since it is rarely used."""
        if isinstance(self.active, slice) or self.active.all():
            return self.whole
        return self.whole[np.ix_(self.active, self.active)]

    def look_closely(self, there):
        """Treat directions separately whose curvature is only rounding; a generator of questions."""
        few = len(self.ridge) <= _SPLIT_UP_TO
        if self.made_up:
            basis = split(self.H, _FLAT)[0] if self.vague and few else None
            self.bounded = self.factor is not None or basis is not None
        else:
            self.bounded, basis = not self.vague or few, None
            if self.vague and few:
                basis, self.flat = yield from directions(there, self.H, self.rows, self.active)
        if basis is not None:
            self.basis, self.factor = None if self.made_up else basis, _within(basis)

    def solve(self, there, residual, error=None):
        """Return d = (H_S + λ)⁻¹·residual, nan if there is no factor; a generator of questions.

        Along a direction of almost no curvature rounding alone may be worth a step that changes margins
        without limit. So d has no part along directions whose slopes are within the `error`, if that is given
        for residual and margins; what this leaves is part of `short`.

        It also sets `curved` to (H_S + λ)·d, and `short` to ½·lᵀ(H_S + λ)⁻¹l for what is left of `residual`,
        l. If the matrix has lost digits, `curved` is a product with the rows, which is more accurate: margins
        along the step cancel before they are squared.
        """
        if self.factor is None:
            self.curved, self.short = np.full(self.size, np.nan), math.inf
            return self.curved
        factor = self.factor if self.made_up or error is None else self._beyond(residual, *error)
        step = self._full(factor(residual[self.active]))
        if self.made_up:  # what the factor of a nearly singular matrix leaves exceeds rounding
            return self._repairing_fixed(step, residual)
        for left in range(_REFINED, -1, -1):
            self.curved = self.whole @ step
            if self.vague:
                self.curved = yield ask.HessianVector(there.w, step, self.rows, there.margins)
            rest = (residual - self.curved)[self.active]
            more = factor(rest)
            if not left or 0.5 * float(rest @ more) <= _LEFT * float(residual @ step):
                sure = 1 if factor is self.factor else SURE  # F may fall farther than its curvature says
                self.short = sure * max(0.5 * float(rest @ self.factor(rest)), 0.0)
                return step
            step = step + self._full(more)

    def _repairing_fixed(self, step, residual):
        """The step after a second one along the fixed weights, whose sums no scaling compensates.

        The first may have left out their direction, as it does that of an intercept beside a constant column
        that is large.
        """
        fixed = self.fixed
        self.curved, self.short = self.whole @ step, 0.0
        if fixed.any():
            if self._of_fixed is None:
                self._of_fixed = factored(self.whole[np.ix_(fixed, fixed)], self.cholesky)[0]
            if self._of_fixed is None:
                self.short = math.inf
                return step
            step[fixed] += self._of_fixed((residual - self.curved)[fixed])
            self.curved = self.whole @ step
            left = (residual - self.curved)[fixed]
            self.short = max(0.5 * float(left @ self._of_fixed(left)), 0.0)
        return step

    def _beyond(self, residual, sums, margins):
        """The inverse along the directions whose slopes are more than errors of sums and margins."""
        if self.basis is None:
            return self.factor
        slopes, errors = residual[self.active] @ self.basis, sums[self.active] @ abs(self.basis)
        seen = abs(slopes) > SURE * (errors + margins / 2)
        return self.factor if seen.all() else _within(self.basis[:, seen])

    def _full(self, v):
        step = np.zeros(self.size)
        step[self.active] = v
        return step

    def removed(self, residual):
        """What moving residuals along the last step takes from their sums, also those of other weights."""
        if self.made_up:
            return np.where(self.fixed, residual, self.curved)
        if self.size == len(self.ridge):
            return residual
        return np.where(self._full(True), residual, self.curved)

    def misses(self, residual, error, allowed):
        """Whether a column that is zero in all rows of S has a slope that scaling cannot compensate."""
        unseen = self.whole.diagonal() <= self.ridge_of_all
        if self.made_up:
            unseen &= ~self.fixed
        return bool((abs(residual) > SURE * error + allowed)[unseen].any())

    @property
    def has_flat(self):
        """Whether there are directions without curvature."""
        return self.flat is not None and self.flat.size > 0

    def along_flat(self):
        """A step along all directions without curvature."""
        signs = np.random.default_rng(0).choice([-1.0, 1.0], self.flat.shape[1])
        return self._full(self.flat @ signs)

    def lost(self, residual, error, sure=SURE):
        """How far F can fall along directions without curvature: inf, or 0 if the slopes are only errors, at
        most `sure` times as large."""
        if not self.bounded:
            return 0.0 if self.ridged else math.inf
        if not self.has_flat:
            return 0.0
        slopes, errors = residual[self.active] @ self.flat, error[self.active] @ abs(self.flat)
        return math.inf if (abs(slopes) > sure * errors).any() else 0.0

    def cost(self, error, more, little=0.0):
        """Estimate the largest ½·eᵀ(more·H_S + λ)⁻¹e for errors e of any signs, from a few rows of signs and,
        if some errors are negative, from their own.

        Directions without curvature are left out. If the result for H_S + λ, which is factored already, is at
        most `little` and no smaller, it is returned.
        """
        e = abs(error) * _signs(self.size, self.n_outputs > 1)
        if (error < 0).any():
            e = np.vstack([error, e])
        e = e[:, self.active]
        cost = _most(self.factor, e)
        if not cost < math.inf or self.flat is not None or more == 1 or (more > 1 and cost <= little):
            return cost
        refined = self._refined(e, more)
        if refined is not None:
            return refined
        ridge = np.diag(self.ridge)
        return _most(factored(more * (self.H - ridge) + ridge, self.cholesky)[0], e)

    def _refined(self, e, more):
        """The largest eᵀ(more·H_S + λ)⁻¹e over the rows of e, by conjugate gradients, or None.

        The preconditioner is the factor of H_S + λ. If ridges are small, the two matrices differ by the
        factor `more`, or not at all along shifts of all classes, so that two steps suffice. With ridges of
        all sizes the iteration is given up: another factor then takes less.
        """
        known, before, step, H = 0.0, math.inf, np.zeros_like(e), self.H
        for _ in range(_STEPS):
            solved = self.factor(e.T).T
            rest = (e * solved).sum(axis=1)  # no less than min(more, 1) times what is left
            if rest.max() <= _ABOUT * min(more, 1.0) * np.max(known):
                return float((known + rest / min(more, 1.0)).max())
            step = solved + (rest / before)[:, None] * step
            product = more * (step @ H) + (1 - more) * self.ridge * step
            curved = (step * product).sum(axis=1)
            if not (curved > 0).all():
                return None
            length = rest / curved
            known, e, before = known + length * rest, e - length[:, None] * product, rest
        return None


@functools.lru_cache(8)
def _signs(size, several=False):
    """Three rows of signs; with several classes, a fourth where neighbours that agree in the first do not.

    All three might agree in the intercepts of the classes, whose sum has no cost.
    """
    some = np.random.default_rng(0).choice([-1.0, 1.0], (3, size))
    return np.vstack([some, some[0] * (-1.0) ** np.arange(size)]) if several else some


def _most(solve, e):
    """The largest eᵀ·solve(e) over the rows of e; inf if there is no factor."""
    if solve is None:
        return math.inf
    return max(float(own @ solved) for own, solved in zip(e, solve(e.T).T, strict=True))


def _within(basis):
    """The inverse of H along directions in which it is the identity."""
    return lambda v: basis @ (basis.T @ v)


class Products:
    """H_S + λ by its products. Only the first system is solved for all parameters, others for intercepts."""

    bounded, flat, basis, made_up, vague, short = False, None, None, False, False, 0.0

    def __init__(self, diagonal, rows, fixed, blocks=None, taken=0):
        self.diagonal, self.rows, self.fixed = np.where(diagonal > 0, diagonal, 1), rows, fixed
        self.blocks, self.first, self.taken = blocks, True, taken

    def solve(self, there, residual, error=None):
        mask = np.ones(len(residual)) if self.first else self.fixed
        if not self.first:
            residual = np.where(self.fixed, residual, 0.0)
        self.curved = residual
        inverse, forcing = mask / self.diagonal, 0.03 if self.first else 1e-8
        here, by_blocks = there._replace(gradient=residual), self.first and self.blocks is not None
        precondition = self.blocks if by_blocks else lambda r: inverse * r
        step, taken, _ = yield from conjugate_gradients(
            here, precondition, forcing, _PRODUCTS, self.rows, there.margins
        )
        self.first, self.taken = False, self.taken + taken
        return -step

    def removed(self, residual):
        return residual

    def lost(self, residual, error, sure=SURE):
        return 0.0

    def cost(self, error, more, little=0.0):
        return 5 * float((error * error / self.diagonal).sum())


def products(there, rows, fixed, start, before=None):
    """`Products` at a point; a generator of questions.

    The preconditioner is a diagonal. If the `Products` before took more products than the blocks of the
    Hessian cost, one for each class, it is made of these blocks. If the levels of a category can be
    eliminated from the Hessian at the cost of few products, that solve is the preconditioner.
    """
    diagonal = yield ask.Curvature(there.w, ask.DIAGONAL, rows)
    k, size, blocks = start.n_outputs, len(there.w), None
    taken = before.taken if before else 0
    if rows is None and there.margins is not None and start.by_levels(FACTORED_UP_TO) <= LEVELS_AT_ONCE:
        blocks = yield from metric_by_levels(there, start)
    elif k > 1 and size <= (_BLOCKS_UP_TO + 1) * k and taken >= worth_blocks(size, k):
        solve = yield ask.Curvature(there.w, ask.CLASS_BLOCKS, rows, there.margins)
        blocks = beside_shifts(solve, start.ridge + np.zeros(size), k)
    return Products(diagonal, rows, fixed, blocks, taken)
