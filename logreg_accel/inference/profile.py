"""The result of `firth`: an Inference whose tests and intervals come from profiles of its likelihood."""

import math
from typing import Any

import numpy as np
from scipy.special import ndtr

from ..estimator import LogisticRegression
from .chi2 import Test, chi2, quantile
from .jeffreys import moved
from .results import Inference
from .tables import P_VALUE, Table

_CLOSE = 1e-7
"""Largest error of the root of the likelihood ratio at an end of an interval."""

_TRIALS = 60


class FirthInference(Inference):
    """The result of `firth`: an `Inference` in which every log-likelihood is the penalised one, ℓ*.

    It keeps X, from which profiles are computed; a pickle does not contain X.

    Attributes
    ----------
    model : LogisticRegression
        For predictions, `save`, `to_onnx` and `to_sql`.
    intervals : "profile" or "wald"
        The default method of tests and intervals.
    llf, llnull : float
        ℓ* at the estimates, and its maximum where all coefficients but the intercept are zero.
    pvalues : ndarray (p,)
        From penalised likelihood ratios, or Wald's.
    """

    model: LogisticRegression

    def __init__(
        self, facts, evidence, covariance, names, llnull, original, likelihood, best, model, intervals
    ):
        super().__init__(facts, evidence, covariance, names, llnull, original)
        self.model, self.intervals, self.method = model, intervals, "Firth"
        self._likelihood, self._best = likelihood, best
        self._ratios: dict = {}
        self._ends: dict = {}

    def __getstate__(self):
        return {**super().__getstate__(), "_likelihood": None, "_llnull": self.llnull}

    @property
    def pvalues(self) -> np.ndarray:
        """p-values by the penalised likelihood ratio of every coefficient; 2·Φ(−|z|) with
        intervals="wald"."""
        if self.intervals == "wald":
            return 2 * ndtr(-abs(self.zvalues))
        return np.array([self.lr_test(name).pvalue for name in self.exog_names])

    def conf_int(self, alpha: float = 0.05, method: str | None = None, columns: Any = None) -> np.ndarray:
        """Intervals with coverage 1 − alpha.

        Parameters
        ----------
        alpha : float
        method : "profile", "wald" or None
            Profile intervals end where 2·(max ℓ* − max ℓ* with the coefficient fixed there) is the χ²
            quantile; None means the `intervals` given to `firth`.
        columns : list of names or None
            The columns to compute intervals for; None means all.

        Returns
        -------
        ndarray (len(columns), 2)
            Lower and upper ends.

        Raises
        ------
        ValueError
            alpha is not between 0 and 1, a name or method is unknown, or profiles are needed from a pickle.
        """
        reach, method = quantile(alpha), self.intervals if method is None else method
        names = self.exog_names if columns is None else columns
        which = [self._number(name) for name in ([names] if isinstance(names, str) else names)]
        if method == "wald":
            ends = self.params[:, None] + reach * self.bse[:, None] * [-1, 1]
            return ends[which]
        if method != "profile":
            raise ValueError(f"`method` is {method!r}; expected 'profile', 'wald' or None.")
        return np.array([[self._end(j, -reach), self._end(j, reach)] for j in which]).reshape(-1, 2)

    def lr_test(self, columns: Any) -> Test:
        """The penalised likelihood-ratio test that the coefficients of some columns are zero.

        The columns remain part of the prior, so that both likelihoods are comparable (Heinze and Schemper
        2002).

        Parameters
        ----------
        columns : name or list of names
            "const" is the intercept.

        Returns
        -------
        Test
            The statistic 2·(max ℓ* − max ℓ* with these coefficients zero), χ² with one degree of freedom per
            column.

        Raises
        ------
        ValueError
            A name is unknown, there is none, or this result comes from a pickle, which has no rows.
        """
        names = (columns,) if isinstance(columns, str) else tuple(columns)
        which = [self._number(name) for name in names]
        if not which:
            raise ValueError("`columns` is empty; expected names of columns.")
        if names not in self._ratios:
            R = np.array([self._functional(j) for j in sorted(set(which))])
            held = self._held(R, -R @ self._best.theta, self._best)
            statistic = max(2 * float(self._best.value - held.value), 0.0)
            self._ratios[names] = Test(statistic, chi2(statistic, len(R)), len(R))
        return self._ratios[names]

    def table(self, alpha: float = 0.05) -> Table:
        """Coefficients, standard errors, χ² (with intervals="wald": z), p-values and intervals.

        Parameters
        ----------
        alpha : float
            Intervals have coverage 1 − alpha.

        Returns
        -------
        Table
            A row for every parameter.

        Raises
        ------
        ValueError
            As `conf_int`.
        """
        if self.intervals == "wald":
            return super().table(alpha)
        low, high = self._edges(alpha)
        columns = {
            "coef": self.params,
            "std err": self.bse,
            "chi2": np.array([self.lr_test(name).statistic for name in self.exog_names]),
            P_VALUE: self.pvalues,
            f"[{alpha / 2:g}": low,
            f"{1 - alpha / 2:g}]": high,
        }
        note = f"Covariance: {self.formula}; tests and intervals: profile of the penalised likelihood"
        return Table("Coefficients (Firth)", self._names(), columns, note)

    # -- the pieces ------------------------------------------------------------------------------------------

    def _edges(self, alpha):
        return self.conf_int(alpha).T

    def _functional(self, j):
        """The linear functional that gives a parameter of uncentred rows from those of centred rows."""
        a, layout = np.zeros(len(self.params)), self._evidence.layout
        a[j] = 1
        if j == 0 and layout.intercept and layout.centre is not None:
            a[1:] = -np.asarray(layout.centre)
        return a

    def _held(self, R, change, start):
        if self._likelihood is None:
            raise ValueError("The rows are not kept in a pickle; call `firth` again, or use method='wald'.")
        return self._likelihood.maximum(self._likelihood.point_at(moved(start, R, change)), R)

    def _end(self, j, target):
        """Where the signed root of the likelihood ratio is `target`, by Newton's method between two ends.

        The root r = ±√(2·(max ℓ* − ℓ*(v))) is nearly linear in v; its slope is −λ/r, where λ is the Lagrange
        multiplier of the fixed coefficient.
        """
        if (j, target) in self._ends:
            return self._ends[j, target]
        R, at_best, sign = self._functional(j)[None], self.params[j], math.copysign(1, target)
        inner, outer = at_best, sign * math.inf
        v, held = at_best + target * self.bse[j], self._best
        for _ in range(_TRIALS):
            held = self._held(R, v - R @ held.theta, held if held.root is not None else self._best)
            r = sign * math.sqrt(max(2 * (self._best.value - held.value), 0.0))
            if abs(r - target) <= _CLOSE * abs(target):
                break
            inner, outer = (v, outer) if abs(r) < abs(target) else (inner, v)
            slope = -held.multipliers[0] / r if r else math.nan
            v = v + (target - r) / slope if slope > 0 else math.nan
            if not min(inner, outer) < v < max(inner, outer):
                beyond = at_best + 2 * (inner - at_best) + target * self.bse[j]
                v = (inner + outer) / 2 if math.isfinite(outer) else beyond
        self._ends[j, target] = v
        return v
