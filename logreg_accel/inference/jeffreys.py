"""The likelihood times Jeffreys' prior, and its maximum, also with linear combinations held fixed."""

import math
from collections import deque
from typing import Any, NamedTuple

import numpy as np
import scipy.linalg

from ..backends import moments
from ..backends.threads import blas_limit
from ..solvers.lbfgs import two_loop

_HALVINGS = 40
_NEAR = 1e-7
"""Distance from the maximum, in standard errors, that ends a search."""

_SETTLED = 1e-6
"""The distance that ends a search if rounding prevents its steps from getting shorter."""

_PAIRS = 12
_ROUNDING = 64 * np.finfo(np.float64).eps
"""Share of the two parts of ℓ*, which may cancel, that a step may lose by rounding."""


class Point(NamedTuple):
    """The results of one read at some parameters.

    Attributes
    ----------
    theta : ndarray (p,)
    value : float
        ℓ*(θ) = ℓ(θ) + ½·log|I(θ)|; −inf where I is singular.
    gradient : ndarray (p,)
        Of ℓ alone.
    root : ndarray (p, p) or None
        A with AAᵀ = I⁻¹.
    rounding : float
        The error that rounding may have left in the value.
    """

    theta: Any
    value: float
    gradient: Any
    root: Any
    rounding: float


class Maximum(NamedTuple):
    """The end of a search.

    Attributes
    ----------
    theta : ndarray (p,)
    value : float
    multipliers : ndarray (restrictions,)
        The derivatives of ℓ* by the values that are held fixed.
    root : ndarray (p, p)
    converged : bool
    n_iter : int
    """

    theta: Any
    value: float
    multipliers: Any
    root: Any
    converged: bool
    n_iter: int


class Jeffreys:
    """ℓ*(θ) = Σᵢ sᵢ·log P(yᵢ) + ½·log|I(θ)|, I = Σᵢ sᵢ·pᵢ·(1 − pᵢ)·xᵢxᵢᵀ, over some rows of two classes.

    Its score is Σᵢ [sᵢ·(yᵢ − pᵢ) + hᵢ·(½ − pᵢ)]·xᵢ, with leverages hᵢ = sᵢ·pᵢ·(1 − pᵢ)·xᵢᵀ·I⁻¹·xᵢ.

    Parameters
    ----------
    rows : Rows
        In float64.
    loss : Logistic
    layout : Layout
        Its free parameters, for the rows of the sums, are θ.
    scale : float
        The factor that turns the weights of the rows into the user's.
    max_iter : int

    References
    ----------
    Firth, D. (1993), Bias reduction of maximum likelihood estimates, Biometrika 80. Heinze and Schemper
    (2002), A solution to the problem of separation in logistic regression, Statistics in Medicine 21.
    """

    def __init__(self, rows, loss, layout, scale, max_iter):
        self.rows, self.loss, self.layout, self.scale, self.max_iter = rows, loss, layout, scale, max_iter

    def point_at(self, theta):
        """The Point of some parameters; one read."""
        W = self._columns(theta)
        with self.rows.backend.limit_threads():
            sums = self.rows.sum(moments.Moments(W, self.loss))
        places = self.layout.places
        information = sums.information[np.ix_(places, places)]
        return self._point(
            theta,
            float(sums.value[0]) * self.scale,
            sums.gradient.ravel()[places] * self.scale,
            information * self.scale,
        )

    def score(self, point):
        """The gradient of ℓ* at a point; one read."""
        A = np.zeros((self.layout.n_features + 1, len(point.theta)))
        A[self.layout.places] = point.root
        with self.rows.backend.limit_threads():
            added = self.rows.sum(moments.JeffreysScore(self._columns(point.theta), A, self.loss))
        return point.gradient + added[self.layout.places] * self.scale

    def point_of(self, evidence):
        """The Point at the parameters of an Evidence."""
        theta = evidence.W.ravel()[self.layout.places]
        return self._point(theta, evidence.value, evidence.gradient, evidence.of_free(evidence.information))

    def _point(self, theta, loss, gradient, information):
        root, log_determinant = _inverse_root(information)
        rounding = _ROUNDING * (loss + abs(log_determinant) / 2)
        return Point(theta, log_determinant / 2 - loss, -gradient, root, rounding)

    def maximum(self, start, R=None):
        """The Maximum over all parameters with the same R·θ, from a start, by scoring steps.

        A step goes to the maximum of a parabola among the points with the same R·θ, and is halved until ℓ*
        grows. The curvature of the parabola is I, which lacks that of ½·log|I|. With I alone, a step would
        leave about p/n of the distance to the maximum, and nearly all of it where few rows carry information.
        So the curvature is corrected by the changes of the score, as in L-BFGS.

        Parameters
        ----------
        start : Point
        R : ndarray (restrictions, p) or None
        """
        here, before, pairs, last = start, None, deque(maxlen=_PAIRS), math.inf
        R = np.empty((0, len(here.theta))) if R is None else R
        for i in range(self.max_iter):
            if here.root is None:
                break
            score = self.score(here)
            step, multipliers = _restricted(here.root, score, R)
            distance = math.sqrt(max(float(step @ score), 0.0))
            if before is not None:
                s, y = here.theta - before[0], before[1] - score
                if s @ y > 0:
                    pairs.append((s, y))
            ended = distance <= _NEAR or (distance <= _SETTLED and distance > last / 2)
            there = here if ended else self._uphill(here, _mended(step, here.root, score, R, pairs))
            if there is here and not ended and pairs:
                pairs.clear()
                there = self._uphill(here, step)
            if there is here:
                return Maximum(here.theta, here.value, multipliers, here.root, distance <= _SETTLED, i)
            here, before, last = there, (here.theta, score), distance
        return Maximum(here.theta, here.value, np.full(len(R), np.nan), here.root, False, self.max_iter)

    def _uphill(self, here, step):
        """The first point along a step, halved repeatedly, that is no worse; `here` if none is."""
        for i in range(_HALVINGS):
            there = self.point_at(here.theta + 0.5**i * step)
            lost = here.value - there.value
            if lost < 0 or (i == 0 and lost <= here.rounding):
                return there
        return here

    def _columns(self, theta):
        W = np.zeros((self.layout.n_features + 1, 1))
        W[self.layout.places, 0] = theta
        return W


def _inverse_root(information):
    """A with AAᵀ = I⁻¹, and log|I|; None and −inf where I is singular."""
    diagonal = information.diagonal()
    if not (np.isfinite(information).all() and (diagonal > 0).all()):
        return None, -math.inf
    unit = 1 / np.sqrt(diagonal)
    try:
        with blas_limit(1):
            L = np.linalg.cholesky(information * unit * unit[:, None])
            inverse = scipy.linalg.solve_triangular(L, np.eye(len(L)), lower=True, check_finite=False)
    except np.linalg.LinAlgError:
        return None, -math.inf
    return unit[:, None] * inverse.T, float(2 * np.log(L.diagonal()).sum() - 2 * np.log(unit).sum())


def _restricted(root, score, R):
    """The scoring step that keeps R·θ, and the multipliers of R."""
    up, across = root.T @ score, R @ root  # in coordinates where I is the identity
    if not len(R):
        return root @ up, np.empty(0)
    Q, T = np.linalg.qr(across.T)
    held = Q.T @ up
    return root @ (up - Q @ held), np.linalg.solve(T, held)


def _mended(step, root, score, R, pairs):
    """A scoring step corrected by the curvature that some changes of the score show."""
    if not pairs:
        return step
    better = two_loop(pairs, lambda v: _restricted(root, v, R)[0], score)
    return better if better @ score > 0 else step


def moved(maximum, R, change):
    """The start of a search in which R·θ changes by a given amount: the maximum of the parabola there."""
    across = R @ maximum.root
    return maximum.theta + maximum.root @ np.linalg.lstsq(across, change, rcond=None)[0]
