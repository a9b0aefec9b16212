"""Standard errors, tests, intervals and marginal effects of a fit, in one or two reads of X."""

import inspect
import math
import sys
import types
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from ..data.scan import Source
from ..options import penalty_factors, strengths
from . import checks
from .covariance import KINDS, covariance
from .evidence import by_groups, codes_of_groups, gather, weighed
from .null import null_likelihood
from .results import Inference

__all__ = ["Inference", "inference"]


def inference(
    clf: Any,
    X: Any,
    y: Any = None,
    sample_weight: Any = None,
    *,
    offset: Any = None,
    vcov: Any = "iid",
    penalised: bool = False,
    base: Any = None,
) -> Inference:
    """Standard errors, tests and intervals of a fitted model, in one or two reads of its data.

    With H = Σᵢ sᵢ·∂²ℓᵢ the information and gᵢ = sᵢ·∂ℓᵢ the score of a row, at the coefficients::

        "iid"             H⁻¹                                          as statsmodels' nonrobust, Stata's oim
        "HC0"             H⁻¹·(Σᵢ gᵢgᵢᵀ)·H⁻¹
        "HC1"             n/(n − p) times HC0
        {"CRV1": groups}  H⁻¹·(Σ_G g_G·g_Gᵀ)·H⁻¹·G/(G − 1)·(n − 1)/(n − p)

    where n is the number of rows with positive weight, p that of parameters and G that of groups, and g_G is
    the sum of scores over a group. The factors are those of R's sandwich and fixest (statsmodels' HC1 of a
    Logit has no factor; Stata's factors are n/(n − 1) and G/(G − 1)). Sums are computed in float64 about the
    means of the columns, whatever the dtype of X. In "iid", the likelihood and the information criteria, a
    sample weight is the number of observations that a row stands for; in the sandwiches, where rows are the
    independent units, it is a sampling weight.

    Parameters
    ----------
    clf : LogisticRegression
        Fitted without a penalty (C=np.inf), by any solver and backend.
    X, y, sample_weight, offset
        Those of the fit; or the result of `scan` as X alone, which is then read block by block.
    vcov : "iid", "HC0", "HC1" or {"CRV1": groups}
        Groups are labels (n_samples,) of any kind; rows of one group may depend on each other.
    penalised : bool, default False
        Whether a fit with an L2 penalty is accepted. (H + λ)⁻¹ then takes the place of H⁻¹, and "iid" is
        (H + λ)⁻¹·H·(H + λ)⁻¹. There are standard errors about the biased mean of the estimate and effective
        degrees of freedom, but neither p-values nor intervals.
    base : label or None
        With more than two classes, the class that the others are compared with; None means classes_[0].

    Returns
    -------
    Inference
        `params`, `bse`, `zvalues`, `pvalues`, `conf_int()`, `summary()`, `get_margeff()` and more.

    Raises
    ------
    ValueError, TypeError
        A model with a penalty; other data than those of the fit (recognised by the gradient and the number of
        rows); separated classes or collinear columns, which the message names; invalid groups; and everything
        that `fit` would refuse.
    NotFittedError
        Before `fit`.
    MemoryError
        Too many parameters for their covariance matrix, or too many groups; the message says how many bytes
        are needed.

    Warns
    -----
    UserWarning
        There are not more groups than parameters.

    References
    ----------
    White, H. (1982), Maximum likelihood estimation of misspecified models, Econometrica 50. Cameron and
    Miller (2015), A practitioner's guide to cluster-robust inference, Journal of Human Resources 50.

    Examples
    --------
    >>> import numpy as np
    >>> from logreg_accel import LogisticRegression, inference
    >>> X, y = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([0, 1, 0, 1])
    >>> clf = LogisticRegression(C=np.inf).fit(X, y)
    >>> inference(clf, X, y).bse.round(3)
    array([1.851, 1.046])
    """
    _check_model(clf, penalised)
    kind, groups = _kind(vcov)
    if y is None and not isinstance(X, Source):
        raise TypeError("`y` is None; expected the labels of the fit, or a source in place of `X`.")
    labelled, rows = weighed(clf, X, y, sample_weight, offset)
    checks.refuse_other_rows(clf, labelled)
    if kind == "iid" and clf.class_weight is not None:
        raise ValueError(
            "`vcov='iid'` reads weights as numbers of observations, which those of `class_weight` are not. "
            "Use vcov='HC1', which holds for any weights."
        )
    names = checks.names_of(clf)
    checks.refuse_separated(clf, names)
    checks.refuse_large(rows, len(names) * max(len(clf.classes_) - 1, 1))
    groups = None if groups is None else codes_of_groups(groups, rows.n_rows)
    evidence = gather(clf, rows, labelled.weight_scale, _base(clf, base), kind in ("HC0", "HC1"))
    ridge = _ridge(clf)
    checks.refuse_few_rows(evidence, kind)
    checks.refuse_unfit(clf, evidence, names, ridge)
    scores = None if groups is None else by_groups(evidence, groups)
    if scores is not None:
        checks.warn_of_few_groups(len(scores), len(evidence.gradient))
    found = covariance(evidence, kind, ridge, scores)
    labels = clf.classes_.tolist()
    facts = {
        "params": _params(clf, evidence.layout),
        "outcomes": labels[1:] if len(labels) == 2 else [labels[a] for a in evidence.layout.outputs],
        "classes": labels,
        "base": labels[evidence.layout.base or 0],
        "outcome": str(getattr(y, "name", None) or "y"),
        "penalised": ridge is not None,
        "converged": clf.status_ in ("converged", "estimated"),
    }
    llnull = null_likelihood(evidence)
    return Inference(facts, evidence, found, names, llnull, evidence.layout.original(found.matrix))


def _check_model(clf, penalised):
    """Raise an error for models without valid inference, before any work."""
    for name in ("classes_", "_matrix", "class_weight", "C"):
        if not hasattr(clf, name) and (name != "classes_" or not hasattr(clf, "fit")):
            raise TypeError(
                f"`clf` is a {type(clf).__name__}; expected a fitted logreg_accel.LogisticRegression."
            )
    check_is_fitted(clf)
    if clf.bounds is not None:
        raise ValueError(
            "The model has `bounds`, at which estimates have no normal distribution. Fit without them to "
            "infer."
        )
    if clf.C == math.inf or (penalised and clf.l1_ratio == 0):
        return
    if clf.l1_ratio > 0:
        raise ValueError(
            f"The model has an L1 penalty (`C`={clf.C:g}, `l1_ratio`={clf.l1_ratio:g}), under which "
            "estimates are biased and have no normal distribution. Fit with C=np.inf to infer."
        )
    raise ValueError(
        f"The model has a penalty (`C`={clf.C:g}), which biases coefficients towards zero: p-values and "
        "intervals would be wrong. Fit with C=np.inf, or pass penalised=True for a sandwich covariance and "
        "effective degrees of freedom."
    )


def _kind(vcov):
    """The kind of a covariance, and its groups or None."""
    if isinstance(vcov, str) and vcov in KINDS:
        return vcov, None
    if isinstance(vcov, dict) and list(vcov) == ["CRV1"]:
        return "CRV1", vcov["CRV1"]
    shown = f"a dict of {list(vcov)}" if isinstance(vcov, dict) else repr(vcov)[:100]
    raise ValueError(f"`vcov` is {shown}; expected 'iid', 'HC0', 'HC1' or {{'CRV1': groups}}.")


def _base(clf, base):
    """The code of the base class."""
    labels = clf.classes_.tolist()
    if len(labels) == 2:
        if base is not None and base != labels[0]:
            raise ValueError(f"`base` is {base!r}; of two classes it is {labels[0]!r}.")
        return None
    if base is None:
        return 0
    if base not in labels:
        raise ValueError(f"`base` is {base!r}; expected one of {labels}.")
    return labels.index(base)


def _ridge(clf):
    """The penalty's part of the diagonal of the information, (n_features,); None without a penalty."""
    if clf.C == math.inf:
        return None
    n = clf.n_features_in_
    return strengths(penalty_factors(clf, n), getattr(clf, "scale_", None), n)[0] / clf.C


def _params(clf, layout):
    """The parameters for uncentred rows, class after class."""
    W = np.vstack([clf.coef_.T, clf.intercept_[None]]).astype(np.float64)
    less = 0 if layout.base is None else W[:, layout.base]
    return np.concatenate([(W[:, a] - less)[layout.of_output(a) // layout.n_outputs] for a in layout.outputs])


class _CallablePackage(types.ModuleType):
    """Makes this package callable: `logreg_accel.inference(...)` is the function of that name in it."""

    def __call__(self, *arguments, **named):
        return inference(*arguments, **named)


sys.modules[__name__].__class__ = _CallablePackage

# help() and editors show the function's documentation for `logreg_accel.inference`.
__doc__ = inference.__doc__ or ""
__signature__ = inspect.signature(inference)
