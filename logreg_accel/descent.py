"""Coordinate descent as an objective sees it: the model of a step, and its minimum over columns of X."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from . import clock, orthants
from .backends import columns
from .backends.passes import CurvatureMass

_DTYPES = np.float32, np.float64
_KEPT = 6  # points after sweeps that are kept for an extrapolation
_LITTLE = 1e-3  # share of the model's decrease that a sweep has to gain: otherwise the next model gains more
_VANISHING = 1e-9  # least share of its curvature that a column keeps when the intercept follows its weight


@dataclass(frozen=True, eq=False)
class ColumnModel:
    """F near a point: its gradient, and its Hessian XᵀDX + ridge, of which only the diagonal is formed.

    Attributes
    ----------
    diagonal : ndarray (size,)
    shared : ndarray (n,)
        XᵀD, the entries of the Hessian between the weights and the intercept; (0,) without one.
    compiled : bool
        Whether `sweep` is; else the minimum is found by products with X.
    """

    X: Any
    D: np.ndarray
    diagonal: np.ndarray
    l1: np.ndarray
    ridge: np.ndarray
    shared: np.ndarray
    sweep: Any
    compiled: bool

    @property
    def A(self):
        """The columns of X, as sweeps take them."""
        return self.X.column_arrays()

    def minimum(self, here, enough, sweeps):
        """Minimise the model plus Σ l1·|u| approximately: coordinate descent with Anderson acceleration.

        At every step the intercept is the best one for the other weights. As a coordinate of its own, it
        would take hundreds of sweeps if the means of columns are not zero.

        Parameters
        ----------
        here : Point
        enough : float
            The iteration ends after a sweep that changes no slope by more than this.
        sweeps : int
            Largest number of sweeps.

        Returns
        -------
        u : ndarray (size,)

        References
        ----------
        Bertrand and Massias (2021), Anderson acceleration of coordinate descent, AISTATS.
        """
        if not self.compiled:
            return orthants.minimum(self, here, enough, sweeps)
        u, q, kept, value = here.w.copy(), np.zeros(len(self.D)), [], 0.0
        away = (u != 0) | (self.l1 == 0) | (abs(here.gradient) > self.l1)
        which = np.flatnonzero(away[: len(u) - self._intercept])
        A, known = self.A, (self.D, self._curvature(), self.l1, self.ridge, here.gradient, here.w)
        for _ in range(sweeps):
            clock.check()
            off = self.sweep(A, which, self.shared, *known, u, q)
            before, value = value, self._value(here, u, q)
            if off <= enough or before - value <= _LITTLE * -value:
                break
            kept.append((u.copy(), q.copy()))
            if len(kept) == _KEPT:
                farther = _extrapolated(kept)
                if farther is not None and (least := self._value(here, *farther)) < value:
                    (u, q), value = farther, least
                kept = [(u.copy(), q.copy())]
        return u

    @property
    def _intercept(self):
        return len(self.shared) > 0

    def _curvature(self):
        """The diagonal of the Hessian of the weights once the intercept follows them."""
        own = self.diagonal.copy()
        if self._intercept and own[-1] > 0:
            own[:-1] = np.maximum(own[:-1] - self.shared**2 / own[-1], _VANISHING * own[:-1])
        return own

    def _value(self, here, u, q):
        """The model at u minus the model at its point; q is D·X(u − w) without the intercept's part."""
        d = u - here.w
        q = q + d[-1] * self.D if self._intercept else q
        curved = np.divide(q * q, self.D, out=np.zeros_like(q), where=self.D > 0)
        terms = here.gradient * d + 0.5 * self.ridge * d * d + self.l1 * (abs(u) - abs(here.w))
        return float(terms.sum() + 0.5 * curved.sum())


def _extrapolated(kept):
    """Return the weighted mean of points whose last changes cancel best, or None (Anderson acceleration)."""
    points = [np.array(part) for part in zip(*kept, strict=True)]
    changes = np.diff(points[0], axis=0)
    products = np.einsum("in,jn->ij", changes, changes)  # the bits of BLAS would depend on its threads
    try:
        weights = np.linalg.solve(products, np.ones(len(changes)))
    except np.linalg.LinAlgError:
        return None
    total = weights.sum()
    if not (np.isfinite(weights).all() and total != 0):
        return None
    return tuple(np.einsum("i,in->n", weights / total, part[1:]) for part in points)


def model(objective, question):
    """Answer a Curvature BY_COLUMNS: a ColumnModel, or None where single columns cannot be accessed."""
    rows, margins = objective.rows, question.margins
    X = rows.columns_in_memory()
    plain = objective.loss.n_outputs == 1 and objective.models is None and margins is not None
    if X is None or not plain or X.centre is not None or X.dtype not in _DTYPES:
        return None
    mass = rows.to_host(rows.sweep(CurvatureMass(margins, objective.loss))).astype(np.float64)
    D, penalised = mass / objective.weight_sum, objective.at.penalised(np.ones(objective.size))
    squares = X.squared().transposed_product(D[:, None])[:, 0]
    diagonal = np.append(squares, D.sum())[: objective.size] + objective._ridge
    l1 = objective.penalty.l1 * penalised
    shared = X.transposed_product(D[:, None])[:, 0] if objective.fit_intercept else np.zeros(0)
    ridge = np.broadcast_to(objective._ridge, diagonal.shape)
    compiled = rows.backend.column_sweep
    return ColumnModel(X, D, diagonal, l1, ridge, shared, compiled or columns.sweep, compiled is not None)
