"""Firth's logistic regression: less biased estimates, finite even if classes are separated, and profiles."""

import functools
import math
import warnings
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from ..backends import Choice
from ..data import encoded
from ..data.convert import to_table
from ..data.scan import Source
from ..estimator import LogisticRegression
from ..export.imported import fitted_with
from ..penalty import check_number
from . import checks
from .covariance import Covariance
from .evidence import gather, weighed
from .jeffreys import Jeffreys
from .profile import FirthInference


def firth(
    X: Any,
    y: Any = None,
    sample_weight: Any = None,
    *,
    offset: Any = None,
    fit_intercept: bool = True,
    intervals: str = "profile",
    max_iter: int = 200,
    backend: str = "auto",
    n_threads: int | None = None,
) -> FirthInference:
    """Logistic regression with Firth's penalty, for rare events and separated classes.

    Maximises the likelihood times Jeffreys' prior, where I(w) = Σᵢ sᵢ·pᵢ·(1 − pᵢ)·xᵢxᵢᵀ is the information::

        ℓ*(w) = Σᵢ sᵢ·log P(yᵢ) + ½·log|I(w)|

    The estimates are finite where those of maximum likelihood are not, and less biased where events are rare.
    Standard errors are the square roots of the diagonal of I⁻¹ at the estimates. p-values and intervals come
    from the penalised likelihood ratio 2·(max ℓ* − max ℓ* with one coefficient fixed), whose distribution is
    taken to be χ² with one degree of freedom. Unlike Wald intervals, they follow the skewed shape of the
    likelihood.

    A search for the maximum takes two reads per step, and few steps where there are many rows. Profiles take
    one search for every p-value and some four for every end of an interval; they are computed when first
    used.

    Parameters
    ----------
    X : array, frame, table or sparse matrix (n_samples, n_features), or what `logreg_accel.scan` returns
        Sums are computed in float64 about the means of the columns, whatever the dtype of X.
    y : (n_samples,) labels of two classes; None with a source, which has its own
    sample_weight : (n_samples,) or None
        The number of observations that each row stands for.
    offset : (n_samples,) or None
        Added to the margins.
    fit_intercept : bool, default True
        The intercept is part of the prior.
    intervals : "profile" or "wald", default "profile"
        The method for `pvalues`, `conf_int` and the tables. Wald's takes no further reads.
    max_iter : int, default 200
        Largest number of steps of a search.
    backend, n_threads
        As for `LogisticRegression`.

    Returns
    -------
    FirthInference
        An `Inference` whose log-likelihoods are ℓ*; its `model` is a `LogisticRegression` for predictions.

    Raises
    ------
    ValueError, TypeError, RuntimeError
        As `LogisticRegression.fit`; also more than two classes, and collinear columns, which the message
        names.
    MemoryError
        Too many parameters for their information matrix.

    Warns
    -----
    ConvergenceWarning
        A search did not reach the maximum in `max_iter` steps.

    References
    ----------
    Firth, D. (1993), Bias reduction of maximum likelihood estimates, Biometrika 80. Heinze and Schemper
    (2002), A solution to the problem of separation in logistic regression, Statistics in Medicine 21.

    Examples
    --------
    >>> import numpy as np
    >>> from logreg_accel import firth
    >>> X, y = np.repeat([[0.0], [1.0]], 10, axis=0), np.repeat([0, 1], 10)  # separated
    >>> result = firth(X, y)
    >>> result.params.round(4)  # as if half an observation were added to each of the four cells
    array([-3.0445,  6.089 ])
    >>> result.conf_int().round(2)
    array([[-7.9 , -1.  ],
           [ 2.96, 11.86]])
    """
    if intervals not in ("profile", "wald"):
        raise ValueError(f"`intervals` is {intervals!r}; expected 'profile' or 'wald'.")
    check_number("max_iter", max_iter, "an integer of at least 1", lambda v: v >= 1, int | np.integer)
    X = to_table(X)  # collections of Dask are gathered, as by `inference`: profiles read the rows many times
    if y is not None:  # a source has its own labels
        _refuse_more_classes(encoded(y)[0])
    start = _start(X, y, sample_weight, offset, fit_intercept, backend, n_threads)
    _refuse_more_classes(start.classes_)
    labelled, rows = weighed(start, X, y, sample_weight, offset, about_means=True)
    names = checks.names_of(start)
    checks.refuse_large(rows, len(names))
    evidence = gather(start, rows, labelled.weight_scale, None, False)
    checks.refuse_collinear(evidence, names)
    likelihood = Jeffreys(rows, evidence.loss, evidence.layout, evidence.scale, max_iter)
    best = likelihood.maximum(likelihood.point_of(evidence))
    if not best.converged:
        warnings.warn(_unfinished(best, max_iter), ConvergenceWarning, stacklevel=2)
    evidence, coef, intercept = _at(best, evidence, rows)
    outcome = str(getattr(y, "name", None) or "y")
    params = np.append(intercept if evidence.layout.intercept else [], coef[0])
    facts = _facts(start.classes_.tolist(), outcome, params, best.converged)
    covariance = Covariance(best.root @ best.root.T, "iid", "I⁻¹ at Firth's estimates", 1.0, len(names))
    original = evidence.layout.original(covariance.matrix)
    null = functools.partial(_null, likelihood, evidence)
    model = _model(start, coef, intercept, best)
    return FirthInference(
        facts, evidence, covariance, names, null, original, likelihood, best, model, intervals
    )


def _unfinished(best, max_iter):
    """What the warning about a search that did not reach the maximum says."""
    why = (
        "rounding hides what is left to gain;"
        if best.n_iter < max_iter
        else f"raise `max_iter`={max_iter}, or"
    )
    return f"Firth's estimates are not at the maximum after {best.n_iter} steps; {why} scale the columns."


def _at(best, evidence, rows):
    """The evidence at the maximum, and the coefficients (1, n) and intercept (1,) of rows that are not
    centred."""
    W, layout = evidence.W.copy(), evidence.layout
    W.ravel()[layout.places] = best.theta
    intercept = W[-1]
    if rows.centre is not None and layout.intercept:
        intercept = intercept - (rows.centre.astype(np.longdouble) @ W[:-1]).astype(np.float64)
    return evidence._replace(W=W, value=-best.value), W[:-1].T, intercept


def _facts(labels, outcome, params, converged):
    """The facts of an Inference about a fit with Firth's penalty."""
    return {
        "params": params,
        "outcomes": labels[1:],
        "classes": labels,
        "base": labels[0],
        "outcome": outcome,
        "penalised": False,
        "converged": converged,
    }


def _start(X, y, sample_weight, offset, fit_intercept, backend, n_threads):
    """A fit with a weak L2 penalty, which is finite even if classes are separated; it checks all
    arguments."""
    parameters = {"fit_intercept": fit_intercept, "backend": backend, "n_threads": n_threads}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # an inexact start suffices
        model = LogisticRegression(tol=1e-6, standardize=not isinstance(X, Source), **parameters)
        return model.fit(X, y, sample_weight, offset=offset)


def _refuse_more_classes(classes):
    if len(classes) > 2:
        raise ValueError(
            f"`y` has {len(classes)} classes; Firth's penalty is offered for two. Compare one class with "
            "another, or fit LogisticRegression with its L2 penalty."
        )


def _null(likelihood, evidence):
    """The maximum of ℓ* with all coefficients except the intercept fixed at zero."""
    layout, (negative, positive) = evidence.layout, evidence.totals[0]
    theta = np.zeros(layout.each)
    if layout.intercept:
        theta[0] = math.log((positive + 0.5) / (negative + 0.5))
    R = np.eye(layout.each)[int(layout.intercept) :]
    return likelihood.maximum(likelihood.point_at(theta), R).value


def _model(start, coef, intercept, best):
    """A model that predicts with the estimates, for which `inference` would be wrong."""
    parameters = {**start.get_params(), "C": math.inf, "standardize": False}
    names = getattr(start, "feature_names_in_", None)
    model = fitted_with(
        LogisticRegression, parameters, start.classes_, coef, intercept, names, max(best.n_iter, 1)
    )
    model.backend_, model.status_ = start.backend_, "firth"
    model.solver_ = Choice("scoring", "steps of Firth's score")
    model.class_shares_ = start.class_shares_
    return model
