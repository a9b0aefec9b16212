"""Paths under an L1 penalty: each model begins at the optimum over the columns that may matter to it.

The gradient of a column without weight changes along a path by no more than the penalty does, or nearly so
(the strong rule): columns whose gradient is far below the next penalty are left out, the others are gathered
and fitted alone, and the gradient of all columns then shows which were left out wrongly. What comes of it is
a start; the fit to all columns has the last word.

References
----------
Tibshirani, Bien, Friedman, Hastie, Simon, Taylor and Tibshirani (2012), Strong rules for discarding
predictors in lasso-type problems, J. R. Stat. Soc. B 74.
"""

import copy
import functools
import math

import numpy as np

from .. import driver, fitting, options
from ..backends.threads import blas_limit
from ..objective import Objective
from ..rows import MemoryRows
from ..solvers import questions as ask
from .table import penalty_of

_MOST = 3  # columns for one that is gathered: with more than that share of them, nothing is gained
_FEWEST = 256  # columns from which on any are left out: fewer are fitted as soon as looked at
_ADDED = 32  # columns that are gathered beside those that are there, or as many as are there
_ROUNDS = 20
_SLACK = 1e-6  # by which a gradient is above its penalty, relatively, without being wrong
_TOL = 1e-12  # of the fit to some columns: a proof over all of them wants a gradient that is exact
_TRIED = 1e-4  # of fits that only show which columns matter
_POLISHED_UP_TO = 2000  # weights


class Paths:
    """The paths of a table under an L1 penalty, of which one is under way: a Screening holds rows.

    Parameters
    ----------
    run : _Run
    """

    def __init__(self, run):
        self.run, self.path, self.screening = run, None, None

    def offered(self, spec):
        """Whether columns may be left out of a model: some weights are zero, and rows are in host memory."""
        shared = self.run.shared
        on_host = not (shared.streamed or self.run.backend.on_device or shared.X.on_device)
        return spec.l1_ratio > 0 and spec.C < math.inf and on_host

    def start(self, spec, w):
        """Where a model begins, given where it would else, and what its solver is made of, or None."""
        if not self.offered(spec):
            return w, None
        if self.path != (spec.model, spec.l1_ratio):
            self.path, self.screening = (spec.model, spec.l1_ratio), Screening(self.run, spec)
        w, proven = self.screening.start(spec, w)
        if self.screening.over:  # a neighbour's weights are no optimum
            return w, None
        return w, functools.partial(judged_first, proven=proven)


class Screening:
    """The columns that matter to the models of one path.

    Parameters
    ----------
    run : _Run
        The table under way.
    spec : Spec
        One of the path's models, whose rows are those of all.
    """

    def __init__(self, run, spec):
        self.run, self.labelled = run, run.shared.alone(spec)
        self.intercept = bool(run.template.fit_intercept)
        self.rows = self._rows_of(self.labelled)
        self.total = self.labelled.total_weight
        self.n, self.k = run.shared.X.shape[1], run.loss.n_outputs
        self.over = self.n < _FEWEST  # weaker penalties keep more columns than those that were too many
        self.known = None  # penalties of the last model, and the gradient at its optimum

    def start(self, spec, w):
        """The optimum over the columns that matter, and a bound on what it is above that of all where one is
        known.

        `w` are the weights of the model before, or None; they come back where most columns matter, or the
        budgets are spent.
        """
        if self.over:
            return w, math.inf
        objective = self._objective(spec, self.rows)
        l1 = self._by_column(objective.penalty.l1 * objective.at.penalised(np.ones(objective.size)))
        before, w = w, self._alone_in_intercept(objective) if w is None else w
        strongest, slope = self.known or self._from_nothing(self._slope(objective, w), l1)
        kept = ((self._by_column(w) != 0) | (l1 == 0)).any(axis=1)
        near = bool((strongest <= 2 * l1).all())  # else the rule says nothing: some columns are tried first
        tol, expected = _TOL if near else _TRIED, self._expected(kept, slope, l1) if near else 0
        kept = self._with(kept, slope, l1, 2 * l1 - np.maximum(strongest, l1))
        for _ in range(_ROUNDS):
            if _MOST * max(expected, kept.sum()) > self.n or not self.run.session.goes_on:
                self.over = True
                return before, math.inf
            w = self._fitted(spec, w, kept, tol)
            slope = self._slope(objective, w)
            more = self._with(kept, slope, l1, l1 * (1 + _SLACK))
            if (more == kept).all():
                if tol == _TOL:
                    break
                tol = _TOL
            expected, kept = self._expected(kept, slope, l1), more
        self.known = l1, slope
        return (w, math.inf) if self.rows.rounds_to == np.float64 else self._rounded(spec, objective, w, kept)

    def _rounded(self, spec, objective, w, kept):
        """The point in the digits that a model has, and a bound on how far it is above the optimum.

        A proof from its own residuals would find what the rounding has done to the gradient.
        """
        finer, columns = self._objective(spec, exact(self.rows, self.intercept)), np.flatnonzero(kept)
        few = self._objective(spec, exact(self._rows_of(self._gathered(columns)), self.intercept), columns)
        best = finer.answer(ask.Evaluate(finer.at.centred(w)))
        gap = finer.answer(ask.DualValue(best))
        w = objective.at.original(objective.at.rounded(objective.at.centred(w)))
        point = few.answer(ask.Evaluate(few.at.centred(self._some(w, columns))))
        self.run.session.n_passes += 1 + len(columns) / self.n
        rounding = 16 * np.finfo(np.float64).eps * point.value
        return w, max(point.value - best.value, 0.0) + gap + rounding

    @staticmethod
    def _expected(kept, slope, l1):
        """About how many columns will have weights."""
        return (kept | (abs(slope) > l1).any(axis=1)).sum()

    def _with(self, kept, slope, l1, least):
        """The columns kept and those whose gradient is at least so large; the most urgent ones of many."""
        urgency = np.where(abs(slope) >= least, abs(slope) / np.where(l1 > 0, l1, 1), 0.0).max(axis=1)
        urgency[kept] = 0
        most = max(_ADDED, int(kept.sum()))
        added = np.argsort(-urgency, kind="stable")[:most]
        kept = kept.copy()
        kept[added[urgency[added] > 0]] = True
        if not kept.any():  # all weights are zero: one column says so
            kept[abs(slope).max(axis=1).argmax()] = True
        return kept

    def _objective(self, spec, rows, columns=slice(None)):
        """The objective of all columns, or of some that have been gathered."""
        run = self.run
        factors, scale = (
            None if given is None else given[columns] for given in (run.factors, run.scale(spec))
        )
        penalty = penalty_of(spec, self.total)
        penalty = options.by_weight(penalty, factors, scale, rows.n_features, self.k, self.intercept)
        return Objective(rows, run.loss, penalty, self.intercept)

    def _rows_of(self, labelled):
        return MemoryRows([labelled.block], self.run.backend, len(self.run.shared.classes), self.intercept)

    def _by_column(self, w):
        return w[: self.n * self.k].reshape(self.n, self.k)

    def _alone_in_intercept(self, objective):
        """The point of a model that knows the shares of the classes alone."""
        w = np.zeros(objective.size)
        if self.intercept:
            shares = np.log(np.maximum(self.labelled.class_shares[0], 1e-12))
            w[self.n * self.k :] = shares[1] - shares[0] if self.k == 1 else shares - shares.mean()
        return w

    @staticmethod
    def _from_nothing(slope, l1):
        """The penalties under which all weights would be zero, and the gradient there."""
        ratio = np.divide(abs(slope), l1, out=np.zeros_like(slope), where=l1 > 0).max()
        return ratio * l1, slope

    def _slope(self, objective, w):
        """The gradient of all columns, out of one read."""
        point = objective.answer(ask.Evaluate(objective.at.centred(w)))
        self.run.session.n_passes += 1
        return self._by_column(point.gradient)

    def _fitted(self, spec, w, kept, tol):
        """The weights of all columns, of which those kept are at their optimum."""
        run, columns = self.run, np.flatnonzero(kept)
        model = run.single(spec, share=len(columns) / self.n)
        model.tol = tol if tol > _TOL else min(model.tol, tol)
        if run.factors is not None:
            model.penalty_factor = run.factors[columns]
        labelled, start = self._gathered(columns), self._some(w, columns)
        quiet = fitting.Progress(None, None)
        solution = fitting.solve(model, None, labelled, self.total, start, quiet).solution
        run.session.n_passes += solution.n_passes * len(columns) / self.n
        if solution.status == driver.INTERRUPTED:
            raise KeyboardInterrupt
        w = solution.w
        if tol == _TOL:
            exactly = exact(self._rows_of(labelled), self.intercept)
            w = self._polished(self._objective(spec, exactly, columns), w)
        found = np.zeros((self.n, self.k))
        found[columns] = w[: len(columns) * self.k].reshape(-1, self.k)
        return np.append(found.ravel(), w[len(columns) * self.k :])

    def _gathered(self, columns):
        """The rows with some of their columns."""
        block = self.labelled.block
        return self.labelled._replace(block=block._replace(X=block.X.columns(columns)))

    def _some(self, w, columns):
        """A point of some of the columns."""
        return np.append(self._by_column(w)[columns].ravel(), w[self.n * self.k :])

    def _polished(self, objective, w):
        """A Newton step in the weights that are not zero, where it brings their gradient nearer to zero.

        Values round where gradients do not: solvers stop before residuals prove what they could.
        """
        w, l1 = (
            objective.at.centred(w),
            objective.penalty.l1 * objective.at.penalised(np.ones(objective.size)),
        )
        free = np.flatnonzero((w != 0) | (l1 == 0))
        if not 0 < len(free) <= _POLISHED_UP_TO:
            return objective.at.original(w)

        def off(w):
            return (objective.answer(ask.Evaluate(w)).gradient + l1 * np.sign(w))[free]

        with self.run.backend.limit_threads(), blas_limit(1):
            before = off(w)
            H = objective.answer(ask.Curvature(w, ask.MATRIX))[np.ix_(free, free)]
            stepped = w.copy()
            stepped[free] -= np.linalg.lstsq(H, before)[0]
            better = (np.sign(stepped) == np.sign(w))[l1 > 0].all() and abs(off(stepped)).max() < abs(
                before
            ).max()
        return objective.at.original(stepped if better else w)


def exact(rows, intercept):
    """The same rows, with sums in float64 and points that are not rounded."""
    if rows.rounds_to == np.float64:
        return rows
    rows = rows.in_float64(intercept) or copy.copy(rows)
    rows.rounds_to = np.dtype(np.float64)
    return rows


class judged_first:
    """A solver that has its start judged before it begins: it may be the optimum.

    Parameters
    ----------
    solver : settings
    proven : float
        As of `Accept`, for the start.
    """

    def __init__(self, solver, proven):
        self.solver, self.proven = solver, proven
        if hasattr(solver, "patience"):
            self.patience = solver.patience

    def __call__(self, start):
        here = yield ask.Evaluate(start.w)
        if (yield ask.Accept(here, proven=self.proven)):
            return ask.CONVERGED
        return (yield from self.solver(start))
