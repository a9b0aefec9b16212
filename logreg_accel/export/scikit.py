"""Conversion to and from scikit-learn's LogisticRegression."""

import inspect

import numpy as np
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.utils.validation import check_is_fitted

from .imported import fitted_with


def to_sklearn(model):
    """See `Exports.to_sklearn`."""
    l1_ratio, unpenalised = float(model.l1_ratio), model.C == np.inf
    settings = {
        "tol": max(float(model.tol), 1e-12),
        "max_iter": int(model.max_iter),
        "fit_intercept": bool(model.fit_intercept),
        "class_weight": model.class_weight,
        "solver": "saga" if l1_ratio > 0 and not unpenalised else "lbfgs",
        "C": float(model.C),
        "l1_ratio": l1_ratio,
    }
    if _has_penalty():
        penalty = None if unpenalised else {0.0: "l2", 1.0: "l1"}.get(l1_ratio, "elasticnet")
        settings |= {"penalty": penalty, "l1_ratio": l1_ratio if penalty == "elasticnet" else None}
        settings["C"] = 1.0 if unpenalised else settings["C"]
    out = LogisticRegression(**settings)
    out.coef_, out.intercept_, out.classes_ = (
        model.coef_.copy(),
        model.intercept_.copy(),
        model.classes_.copy(),
    )
    out.n_iter_, out.n_features_in_ = model.n_iter_.copy(), model.n_features_in_
    names = getattr(model, "feature_names_in_", None)
    if names is None and hasattr(model, "encoder_"):
        names = model.encoder_.get_feature_names_out()
    if names is not None:
        out.feature_names_in_ = names.copy()
    return out


def _has_penalty():
    """Whether this is scikit-learn before 1.8, where `penalty` is needed besides C and l1_ratio."""
    penalty = inspect.signature(LogisticRegression).parameters.get("penalty")
    return penalty is not None and penalty.default == "l2"


def from_sklearn(estimator, model):
    """See `Exports.from_sklearn`."""
    if isinstance(model, SGDClassifier):
        if model.loss != "log_loss":
            raise ValueError(
                f"`model` has loss={model.loss!r}; expected an SGDClassifier of loss='log_loss'."
            )
    elif not isinstance(model, LogisticRegression):  # which LogisticRegressionCV is, too
        raise TypeError(
            f"`model` is a {type(model).__name__}; expected scikit-learn's LogisticRegression, "
            "LogisticRegressionCV or SGDClassifier."
        )
    check_is_fitted(model)
    if len(model.classes_) > 2 and _against_the_rest(model):
        raise ValueError(
            "`model` has one margin for each class against the rest, whose probabilities are not a softmax; "
            "fit it with the multinomial loss."
        )
    if len(model.classes_) > 2 and len(model.coef_) == 1 or len(model.classes_) < 2:
        raise ValueError(
            f"`model` has {len(model.classes_)} classes and coefficients for {len(model.coef_)}."
        )
    coef, intercept = np.array(model.coef_), np.array(model.intercept_, dtype=np.float64)
    if (
        len(model.classes_) == 2 and len(coef) == 2
    ):  # a softmax of two classes is a logistic function of their difference
        coef, intercept = coef[1:] - coef[:1], intercept[1:] - intercept[:1]
    names = getattr(model, "feature_names_in_", None)
    parameters = {"fit_intercept": bool(model.fit_intercept), "class_weight": model.class_weight}
    if getattr(model, "penalty", "l2") is None:
        parameters["C"] = np.inf
    elif hasattr(model, "C"):
        parameters["C"] = float(model.C)
    n_iter = np.max(getattr(model, "n_iter_", 1))
    return fitted_with(estimator, parameters, model.classes_.copy(), coef, intercept, names, n_iter)


def _against_the_rest(model):
    if isinstance(model, SGDClassifier):
        return True
    return getattr(model, "multi_class", "auto") == "ovr" or model.solver == "liblinear"
