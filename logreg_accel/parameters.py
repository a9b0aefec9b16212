"""The check of the parameters that every estimator shares."""

import numbers

import numpy as np

from .penalty import check_number, check_strength


def check_parameters(model):
    """Raise ValueError for a parameter of the estimator that cannot be used."""
    check_strength(model.C, model.l1_ratio)
    check_number("tol", model.tol, "a number of at least 0", lambda v: 0 <= v < np.inf)
    check_number("max_iter", model.max_iter, "an integer of at least 1", lambda v: v >= 1, numbers.Integral)
    for name in ("max_passes", "max_seconds"):
        if getattr(model, name) is not None:
            check_number(name, getattr(model, name), "a positive number or None", lambda v: v > 0)
    if model.n_threads is not None:
        expected = "an integer of at least 1, or None"
        check_number("n_threads", model.n_threads, expected, lambda v: v >= 1, numbers.Integral)
    seed = model.random_state
    if not (seed is None or seed is np.random or isinstance(seed, np.random.RandomState)):
        expected = "an integer of at least 0, a RandomState or None"
        check_number("random_state", seed, expected, lambda v: v >= 0, numbers.Integral)
    if not isinstance(model.verbose, bool | np.bool_):
        check_number("verbose", model.verbose, "an integer of at least 0", lambda v: v >= 0, numbers.Integral)
    for name in ("fit_intercept", "standardize", "warm_start"):
        if not isinstance(getattr(model, name), bool | np.bool_):
            raise ValueError(f"`{name}` is {getattr(model, name)!r}; expected True or False.")
    if not (model.callback is None or callable(model.callback)):
        raise ValueError(f"`callback` is {model.callback!r}; expected a callable (record, w) or None.")
