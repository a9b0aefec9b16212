"""Inference: the coefficients of a fit with standard errors, tests and tables, under statsmodels' names."""

from typing import Any

import numpy as np
from scipy.special import ndtr

from . import effects
from .chi2 import Test, chi2, quantile, wald
from .shown import Shown


class Inference(Shown):
    """The result of `inference`.

    Arrays over parameters are (p,) with two classes; with K classes they are (p, K − 1), with a column for
    every class except the base, with which it is compared. The intercept, named "const", comes first. The
    rows of the fit are kept for `get_margeff`, but not in a pickle.

    Attributes
    ----------
    params, bse : ndarray (p,) or (p, K − 1)
        Coefficients and their standard errors.
    zvalues, pvalues : ndarray, as params
        params/bse, and 2·Φ(−|z|).
    exog_names : list of str
        Names of the p parameters of a class.
    outcomes : list
        The classes that the columns of params belong to; with two classes, [classes_[1]].
    base : label
        The class that they are compared with.
    vcov, formula : str
        The kind of covariance, and its formula with the factor for small samples.
    n_groups : int or None
        Number of groups of clustered errors.
    llf : float
        The log-likelihood.
    aic, bic : float
        −2·llf + 2·p and −2·llf + p·log(nobs), where p is the number of parameters or, with a penalty, the
        effective degrees of freedom.
    nobs : float
        Σ s.
    edf : float
        Effective degrees of freedom tr((H + λ)⁻¹H); without a penalty, the number of parameters.
    df_model, df_resid : float
        The parameters beside the constants; the observations beyond all parameters, which are nobs in number
        with vcov="iid", where a weight counts observations, and otherwise the rows.
    """

    params: np.ndarray
    bse: np.ndarray

    def __init__(self, facts, evidence, covariance, names, llnull, original):
        shape = (len(names), len(facts["outcomes"])) if evidence.loss.n_outputs > 1 else (len(names),)
        self._shape, self.facts, self._evidence, self._centred = shape, facts, evidence, covariance.matrix
        self._cov = original
        self.exog_names, self.outcomes, self.base = names, facts["outcomes"], facts["base"]
        self.params = self._laid_out(facts["params"])
        with np.errstate(invalid="ignore"):
            self.bse = self._laid_out(np.sqrt(original.diagonal()))
        self.vcov, self.formula, self.n_groups = covariance.kind, covariance.formula, covariance.groups
        self.llf, self._llnull, self.edf = -evidence.value, llnull, covariance.edf
        self.nobs, self.penalised = evidence.weight, facts["penalised"]
        self.method = "penalised MLE" if self.penalised else "MLE"
        constants = len(self.outcomes) * evidence.layout.intercept
        units = self.nobs if self.vcov == "iid" else evidence.n_rows
        self.df_model, self.df_resid = self.edf - constants, units - self.edf
        self.aic = -2 * self.llf + 2 * self.edf
        self.bic = -2 * self.llf + np.log(self.nobs) * self.edf

    def __getstate__(self):
        return {**vars(self), "_evidence": self._evidence._replace(rows=None)}

    @property
    def llnull(self) -> float:
        """The log-likelihood of a model with only an intercept, fitted when it is first asked for."""
        if callable(self._llnull):  # it takes reads
            self._llnull = self._llnull()
        return self._llnull

    @property
    def llr(self) -> float:
        """2·(llf − llnull)."""
        return 2 * (self.llf - self.llnull)

    @property
    def llr_pvalue(self) -> float:
        """The χ² p-value of `llr` with `df_model` degrees of freedom."""
        return chi2(self.llr, self.df_model)

    @property
    def prsquared(self) -> float:
        """1 − llf/llnull."""
        return 1 - self.llf / self.llnull

    @property
    def zvalues(self) -> np.ndarray:
        """params/bse."""
        self._refuse_tests("zvalues")
        return self.params / self.bse

    @property
    def pvalues(self) -> np.ndarray:
        """Two-sided p-values of a normal distribution, 2·Φ(−|z|)."""
        self._refuse_tests("pvalues")
        return 2 * ndtr(-abs(self.zvalues))

    def conf_int(self, alpha: float = 0.05) -> np.ndarray:
        """Intervals params ± z·bse with coverage 1 − alpha, where z is the 1 − alpha/2 quantile of a normal.

        Parameters
        ----------
        alpha : float
            Between 0 and 1.

        Returns
        -------
        ndarray (p, 2), or (K − 1, p, 2) for K classes
            Lower and upper ends.

        Raises
        ------
        ValueError
            alpha is not between 0 and 1, or there is a penalty.
        """
        self._refuse_tests("conf_int")
        reach = quantile(alpha) * self.bse
        both = np.stack([self.params - reach, self.params + reach], axis=-1)
        return both if both.ndim == 2 else both.transpose(1, 0, 2)

    def cov_params(self) -> np.ndarray:
        """The covariance of the parameters, by `formula`.

        Returns
        -------
        ndarray (p, p); ((K − 1)·p, (K − 1)·p) for K classes, class after class
        """
        return self._cov.copy()

    # -- tests and effects -----------------------------------------------------------------------------------

    def wald_test(self, R: Any, r: Any = 0.0) -> Test:
        """The Wald test of R·θ = r, where θ has the parameters class after class.

        Parameters
        ----------
        R : array (restrictions, parameters) or (parameters,), or list of names
            Names of columns, or "const", test that all parameters of these columns are 0.
        r : float or array (restrictions,)

        Returns
        -------
        Test
            The statistic (Rθ − r)ᵀ·(R·V·Rᵀ)⁻¹·(Rθ − r), χ² with one degree of freedom per restriction.

        Raises
        ------
        ValueError
            R or r has the wrong shape, or R has unknown names or linearly dependent restrictions.
        """
        self._refuse_tests("wald_test")
        return wald(self._restrictions(R), r, self.params.T.ravel(), self._cov)

    def lr_test(self, other: "Inference") -> Test:
        """The likelihood-ratio test of two nested models, in either order.

        Parameters
        ----------
        other : Inference
            Of the same rows and weights.

        Returns
        -------
        Test
            The statistic 2·(llf of the larger − llf of the smaller), χ² with the difference of their numbers
            of parameters as degrees of freedom.

        Raises
        ------
        TypeError
            `other` is no Inference.
        ValueError
            Different rows, equal numbers of parameters, a penalty, or a larger model that fits worse.
        """
        if not isinstance(other, Inference):
            raise TypeError(f"`other` is a {type(other).__name__}; expected a result of `inference`.")
        self._refuse_tests("lr_test")
        other._refuse_tests("lr_test")
        if abs(self.nobs - other.nobs) > 1e-9 * self.nobs or self.outcomes != other.outcomes:
            raise ValueError(
                f"`other` is of {other.nobs:g} observations of {other.outcomes}, this one of {self.nobs:g} "
                f"of {self.outcomes}; a likelihood ratio compares models of the same rows."
            )
        large, small = (self, other) if self.edf > other.edf else (other, self)
        df, statistic = round(large.edf - small.edf), 2 * (large.llf - small.llf)
        if df == 0 or statistic < -1e-6 * abs(small.llf):
            raise ValueError(
                "Neither of the models is nested in the other one: "
                + ("both have as many parameters." if df == 0 else "the one with more parameters fits worse.")
            )
        return Test(max(statistic, 0.0), chi2(statistic, df), df)

    def get_margeff(self, dummies: Any = "auto") -> effects.MarginalEffects:
        """Average marginal effects on the probabilities, with delta-method errors, in one or two reads.

        The effect of a column is a derivative averaged over the rows; for a column of zeros and ones, it is
        the average change from 0 to 1.

        Parameters
        ----------
        dummies : "auto", or a sequence of names or numbers of columns
            Columns that are changed from 0 to 1. "auto" means those with only zeros and ones, which a read
            finds out; () means none.

        Returns
        -------
        MarginalEffects
            (columns,) on the probability of classes_[1]; for more than two classes (columns, n_classes).

        Raises
        ------
        ValueError
            `dummies` has what is no column, or this Inference comes from a pickle, which has no rows.
        """
        if self._evidence.rows is None:
            raise ValueError("The rows are not kept in a pickle; call `inference` again for `get_margeff`.")
        features = self.exog_names[self._evidence.layout.intercept :]
        if isinstance(dummies, str) and dummies == "auto":
            switched = effects.zero_one_columns(self._evidence.rows)
        else:
            switched = [_number_of(column, features) for column in dummies]
        effect, error = effects.average_effects(self._evidence, self._centred, switched)
        discrete = np.isin(np.arange(len(features)), switched)
        if len(self._shape) == 1:
            effect, error = effect[:, 1], error[:, 1]
        note = f"Delta method; covariance of the parameters: {self.formula}"
        return effects.MarginalEffects(features, self.facts["classes"], effect, error, discrete, note)

    # -- the pieces ------------------------------------------------------------------------------------------

    def _laid_out(self, flat):
        return flat.reshape(self._shape[::-1]).T

    def _refuse_tests(self, what):
        if self.penalised:
            raise ValueError(
                f"`{what}` is not available: a penalty biases coefficients by an unknown amount, so "
                "p-values and intervals would be wrong. `bse` and `edf` are available; for tests, fit with "
                "C=np.inf."
            )

    def _restrictions(self, R):
        p, k = len(self.exog_names), len(self.outcomes)
        if isinstance(R, str):
            R = [R]
        if all(isinstance(name, str) for name in R):
            columns = [self._number(name) for name in R]
            return np.eye(p * k)[[i * p + j for i in range(k) for j in columns]]
        R = np.atleast_2d(np.asarray(R, dtype=np.float64))
        if R.shape[1] != p * k or not np.isfinite(R).all():
            raise ValueError(f"`R` has shape {R.shape}; expected finite numbers, (restrictions, {p * k}).")
        return R

    def _number(self, name):
        if name not in self.exog_names:
            raise ValueError(
                f"{name!r} is not a parameter; expected one of {', '.join(self.exog_names[:20])}."
            )
        return self.exog_names.index(name)


def _number_of(column, names):
    if isinstance(column, str) and column in names:
        return names.index(column)
    if isinstance(column, int | np.integer) and not isinstance(column, bool) and 0 <= column < len(names):
        return int(column)
    raise ValueError(f"`dummies` has {column!r}; expected names or numbers of columns, below {len(names)}.")
