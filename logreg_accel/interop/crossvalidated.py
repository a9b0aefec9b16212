"""scikit-learn's LogisticRegressionCV, fitted by that of this package if both mean the same."""

import functools

import numpy as np
import sklearn.linear_model
from sklearn.utils.class_weight import compute_class_weight

from ..data.labels import values_of
from ..many.cv import LogisticRegressionCV
from . import hooks
from .replacing import in_place_of

_TOL = 1e-14  # scikit-learn's is about a gradient, which can be small far from the optimum and large near it

_ATTRIBUTES = (
    *("C_", "l1_ratio_", "Cs_", "l1_ratios_", "scores_", "coefs_paths_", "n_iter_"),
    *("coef_", "intercept_", "classes_", "n_features_in_", "feature_names_in_"),
)
_SMOOTH = {"lbfgs", "newton-cg", "newton-cholesky", "sag", "saga"}


def patch(log, backend):
    """Replace the method `fit` of scikit-learn's class; `log` records which package makes each fit."""
    peer = sklearn.linear_model.LogisticRegressionCV
    if not hasattr(peer.fit, "original"):
        fitted = functools.partial(_fitted, backend=backend)
        peer.fit = in_place_of(peer.fit, log, _why_not, fitted, _ATTRIBUTES, _finish)


def unpatch():
    """Undo `patch`."""
    peer = sklearn.linear_model.LogisticRegressionCV
    peer.fit = getattr(peer.fit, "original", peer.fit)


def _finish(model):
    model.coef_, model.l1_ratios_ = model.coef_.astype(np.float64), np.asarray(model.l1_ratios)


def _why_not(model, X, y, params):
    """Return why a fit would have a different meaning here, or None."""
    if getattr(model, "use_legacy_attributes", True) is not False:
        return "legacy attributes are scikit-learn's"
    if getattr(model, "penalty", "deprecated") != "deprecated":
        return f"penalty={model.penalty!r}"
    if model.l1_ratios is None or "warn" in (str(model.l1_ratios), str(model.scoring)):
        return "l1_ratios or scoring are left to defaults that will change"
    if model.dual or model.solver not in _SMOOTH | {"liblinear"}:
        return f"solver={model.solver!r}, dual={model.dual!r}"
    if model.solver == "liblinear":
        reason = _why_not_liblinear(model, y)
        if reason is not None:
            return reason
    elif model.solver != "saga" and np.any(np.asarray(model.l1_ratios) != 0):
        return f"solver={model.solver!r} with this penalty"
    if params or hooks.routes_metadata():
        return "metadata are routed"
    if hooks.callbacks_are_set(model):
        return "callbacks are set"
    if hooks.array_api_dispatches(X):
        return "array_api_dispatch is on"
    return None


def _why_not_liblinear(model, y):
    if model.fit_intercept:
        return "solver='liblinear' penalises the intercept"
    if len(np.unique(np.asarray(y))) != 2:
        return "solver='liblinear' needs two classes"
    if np.ndim(model.Cs) and np.isinf(model.Cs).any():
        return "solver='liblinear' needs a penalty"
    if not np.isin(model.l1_ratios, (0, 1)).all() or len(np.unique(model.l1_ratios)) != 1:
        return "solver='liblinear' with an elastic net"
    return None


def _fitted(model, X, y, sample_weight, backend):
    class_weight = model.class_weight
    if isinstance(class_weight, str):  # scikit-learn balances by all rows, not by those of each split
        classes, s = np.unique(y), {} if sample_weight is None else {"sample_weight": sample_weight}
        weights = compute_class_weight(class_weight, classes=classes, y=y, **s)
        class_weight = dict(zip(values_of(classes), weights.tolist(), strict=True))
    return LogisticRegressionCV(
        Cs=model.Cs,
        l1_ratios=model.l1_ratios,
        cv=model.cv,
        scoring=model.scoring,
        refit=bool(model.refit),
        tol=min(_TOL, model.tol),
        fit_intercept=bool(model.fit_intercept),
        class_weight=class_weight,
        max_iter=max(model.max_iter, 1),
        random_state=0 if model.random_state is None else model.random_state,
        backend=backend,
    ).fit(X, y, sample_weight)
