"""Small fits: Newton's method on plain arrays, without the driver, and a short proof.

If X has some thousand numbers, blocks, budgets and contexts take longer than the arithmetic. Here X is one
array minus the means of its columns, and every unusual case ends the attempt: `solution` returns None, and
the driver starts from the beginning. So callbacks run only after the last step.

The proof is a point of the dual problem (see `duality`) that takes no further Hessian than the H of the last
step. Let d = H⁻¹g at the point w where that step ended, and let the residuals be moved along −d by the slopes
that they had when H was made. Their sums are then those of the weights w − d exactly. Let a be the largest
change of a margin since H was made, and t the largest element of |X·d|; with several classes, margins are
replaced by the differences of two. No probability has changed by more than a factor eᵃ. So the loss can have
these residuals if eᵃ·t < 1. The bound is the sum of the Fenchel-Young gaps, which are Kullback-Leibler
divergences between probabilities::

    F(w) − F* ≤ ½·gᵀH⁻¹g · eᵃ/(1 − eᵃ·t)

since (1 + u)·log(1 + u) − u ≤ ½·u²/(1 − |u|).
"""

import contextlib
import math
import time
from typing import NamedTuple

import numpy as np
from scipy.linalg import lapack

from .backends.threads import blas_limit
from .clock import MAX_SECONDS
from .coordinates import Coordinates
from .driver import CALLBACK
from .history import Record, Solution
from .metric import against_shifts
from .session import INTERRUPTED
from .solvers import few, line_search, newton_cholesky
from .solvers import questions as ask
from .solvers.nearly_singular import LOST, to_unit_diagonal

_EVALUATIONS = 50
_PROOF = 2  # reads
_EPS = float(np.finfo(np.float64).eps)


def suits(block, n_outputs):
    """Whether rows are few enough, and an array on the host."""
    return few(*block.X.shape, n_outputs) and type(block.X.stored) is np.ndarray and block.offset is None


def solution(block, loss, penalty, fit_intercept, rounds_to, tol, max_iter, budget, tell=None):
    """The Solution of Newton's method, in the coordinates of X; None in unusual cases.

    Parameters
    ----------
    block : Block
        All rows.
    loss : Logistic or Multinomial
    penalty : Penalty
        Its L2 part is the same for all weights and there is no other.
    fit_intercept : bool
    rounds_to : dtype
        Dtype of the weights that the user gets.
    tol, max_iter
        As in `driver.run`.
    budget : Budget
        An exhausted budget is an unusual case.
    tell : callable (Record, w) -> bool or None
        Called at every accepted point, w in the coordinates of X; True stops.
    """
    with blas_limit(1), np.errstate(all="ignore"):
        fit = _Fit(block, loss, penalty, fit_intercept, rounds_to, tol, budget)
        questions, answer = newton_cholesky()(ask.Start(np.zeros(fit.at.size), ridge=fit.ridge)), None
        try:
            while len(fit.history) < _EVALUATIONS and fit.n_iter <= max_iter and not fit.is_over:
                answer = fit.answer(questions.send(answer))
        except (StopIteration, _Unusual):
            pass
        finally:
            questions.close()
        if fit.proven is None or fit.n_iter > max_iter or fit.is_over:
            return None
    return _told(fit, tell) if tell else fit.solution()


def _told(fit, tell):
    """The Solution after the callback has seen each step; if it stops at one, the Solution there."""
    for step, (last, point) in enumerate(fit.steps, 1):
        try:
            if tell(fit.history[last], fit.at.original(point.w)):
                return fit.stopped(last, point, CALLBACK)
        except KeyboardInterrupt:
            return fit.stopped(last, point, INTERRUPTED)
        if fit.seconds > fit.budget.seconds and step < len(fit.steps):
            return fit.stopped(last, point, MAX_SECONDS)
    return fit.solution()


class Budget(NamedTuple):
    """The start time of a fit and its limits, inf where there is none."""

    began: float
    passes: float = math.inf
    seconds: float = math.inf


class _Unusual(Exception):
    """A case that this module does not handle."""


class _Fit:
    """Answers questions of a solver on rows A (m, p), the last column ones beside an intercept."""

    def __init__(self, block, loss, penalty, fit_intercept, rounds_to, tol, budget):
        X, (m, n), k = block.X.stored, block.X.shape, loss.n_outputs
        self.loss, self.y, self.tol, self.budget = loss, block.y, tol, budget
        self.A = np.ones((n + fit_intercept, m)).T  # column-major, since columns are mostly longer than rows
        centre = X.mean(axis=0, dtype=np.float64) if fit_intercept else None
        self.A[:, :n] = X - centre if fit_intercept else X
        self.at = Coordinates(n, k, fit_intercept, np.dtype(rounds_to), centre)
        s = np.ones(m) if block.sample_weight is None else block.sample_weight
        self.s = (s / s.sum())[:, None]
        self.ridge = np.full(self.at.size, penalty.l2)
        self.ridge[n * k :] = 0
        self.n_iter, self.n_passes, self.history, self.nbytes = -1, 0, [], X.nbytes
        self.steps, self.accepted, self.proven = [], None, None  # steps: places in the history, and points

    @property
    def seconds(self):
        return time.perf_counter() - self.budget.began

    @property
    def is_over(self):
        """Whether a budget is exhausted, apart from two reads for the proof of a point at which a callback
        stops."""
        return self.seconds > self.budget.seconds or self.n_passes + _PROOF > self.budget.passes

    def answer(self, question):
        match question:
            case ask.Evaluate():
                return self._point(question.w)
            case ask.Accept():
                return self._accept(question)
            case ask.Curvature(_, ask.SOLVE):
                return self._factored(question.margins)
            case ask.LineMinimum(start, end):
                return line_search.minimum(self._slopes(start, end), *line_search.ends(start, end))
        raise _Unusual

    def _point(self, w):
        began = time.perf_counter()
        z = (w.reshape(-1, self.loss.n_outputs).T @ self.A.T).T  # column-major: losses work on whole columns
        value, self.residual = self.loss.value_residual(z, self.y)
        self.residual *= self.s
        value = float(self.s[:, 0] @ value[:, 0]) + 0.5 * float(self.ridge @ (w * w))
        gradient = (self.A.T @ self.residual).ravel() + self.ridge * w
        if not 0 < value < math.inf:
            raise _Unusual
        step, now = w - self.accepted.w if self.accepted else w, time.perf_counter()
        self.n_passes += 1
        rate = self.nbytes / (now - began) / 1e9
        norms = math.sqrt(gradient @ gradient), math.nan, math.sqrt(step @ step)
        known = max(self.n_iter, 0), float(self.n_passes), value, *norms, self.seconds, rate
        self.history.append(Record(*known))
        return ask.Point(w, value, gradient, _EPS * abs(value), z)

    def _slopes(self, start, end):
        w, d = start.w, end.w - start.w
        along, across = float(self.ridge @ (w * d)), float(self.ridge @ (d * d))
        margins, s = end.margins - start.margins, self.s[:, 0]

        def slope_and_curvature(t):
            first, second = self.loss.line_terms(start.margins + t * margins, self.y, margins)
            return (s @ first).sum() + along + t * across, (s @ second).sum() + across

        return slope_and_curvature

    def _factored(self, margins):
        """A function v -> H⁻¹·v, with H of unit diagonal where it is factored."""
        H, k = self._hessian(margins), self.loss.n_outputs
        if k > 1:
            against_shifts(H, k, range(self.at.n_features, len(H) // k))
        self.scale = to_unit_diagonal(H)
        lower, failed = lapack.dpotrf(H * self.scale * self.scale[:, None], lower=1, clean=1)
        if failed or not (lower.diagonal() ** 2).min() > LOST:
            raise _Unusual
        self.lower, self.margins = lower, margins
        self.n_passes += 1
        return self._solve

    def _solve(self, v):
        return self.scale * lapack.dpotrs(self.lower, self.scale * v, lower=1)[0]

    def _hessian(self, margins):
        A, k, p = self.A, self.loss.n_outputs, self.A.shape[1]
        H = np.empty((p, k, p, k))
        for a, b, curvature in self.loss.curvature_blocks(margins, self.y):
            if a == b:  # BLAS takes half the time for the product of a matrix and its own transpose
                B = A * np.sqrt(curvature * self.s)
                H[:, a, :, a] = B.T @ B
            else:
                H[:, a, :, b] = H[:, b, :, a] = A.T @ (A * (curvature * self.s))
        H = H.reshape(p * k, p * k)
        H.reshape(-1)[:: p * k + 1] += self.ridge
        return H

    # -- the proof -------------------------------------------------------------------------------------------

    def _accept(self, told):
        point, self.n_iter = told.point, self.n_iter + 1
        gap, self.accepted = told.gap / point.value, point
        if gap <= self.tol:
            if self.at.dtype != np.float64:
                self.accepted = point = self._point(self.at.rounded(point.w))
            bound = self._bound(point)
            gap = min(gap, bound)
            if bound <= self.tol:
                self.proven = bound
        self.history[-1] = self.history[-1]._replace(n_iter=self.n_iter, suboptimality=min(gap, 1.0))
        self.steps.append((len(self.history) - 1, point))
        return self.proven is not None

    def _bound(self, point):
        """The bound of the module's docstring, raised by the rounding of the gradient and of the margins."""
        k, W = self.loss.n_outputs, np.abs(point.w).reshape(-1, self.loss.n_outputs)
        d = self._solve(point.gradient)
        factor = math.exp(min(_reach(point.margins - self.margins), 1.0))
        tilt = factor * _reach(self.A @ d.reshape(-1, k))
        if not (factor < math.e and tilt < 0.5):
            return math.inf
        sizes = np.abs(self.A)
        relative = _EPS * (8 + 2 * float((sizes @ W).max()))
        error = relative * ((sizes.T @ np.abs(self.residual)).ravel() + self.ridge * W.ravel())
        # What the solution of the system leaves of g is about its rounding, which matters if H is nearly
        # singular.
        error += _EPS * len(d) * float((np.abs(d) / self.scale).sum()) / self.scale
        inverse, _ = lapack.dtrtri(self.lower, lower=1)
        deviations = self.scale * np.sqrt(np.einsum("ij,ij->j", inverse, inverse))
        root = math.sqrt(max(0.5 * float(point.gradient @ d), 0.0)) + math.sqrt(0.5) * float(
            error @ deviations
        )
        gap = root * root * factor / (1 - tilt)
        return (gap + self.at.blur(point.w, point.gradient, point.value)) / point.value

    def solution(self):
        return self._ended(self.accepted, self.proven, self.history, ask.CONVERGED)

    def stopped(self, last, point, status):
        """The Solution at a step that was not the last one, by a proof of its own."""
        history, bound = self.history[: last + 1], 1.0
        with blas_limit(1), np.errstate(all="ignore"), contextlib.suppress(_Unusual):
            point = self._point(self.at.rounded(point.w))
            self._factored(point.margins)
            bound = min(self._bound(point), 1.0)
        return self._ended(point, bound, history, status)

    def _ended(self, point, bound, history, status):
        known = history[-1].gradient_norm, min(history[-1].suboptimality, bound), bound, history[-1].n_iter
        return Solution(self.at.original(point.w), point.value, *known, float(self.n_passes), status, history)


def _reach(margins):
    """The largest change of a margin or, with several classes, of a difference of two margins."""
    if margins.shape[1] == 1:
        return float(np.abs(margins).max())
    return float((margins.max(axis=1) - margins.min(axis=1)).max())
