"""The systems of a proof by repair, (H_S + λ)·d = r: solved by a factor, or by conjugate gradients."""

import math

import numpy as np
import scipy.linalg

from .solvers import questions as ask
from .solvers.newton import conjugate_gradients

_PRODUCTS = 60  # of conjugate gradients
_LIFT = 1e-14
_NULL = 1e-11  # pivots of a matrix of unit diagonal that rounding may have made
_FLAT = 1e-26  # curvature that rounding may have made of none
_NEGLIGIBLE = 1e-14  # decrement beside F that no step is worth
_SETTLED = 0.1  # of a decrement, what a step may leave where F is as good as a parabola
_NULL_UP_TO = 600  # parameters up to which such directions are looked at one by one


class Matrix:
    """H_S + λ, factored.

    Parameters
    ----------
    H : ndarray (p, p)
    rows : handle or None
    active : ndarray (p,) of bool, or None for all
    ridge : ndarray (p,)
    """

    def __init__(self, H, rows, active, ridge):
        self.rows, self.active = rows, slice(None) if active is None else active
        self.size = len(H)
        self.ridge = np.broadcast_to(ridge, self.size)[self.active]
        self.H = H if active is None else H[np.ix_(active, active)]
        self.null, self.bounded = None, True
        self.factor, least = _factored(self.H)
        if least <= _NULL:
            self.bounded = len(self.H) <= _NULL_UP_TO
            if self.bounded:
                self._set_null_apart()

    def _set_null_apart(self):
        """Directions without curvature, but for rounding, are left out of steps and looked at by `lost`."""
        scale = _to_unit_diagonal(self.H)
        values, Q = scipy.linalg.eigh(self.H * scale * scale[:, None], check_finite=False)
        seen = values > 10 * _NULL
        self.null = scale[:, None] * Q[:, ~seen]
        self.basis = scale[:, None] * Q[:, seen] / np.sqrt(values[seen])
        self.factor = lambda v: self.basis @ (self.basis.T @ v)

    def solve(self, there, residual):
        """(H_S + λ)⁻¹·residual, nan where there is no factor."""
        if self.factor is None:
            return np.full(self.size, np.nan)
        return self._full(self.factor(residual[self.active]))
        yield  # a generator like that of Products

    def _full(self, v):
        step = np.zeros(self.size)
        step[self.active] = v
        return step

    def lost(self, there, residual, error):
        """What is to be had along directions without curvature; nothing where the slope is but error."""
        if not self.bounded:
            return 0.0 if self.ridge.any() else math.inf
        if self.null is None or not self.null.size:
            return 0.0
        V, products = np.array([self._full(v) for v in self.null.T]), []
        for v in V:
            products.append((yield ask.HessianVector(there.w, v, self.rows)))
        curvatures, turn = scipy.linalg.eigh(V @ np.array(products).T, check_finite=False)
        V = turn.T @ V
        slopes, curved = V @ residual, curvatures > _FLAT
        sure = abs(slopes) > 10 * (abs(V) @ error)
        if (sure & ~curved).any():
            return math.inf
        rest, sure = curved & ~sure, curved & sure
        lost = float((slopes[rest] ** 2 / curvatures[rest]).sum())
        return lost + 2 * (
            yield from self._decrement(there, residual, V[sure], slopes[sure], curvatures[sure])
        )

    def _decrement(self, there, residual, V, slopes, curvatures):
        """½·Σ slope²/curvature along the rows of V, inf where a step shows that F is no parabola there.

        Along a direction that separates rows F falls like an exponential, and no step ends that.
        """
        decrement = 0.5 * float((slopes * slopes / curvatures).sum())
        if decrement <= _NEGLIGIBLE * there.value:
            return decrement
        beyond = yield ask.Evaluate(there.w - (slopes / curvatures) @ V, self.rows)
        left = residual + beyond.gradient - there.gradient
        along, others = V @ left, left[self.active] @ self.factor(left[self.active])
        change = yield ask.MarginChange(there, beyond, self.rows)
        settled = 0.5 * float(others + (along * along / curvatures).sum()) <= _SETTLED * decrement
        return decrement if settled and change.largest <= 1 else math.inf

    def cost(self, error, more):
        """½·eᵀ(more·H_S + λ)⁻¹e for errors e of any signs, about, but for directions that are not seen."""
        solve = self.factor
        if self.null is None and more != 1:
            ridge = np.diag(self.ridge)
            solve, _ = _factored(more * (self.H - ridge) + ridge)
        if solve is None:
            return math.inf
        rng, costs = np.random.default_rng(0), []
        for _ in range(3):
            e = (error * rng.choice([-1.0, 1.0], self.size))[self.active]
            costs.append(0.5 * float(e @ solve(e)))
        return 2 * max(costs)


def _factored(H):
    """A function v -> H⁻¹v, or None, and the least pivot of H in a unit diagonal."""
    scale, lift = _to_unit_diagonal(H), _LIFT
    A = H * scale * scale[:, None]
    while True:
        try:
            A[np.diag_indices_from(A)] = 1 + lift
            lower = scipy.linalg.cho_factor(A, lower=True, check_finite=False)
            break
        except np.linalg.LinAlgError:
            lift *= 10
            if not lift < 1:
                return None, 0.0

    def solve(v):
        return scale * scipy.linalg.cho_solve(lower, scale * v, check_finite=False)

    return solve, float((lower[0].diagonal() ** 2).min(initial=1.0))


def _to_unit_diagonal(H):
    diagonal = H.diagonal()
    return 1 / np.sqrt(np.where(diagonal > 0, diagonal, 1))


class Products:
    """H_S + λ, applied. The first system is solved for all parameters, those that follow for intercepts."""

    bounded, null = False, None

    def __init__(self, diagonal, rows, fixed):
        self.diagonal, self.rows, self.fixed = np.where(diagonal > 0, diagonal, 1), rows, fixed
        self.first = True

    def solve(self, there, residual):
        mask = np.ones(len(residual)) if self.first else self.fixed
        if not self.first:
            residual = np.where(self.fixed, residual, 0.0)
        inverse, forcing = mask / self.diagonal, 0.03 if self.first else 1e-8
        here = there._replace(gradient=residual)
        self.first = False
        step, _ = yield from conjugate_gradients(
            here, lambda r: inverse * r, forcing, _PRODUCTS, self.rows, there.margins
        )
        return -step

    def lost(self, there, residual, error):
        return 0.0
        yield

    def cost(self, error, more):
        return 5 * float((error * error / self.diagonal).sum())
