"""The optimum of a problem, between a value that was reached and a proven lower bound.

Newton's method, damped, on centred and scaled columns. Products are exact to twice the digits of float64
(`exact`), functions are long doubles; only the direction comes from a QR factorisation in float64, which
costs steps where it is poor but no digit of the answer. |w| of an L1 penalty is smoothed by a barrier,
λ·p − μ·log(μ·p/2λ) with p = μ/λ + √((μ/λ)² + w²), whose μ goes to nothing; its curvature in a step is that
of a primal-dual interior point. The proof is a dual gap, or, where there is no penalty, the generalised
self-concordance of the loss (Bach 2010).
"""

from dataclasses import dataclass

import numpy as np
import scipy.linalg

from . import exact, losses

_LD = np.longdouble
_ENOUGH = 1e-17
"""Relative gap to stop at."""
_NULL = 2e-14
"""Share of the largest pivot below which a direction counts as none."""
_LEAST = 1e-16
"""The pivot that is taken for granted there, if there is one at all: what an exact null direction has of the
gradient is far below."""


@dataclass
class Point:
    """W (features + 1, outputs) as a pair, and what F is there."""

    W: tuple
    Z: np.ndarray
    value: np.longdouble


@dataclass
class Optimum:
    """F* lies from `lower` to `upper`; `point` is where `upper` was met.

    `recedes` says that some losses go to nothing without end, so that F has no minimum.
    """

    lower: np.longdouble
    upper: np.longdouble
    point: Point
    steps: int
    recedes: bool = False


class Exact:
    """F of one problem: Σ s·ℓ + ½·l2·‖w‖² + l1·‖w‖₁.

    Parameters
    ----------
    X : ndarray (m, n) float64
    loss : losses.Binary or losses.Softmax
    s : ndarray (m,) float64
    l2, l1 : float
    intercept : bool
    like : Exact or None
        A problem whose columns are centred and scaled in the same way.
    """

    def __init__(self, X, loss, s, l2, l1, intercept, like=None):
        self.loss, self.intercept = loss, intercept
        self.s = s[:, None].astype(_LD)
        share = s / s.sum()
        self.mean = share @ X if intercept else np.zeros(X.shape[1])
        spread = np.sqrt(share @ (X - self.mean) ** 2)
        self.scale = 2.0 ** np.round(np.log2(np.where(spread > 0, spread, 1)))
        if like is not None:
            self.mean, self.scale = like.mean, like.scale
        high, low = exact.two_sum(X, -self.mean)
        ones = np.full((len(X), 1), 1.0 if intercept else 0.0)
        self.X = np.hstack([high / self.scale, ones]), np.hstack([low / self.scale, 0 * ones])
        self.XT = exact.transposed(self.X)
        self.l2 = np.append(l2 / self.scale / self.scale, 0)[:, None].astype(_LD)
        self.l1 = np.append(l1 / self.scale, 0)[:, None].astype(_LD)

    def at(self, coef, intercept):
        """The Point of coefficients as an estimator returns them, (outputs, features) and (outputs,)."""
        coef = np.asarray(coef, np.float64)
        high, low = exact.summed(*exact.two_product(self.mean[:, None], coef.T))
        b = exact.added((np.asarray(intercept, np.float64), 0), (high, low))
        W = np.vstack([coef.T * self.scale[:, None], b[0]]), np.vstack([0 * coef.T, b[1]])
        return self.point(W)

    def coefficients(self, point):
        """Long doubles (outputs, features), and the intercepts (outputs,) of the centred columns."""
        w = exact.joined(*point.W)
        return (w[:-1] / self.scale[:, None]).T, w[-1]

    def point(self, W):
        Z = exact.joined(*self.loss.against_own(exact.product(self.XT, W)))
        w = exact.joined(*W)
        penalty = (self.l2 * w * w).sum() / 2 + (self.l1 * abs(w)).sum()
        return Point(W, Z, (self.s * self.loss.value(Z)).sum() + penalty)

    def sums(self, R):
        """Xᵀ(s∘r), (n + 1, outputs)."""
        return exact.joined(*exact.product(self.X, exact.pair(self.s * R)))

    def zero(self):
        size = (self.X[0].shape[1], self.loss.outputs)
        return self.point((np.zeros(size), np.zeros(size)))

    def moved(self, point, step, length=1.0):
        """The point a step further; the length is a power of 2."""
        step = step if isinstance(step, tuple) else (step, 0 * step)
        return self.point(exact.added(point.W, (length * step[0], length * step[1])))


class Factor:
    """RᵀR = Σ s·ℓ″·xxᵀ + diag(ridge) at a point, from a pivoted QR of its root with columns of one length.

    No loss knows what all classes have in common. Where every class has the same ridge (`even`), or none, the
    gradient has no such part either, and some curvature is added there for the factor's sake.
    """

    def __init__(self, problem, Z, ridge, even):
        X, s = problem.X[0], problem.s
        root = (np.sqrt(s)[:, :, None] * problem.loss.root(Z)).astype(np.float64)
        rows = X[:, None, :, None] * root.transpose(0, 2, 1)[:, :, None, :]  # (m, columns, n + 1, outputs)
        rows = rows.reshape(-1, X.shape[1] * root.shape[1])
        ridge = np.broadcast_to(np.sqrt(ridge.astype(np.float64)), (X.shape[1], root.shape[1]))
        free = (even | (ridge == 0).all(axis=1)) & (root.shape[1] > 1)
        lengths = np.sqrt((s.astype(np.float64) * X * X).sum(axis=0))
        common = np.repeat(np.diag(lengths)[free], root.shape[1], axis=1)
        ridge = ridge.ravel()
        A = np.vstack([rows, np.diag(ridge)[ridge > 0], common])
        A = A[np.argsort(-abs(A).max(axis=1), kind="stable")]
        length = np.sqrt((A * A).sum(axis=0))
        self.length = np.where(length > 0, length, 1)
        R, self.order = scipy.linalg.qr(A / self.length, mode="r", pivoting=True)[:2]
        pivots = abs(np.diag(R))
        self.rank = int((pivots > _NULL * max(pivots[0], 1e-300)).sum())
        self.R, self.beside = R[: self.rank, : self.rank], R[: self.rank, self.rank :]

    @property
    def full(self):
        return not self.beside.shape[1]

    def halfway(self, G):
        """R⁻ᵀg, columns of G (size, count); and what is left of g in the directions without curvature."""
        G = (G / self.length[:, None]).astype(np.float64)[self.order]
        half = scipy.linalg.solve_triangular(self.R, G[: self.rank], trans=1)
        return half, G[self.rank :] - self.beside.T @ half

    def back(self, half):
        """R⁻¹ of one column."""
        step = np.zeros(len(self.order))
        step[self.order[: self.rank]] = scipy.linalg.solve_triangular(self.R, half)
        return step / self.length


def optimum(problem, steps=120):
    """The Optimum of an `Exact` problem that has a minimum, after some steps at most."""
    here = problem.zero()
    l1, sparse = problem.l1, bool((problem.l1 > 0).any())
    mu = here.value / 100 if sparse else _LD(0)
    pi = 0 * exact.joined(*here.W)
    best, stale = None, 0
    for taken in range(steps):
        w = exact.joined(*here.W)
        R = problem.loss.residual(here.Z)
        p, slope = _barrier(w, l1, mu)
        gradient = problem.sums(R) + problem.l2 * w + slope
        E = (l1 - pi) * (l1 + pi) / np.maximum(l1 * p + pi * w, mu if sparse else 1)
        factor = Factor(problem, here.Z, problem.l2 + E, even=not sparse)
        half, left = factor.halfway(-gradient.reshape(-1, 1))
        step = factor.back(half[:, 0]).reshape(w.shape)
        decrement = float((half * half).sum())
        lower, near = _LD(-np.inf), decrement < 1e-3 * float(here.value)
        if near:
            lower = here.value - _gap(problem, here, R, factor, left, sparse, decrement)
        if best is None or here.value <= best.upper:
            best = Optimum(best.lower if best else lower, here.value, here, taken)
        if lower > best.lower:
            best.lower, best.steps = lower, taken
        stale = 0 if best.steps == taken or not near else stale + 1
        if best.upper - best.lower <= _ENOUGH * best.upper or stale >= 25:
            break
        here, length = _searched(problem, here, step, decrement, mu)
        if sparse:
            pi = _dual_step(pi, slope + E * step, l1)
            if length == 1 and decrement < 0.1 * float(mu) * w.size:
                mu = mu * _LD(0.1)
    return best


def _barrier(w, l1, mu):
    """p and the derivative of the smoothed l1·|w|."""
    share = np.where(l1 > 0, mu / np.where(l1 > 0, l1, 1), 0)
    p = share + np.sqrt(share * share + w * w)
    return p, np.where(l1 > 0, l1 * w / np.where(p > 0, p, 1), 0)


def _barrier_value(w, l1, mu):
    if not (l1 > 0).any():
        return _LD(0)
    l1 = np.broadcast_to(l1, w.shape)
    w, l1 = w[l1 > 0], l1[l1 > 0]
    p = _barrier(w, l1, mu)[0]
    return (l1 * p - mu * np.log(mu * p / (2 * l1)) - l1 * abs(w)).sum()


def _dual_step(pi, target, l1):
    """Towards the target, up to 0.99 of the way to where |π| would be l1."""
    move = target - pi
    room = np.where(move > 0, l1 - pi, l1 + pi)
    most = (room[move != 0] / abs(move[move != 0])).min(initial=np.inf)
    return pi + move * min(1, 0.99 * most)


def _searched(problem, here, step, decrement, mu):
    """A step halved until it lowers the value; the full one near the optimum, where rounding hides that."""
    before = here.value + _barrier_value(exact.joined(*here.W), problem.l1, mu)
    length = 1.0
    while length > 1e-12:
        there = problem.moved(here, step, length)
        after = there.value + _barrier_value(exact.joined(*there.W), problem.l1, mu)
        if after <= before - 1e-4 * length * decrement or decrement < 1e-13 * float(here.value):
            return there, length
        length /= 2
    return here, length


def _gap(problem, point, R, factor, left, sparse, decrement):
    """F − F* at most."""
    penalised = bool((problem.l2[:-1] > 0).all() or (problem.l1[:-1] > 0).all())
    gap = dual_gap(problem, point, R) if penalised else _LD(np.inf)
    if not sparse and (factor.full or not penalised):
        gap = min(gap, self_concordant_gap(problem, point, R, factor, left, decrement))
    return gap


def dual_gap(problem, point, R):
    """F(w) − D(r') for the residuals at w, shrunk until an L1 penalty allows them.

    Every term is at least 0, so that nothing cancels. What the intercept's sum is short of 0 is rounding; it
    counts by the size of the margins.
    """
    w, l1, l2 = exact.joined(*point.W), problem.l1, problem.l2
    sums = problem.sums(R)
    shrink, lost = _LD(1), _LD(0)
    bare = (l2 == 0) & (l1 > 0)
    if bare.any():
        beyond = (abs(sums) / np.where(bare, l1, np.inf)).max()
        if beyond > 1:
            shrink = 1 / (beyond * (1 + _LD(2) ** -60))
            lost = (problem.s * losses.shrunk_gap(problem.loss, point.Z, shrink)).sum()
    v, b = -shrink * sums[:-1], abs(sums[-1])
    w, l1, l2 = w[:-1], l1[:-1], l2[:-1]
    same = np.where(w * v >= 0, 1, -1)
    within, beyond = np.minimum(abs(v), l1), np.maximum(abs(v) - l1, 0)
    ridge = np.where(l2 > 0, (l2 * abs(w) - same * beyond) ** 2 / np.where(l2 > 0, 2 * l2, 1), 0)
    lasso = abs(w) * (l1 - same * within)
    reach = abs(point.Z).max() + 10
    return lost + ridge.sum() + lasso.sum() + (b.sum() * reach if problem.intercept else 0)


def self_concordant_gap(problem, point, R, factor, left, decrement):
    """δ·(−log(1 − ρδ))/ρ with δ the norm of the gradient in H⁻¹, its rounding included, and ρ that of the
    widest row.

    For a step Δ that changes no margin by more than S, F″ changes by at most e^S along it.
    """
    if not factor.R.size:  # no column at all that margins depend on
        return _LD(np.inf if left.any() else 0)
    X, k = problem.X[0], problem.loss.outputs
    reach = np.zeros(R.shape)
    for a in range(k):
        wide = np.zeros((len(X), X.shape[1], k))
        wide[:, :, a] = X
        half, _ = factor.halfway(wide.reshape(len(X), -1).T)
        reach[:, a] = np.sqrt((half * half).sum(axis=0))
    rounding = np.finfo(_LD).eps * (problem.s * abs(R) * reach).sum()
    delta = 1.1 * (np.sqrt(_LD(decrement)) + rounding)
    rho = _LD(1.1 * reach.max() * (1 if k == 1 else 2))
    if not rho * delta < 1:
        return _LD(np.inf)
    dropped = ((left / (_LEAST * abs(factor.R[0, 0]))) ** 2).sum()
    return dropped + (-delta * np.log1p(-rho * delta) / rho if rho > 0 else delta * delta)
