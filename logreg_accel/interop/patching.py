"""A patch that fits scikit-learn's LogisticRegression by this package, for scripts that cannot be changed.

The patch replaces the method `fit` of scikit-learn's class. Every module that has imported the class thus
sees the change, isinstance still holds, and pickles contain only scikit-learn's class. Fits that would have a
different meaning here are left to scikit-learn.
"""

import functools
import logging
import math

import numpy as np
import sklearn.linear_model

from .. import advice, driver
from ..data.convert import is_narrow
from ..estimator import LogisticRegression
from . import crossvalidated, hooks, messages
from .replacing import in_place_of

_LOG = logging.getLogger("logreg_accel")
_SMOOTH = {"lbfgs", "newton-cg", "newton-cholesky", "sag", "saga"}
_SHARES = {"l2": 0.0, "l1": 1.0, None: 0.0}
_NARROW = {"liblinear", "sag", "saga"}
"""Solvers that accept only 32-bit indices."""

_TIGHTEST = 1e-14
_ATTRIBUTES = ("coef_", "intercept_", "classes_", "n_iter_", "n_features_in_", "feature_names_in_")


class _Fit(LogisticRegression):
    """This package's estimator, with scikit-learn's warning if `max_iter` ended a fit."""

    asked = "lbfgs"  # the solver that scikit-learn would have used
    gradient_asked = 0.0  # scikit-learn's `tol`

    def _finish(self, fitted):
        solution, ended = fitted.solution, fitted.solution.gradient_norm <= self.gradient_asked
        if solution.status != driver.INTERRUPTED and not self.l1_ratio and ended:
            if solution.status == driver.SEPARABLE:
                grow = advice.words_of_separating(self, [solution])
                _LOG.info(
                    "LogisticRegression: separable classes and no penalty, the weights of %s grow", grow
                )
            return  # scikit-learn would have ended there, too
        if solution.status != driver.MAX_ITER:
            super()._finish(fitted)
            return
        messages.tell_unfinished(self.asked, solution, stacklevel=5 + hooks.FRAMES)


def patch_sklearn(backend: str = "auto") -> None:
    """Make `sklearn.linear_model.LogisticRegression.fit` use `logreg_accel.LogisticRegression`.

    All arguments of scikit-learn's class are accepted, including deprecated ones, and scikit-learn validates
    them. The same objective is minimised until the estimated relative suboptimality is at most 1e-8 and,
    without an L1 penalty, the largest entry of the gradient is at most `tol`, which is scikit-learn's own
    criterion. `max_iter` or rounding may end a fit earlier; warnings then begin with the words of
    scikit-learn's solver. Where scikit-learn's criterion is met there is no warning, as from scikit-learn,
    even if the classes are separable and nothing is penalised, so that the loss has no minimum; the log names
    the columns whose weights grow.

    The following fits are left to scikit-learn, with the reason logged under the name "logreg_accel":
    solver="liblinear" with an intercept, which liblinear penalises, or with dual=True; `multi_class` of older
    versions; arguments that contradict each other; max_iter=0; sparse X with 64-bit indices where
    scikit-learn's solver refuses those; arrays of other libraries under `array_api_dispatch`; fits with
    callbacks; and everything that this package refuses. Worker processes started by joblib import
    scikit-learn anew, without the patch.

    `LogisticRegressionCV` is patched, too, where `use_legacy_attributes=False`, `l1_ratios` and `scoring` are
    set and no metadata are routed; its models share their reads.

    Parameters
    ----------
    backend : "auto", "numpy", "numba" or "cupy"
        As for `logreg_accel.LogisticRegression`; if the backend cannot run, all fits are left to
        scikit-learn.

    See Also
    --------
    unpatch_sklearn : undoes the patch.
    """
    peer = sklearn.linear_model.LogisticRegression
    if getattr(peer.fit, "backend", None) == backend:
        return
    unpatch_sklearn()  # in case it was patched with another backend
    fitted = functools.partial(_fitted, backend=backend)
    told = functools.partial(messages.tell_deprecated, shares=_SHARES, stacklevel=2)
    peer.fit = in_place_of(peer.fit, _LOG, _why_not, fitted, _ATTRIBUTES, told)
    peer.fit.backend = backend
    crossvalidated.patch(_LOG, backend)


def unpatch_sklearn() -> None:
    """Undo `patch_sklearn`."""
    peer = sklearn.linear_model.LogisticRegression
    peer.fit = getattr(peer.fit, "original", peer.fit)
    crossvalidated.unpatch()


def _why_not(model, X, y, params):
    """Return why a fit would have a different meaning here, or None."""
    penalty = getattr(model, "penalty", "deprecated")
    if model.dual:
        return "dual=True"
    if getattr(model, "multi_class", "auto") not in ("auto", "deprecated"):
        return f"multi_class={model.multi_class!r}"
    if model.solver == "liblinear" and model.fit_intercept:
        return "solver='liblinear' penalises the intercept"
    if model.solver == "liblinear" and (
        penalty is None or model.C == math.inf or len(np.unique(np.asarray(y))) != 2
    ):
        return "solver='liblinear' needs a penalty and two classes"
    if model.max_iter == 0:
        return "max_iter=0 takes no step"
    if model.solver in _NARROW and _has_wide_indices(X):
        return f"solver={model.solver!r} refuses 64-bit indices"
    if model.solver not in _SMOOTH | {"liblinear"}:
        return f"solver={model.solver!r}"
    if penalty not in _SHARES and penalty not in ("deprecated", "elasticnet"):
        return f"penalty={penalty!r}"
    if _contradicts(model, penalty):
        return f"penalty={penalty!r} with l1_ratio={model.l1_ratio!r} and C={model.C!r}"
    share = _l1_ratio(model)
    if share is None or (penalty == "elasticnet" or share) and model.solver not in ("saga", "liblinear"):
        return f"solver={model.solver!r} with this penalty"
    if model.solver == "liblinear" and (share not in (0, 1) or penalty == "elasticnet"):
        return "solver='liblinear' with an elastic net"
    if hooks.callbacks_are_set(model):
        return "callbacks are set"
    if hooks.array_api_dispatches(X):
        return "array_api_dispatch is on"
    return None


def _contradicts(model, penalty):
    """Check whether scikit-learn would warn that an argument is ignored."""
    if penalty is None:
        return model.C != 1.0
    return penalty in ("l1", "l2") and model.l1_ratio not in (
        None,
        _SHARES[penalty],
        messages.default("l1_ratio"),
    )


def _l1_ratio(model):
    """Return the l1_ratio that `penalty` and `l1_ratio` stand for; None if they do not define one."""
    penalty = getattr(model, "penalty", "deprecated")
    if penalty in _SHARES:
        return _SHARES[penalty]
    return 0.0 if penalty == "deprecated" and model.l1_ratio is None else model.l1_ratio


def _has_wide_indices(X):
    indices = [getattr(X, name, None) for name in ("indices", "indptr", "row", "col")]
    return any(getattr(found, "dtype", None) == np.int64 for found in indices)


def _fitted(model, X, y, sample_weight, backend):
    unpenalised = getattr(model, "penalty", "deprecated") is None
    tol = min(1e-8, model.tol)
    ours = _Fit(
        C=math.inf if unpenalised else model.C,
        l1_ratio=_l1_ratio(model),
        tol=tol,
        fit_intercept=model.fit_intercept,
        class_weight=model.class_weight,
        max_iter=model.max_iter,
        warm_start=model.warm_start,
        random_state=0 if model.random_state is None else model.random_state,
        backend=backend,
    )
    ours.asked, ours.gradient_asked = model.solver, model.tol
    if model.warm_start and hasattr(model, "coef_"):
        ours.coef_, ours.intercept_ = np.asarray(model.coef_), np.asarray(model.intercept_)
    steps = 0
    while True:
        ours.fit(X, y, sample_weight=sample_weight)
        steps += int(ours.n_iter_[0])
        norm = _last_norm(ours)
        if (
            ours.l1_ratio
            or ours.status_ != "converged"
            or norm <= model.tol
            or ours.tol <= _TIGHTEST
            or steps >= model.max_iter
        ):
            break
        tol = max(ours.tol * min((model.tol / norm) ** 2, 0.1), _TIGHTEST)
        ours.set_params(tol=tol, warm_start=True, max_iter=model.max_iter - steps)
    ours.n_iter_ = np.array([steps], dtype=np.int32)
    if ours.coef_.dtype == np.float32 and (is_narrow(X) or model.solver == "liblinear"):
        ours.coef_, ours.intercept_ = ours.coef_.astype(np.float64), ours.intercept_.astype(np.float64)
    return ours


def _last_norm(model):
    """Return ‖∇F‖₂ at the last accepted point, a bound on the largest entry that scikit-learn checks."""
    return next(
        record.gradient_norm for record in reversed(model.history_) if not math.isnan(record.suboptimality)
    )
