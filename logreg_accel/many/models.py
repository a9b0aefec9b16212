"""Checks of the parameters of many models, and the fitted models that result."""

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from .. import advice, driver
from ..data.labels import values_of
from ..estimator import LogisticRegression
from ..interop.hooks import FRAMES
from ..parameters import check_parameters
from ..penalty import check_strength
from .solve import solve_table


def template_of(parameters, strengths):
    """A LogisticRegression with the parameters that all models of a table have, checked.

    Raises
    ------
    TypeError
        A parameter that LogisticRegression does not have.
    ValueError
        A parameter that cannot be used.
    """
    template = LogisticRegression(**parameters)
    if not strengths:
        raise ValueError("`Cs` is empty; expected at least one positive number.")
    for strength in strengths:
        check_strength(strength, template.l1_ratio)
    check_parameters(template)
    return template


def with_columns_of(model, other):
    """A model with the column names of another, and nothing else."""
    for name in ("n_features_in_", "feature_names_in_", "encoder_"):
        vars(model).pop(name, None)
        if hasattr(other, name):
            setattr(model, name, getattr(other, name))
    return model


def strengths_of(Cs):
    """The values of `Cs`: a number of values from 1e-4 to 1e4, or the given ones.

    Raises
    ------
    ValueError
        It is neither an integer of at least 1 nor a sequence of positive numbers.
    """
    if isinstance(Cs, int | np.integer) and not isinstance(Cs, bool):
        if Cs < 1:
            raise ValueError(f"`Cs` is {Cs!r}; expected an integer of at least 1, or positive numbers.")
        return np.logspace(-4, 4, int(Cs)).tolist()
    try:
        strengths = np.asarray(Cs, dtype=np.float64)
    except (TypeError, ValueError):
        strengths = np.empty(0)
    if strengths.ndim != 1 or not len(strengths) or not (strengths > 0).all():
        raise ValueError(f"`Cs` is {Cs!r}; expected an integer of at least 1, or positive numbers.")
    return strengths.tolist()


def shares_of(l1_ratios):
    """The numbers in `l1_ratios`. Raises ValueError if they are not numbers from 0 to 1."""
    try:
        shares = [float(share) for share in l1_ratios]
    except (TypeError, ValueError):
        shares = []
    if not shares or not all(0 <= share <= 1 for share in shares):
        raise ValueError(f"`l1_ratios` must be an array-like of numbers between 0 and 1; got {l1_ratios!r}.")
    return shares


def fitted_models(template, shared, specs, callback=None):
    """A fitted LogisticRegression for every row of a table, and the reads that all of them took."""
    outcome = solve_table(template, shared, specs, callback)
    models = [
        fitted_model(template, shared, spec, fitted)
        for spec, fitted in zip(specs, outcome.fitted, strict=True)
    ]
    warn_of(template, outcome.fitted, len(shared.classes), stacklevel=3)
    return models, outcome.n_passes


def fitted_model(template, shared, spec, fitted):
    """A LogisticRegression as if it had been fitted alone."""
    factors = spec.model.class_weight
    weights = None if factors is None else dict(zip(values_of(shared.classes), factors, strict=True))
    parameters = {**template.get_params(), "C": spec.C, "l1_ratio": spec.l1_ratio}
    model = LogisticRegression(**{**parameters, "class_weight": weights, "callback": None})
    with_columns_of(model, template)
    labelled = shared.alone(spec)
    model._keep(fitted, labelled)
    model._state, model._weight_fitted = None, labelled.total_weight
    model._rows_fitted, model.class_shares_ = shared.X.shape[0], labelled.class_shares
    return model


def done(status, suboptimality, tol):
    """Whether models were finished, or were close enough when a budget ended; arrays of one shape."""
    near = suboptimality <= max(tol, driver.HIGH_FLOOR)
    return near | np.isin(status.astype(str), list(driver.SATISFIED))


def warn_of(template, fitted, n_classes, stacklevel):
    """A ConvergenceWarning for all models that ended above `tol`, another for those of separable classes."""
    floor = max(template.tol, driver.HIGH_FLOOR)
    above = [
        one.solution
        for one in fitted
        if one.solution.status not in driver.SATISFIED
        or (one.solution.status == "noise floor" and not one.solution.bound <= floor)
    ]
    separable = [solution for solution in above if solution.status == driver.SEPARABLE]
    if separable:
        advice.warn_separable(template, separable, len(fitted), n_classes, stacklevel + 1 + FRAMES)
    above = [solution for solution in above if solution.status != driver.SEPARABLE]
    if above:
        statuses = ", ".join(sorted({solution.status for solution in above}))
        worst = max(solution.suboptimality for solution in above)
        warnings.warn(
            f"{len(above)} of {len(fitted)} models stopped ({statuses}) above `tol`={template.tol:g}, at an "
            f"estimated relative suboptimality of up to {worst:.2g}. Raise `max_iter`, `max_passes` or "
            "`max_seconds`, scale the columns, or leave out weak penalties.",
            ConvergenceWarning,
            stacklevel=stacklevel + 1 + FRAMES,
        )


def check_choice(use_legacy_attributes, refit):
    """Raise ValueError for parameters of LogisticRegressionCV that it does not share with a single fit."""
    if use_legacy_attributes is not False:
        raise ValueError(
            f"`use_legacy_attributes` is {use_legacy_attributes!r}; expected False: "
            "only scikit-learn's new attributes exist here."
        )
    if not (isinstance(refit, bool | np.bool_) or refit == "1se"):
        raise ValueError(f"`refit` is {refit!r}; expected True, False or '1se'.")
