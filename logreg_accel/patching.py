"""scikit-learn's LogisticRegression, fitted by this package: for scripts that cannot be changed.

What is exchanged is the method `fit` of scikit-learn's class, so that every module that has imported it sees the change,
isinstance holds, and what is pickled is scikit-learn's. Fits that would mean something else stay scikit-learn's.
"""

import functools
import inspect
import logging
import math
import warnings

import numpy as np
import sklearn.linear_model

from . import callbacks
from .estimator import LogisticRegression

_LOG = logging.getLogger("logreg_accel")
_SMOOTH = {"lbfgs", "newton-cg", "newton-cholesky", "sag", "saga"}
_TIGHTEST = 1e-14


def patch_sklearn():
    """Let `sklearn.linear_model.LogisticRegression.fit` be done by `logreg_accel.LogisticRegression`.

    All of its arguments are taken, deprecated ones too, and checked by scikit-learn. The same objective is minimised, until the
    largest entry of its gradient is at most `tol`, scikit-learn's own rule, and the estimated relative suboptimality is at most
    1e-8. These stay scikit-learn's, and are logged with the reason under the name "logreg_accel":
    solver="liblinear" with an intercept (it penalises it) or dual=True; multi_class="ovr" and whatever else older
    versions know; arrays of other libraries under `array_api_dispatch`; fits that callbacks are set for.
    `LogisticRegressionCV` is left alone.

    See Also
    --------
    unpatch_sklearn : undoes it.
    """
    peer = sklearn.linear_model.LogisticRegression
    if not hasattr(peer.fit, "original"):
        peer.fit = _fit_in_place_of(peer.fit)


def unpatch_sklearn():
    """Undo `patch_sklearn`."""
    peer = sklearn.linear_model.LogisticRegression
    peer.fit = getattr(peer.fit, "original", peer.fit)


def _fit_in_place_of(original):
    @functools.wraps(original)
    def fit(self, X, y, sample_weight=None):
        reason = _why_not(self, X)
        if reason is None:
            if not sklearn.get_config()["skip_parameter_validation"]:
                self._validate_params()
            try:
                model = _fitted(self, X, y, sample_weight)
            except (ValueError, TypeError) as error:  # in scikit-learn's own words, where it minds too
                reason = str(error)
        if reason:
            _LOG.info("%s: fitted by scikit-learn, %s", type(self).__name__, reason)
            return original(self, X, y, sample_weight)
        _tell_deprecated(self)
        _LOG.info("%s: fitted by logreg_accel, backend %s, solver %s, %s", type(self).__name__, model.backend_, model.solver_,
                  model.status_)
        for name in ("coef_", "intercept_", "classes_", "n_iter_", "n_features_in_", "feature_names_in_"):
            vars(self).pop(name, None)
            if hasattr(model, name):
                setattr(self, name, getattr(model, name))
        return self

    fit.original = original
    return fit


def _why_not(model, X):
    """Why a fit means something else here, or None."""
    penalty = getattr(model, "penalty", "deprecated")
    if model.dual:
        return "dual=True"
    if getattr(model, "multi_class", "auto") not in ("auto", "deprecated", "multinomial"):
        return f"multi_class={model.multi_class!r}"
    if model.solver == "liblinear" and model.fit_intercept:
        return "solver='liblinear' penalises the intercept"
    if model.solver not in _SMOOTH | {"liblinear"}:
        return f"solver={model.solver!r}"
    if penalty not in ("deprecated", "l1", "l2", "elasticnet", None):
        return f"penalty={penalty!r}"
    share = _l1_ratio(model)
    if share is None or (model.solver != "saga" and not (share == 0 or (share == 1 and model.solver == "liblinear"))):
        return "scikit-learn knows what is wrong with this penalty and solver"
    if callbacks.are_set(model):
        return "callbacks are set"
    if sklearn.get_config().get("array_api_dispatch") and not isinstance(X, np.ndarray) and hasattr(X, "__dlpack__"):
        return "array_api_dispatch is on"
    return None


def _l1_ratio(model):
    """What the penalty, l1_ratio and their deprecated spellings come to."""
    penalty = getattr(model, "penalty", "deprecated")
    if penalty in ("l2", None):
        return 0.0
    return 1.0 if penalty == "l1" else (None if penalty == "elasticnet" else 0.0) if model.l1_ratio is None else model.l1_ratio


def _tell_deprecated(model):
    """scikit-learn's warnings about arguments that will go, where its version has them."""
    if _default("penalty") != "deprecated":
        return
    if getattr(model, "penalty", "deprecated") != "deprecated":
        warnings.warn("'penalty' is deprecated since scikit-learn 1.8: use l1_ratio, and C=np.inf for no penalty.",
                      FutureWarning, stacklevel=3)
    if model.l1_ratio is None and getattr(model, "penalty", "deprecated") == "deprecated":
        warnings.warn("'l1_ratio=None' is deprecated since scikit-learn 1.8: use a number from 0 to 1.",
                      FutureWarning, stacklevel=3)
    if model.n_jobs is not None:
        warnings.warn("'n_jobs' has no effect.", FutureWarning, stacklevel=3)


def _default(argument):
    parameters = inspect.signature(sklearn.linear_model.LogisticRegression).parameters
    return parameters[argument].default if argument in parameters else None


def _fitted(model, X, y, sample_weight):
    unpenalised = getattr(model, "penalty", "deprecated") is None
    tol = min(1e-8, model.tol)
    ours = LogisticRegression(
        C=math.inf if unpenalised else model.C, l1_ratio=_l1_ratio(model), tol=tol, fit_intercept=model.fit_intercept,
        class_weight=model.class_weight, max_iter=max(model.max_iter, 1), warm_start=model.warm_start,
        random_state=0 if model.random_state is None else model.random_state,
    )
    if model.warm_start and hasattr(model, "coef_"):
        ours.coef_, ours.intercept_ = np.asarray(model.coef_), np.asarray(model.intercept_)
    ours.fit(X, y, sample_weight=sample_weight)
    while ours.l1_ratio == 0 and ours.status_ == "converged" and _last_norm(ours) > model.tol and ours.tol > _TIGHTEST:
        ours.set_params(tol=max(ours.tol * min((model.tol / _last_norm(ours)) ** 2, 0.1), _TIGHTEST), warm_start=True)
        ours.fit(X, y, sample_weight=sample_weight)
    if ours.coef_.dtype == np.float32 and getattr(X, "dtype", None) != np.float32:
        ours.coef_, ours.intercept_ = ours.coef_.astype(np.float64), ours.intercept_.astype(np.float64)
    return ours


def _last_norm(model):
    """‖∇F‖₂ at the last accepted point: no less than the largest entry, which scikit-learn judges by."""
    return next(record.gradient_norm for record in reversed(model.history_) if not math.isnan(record.suboptimality))
