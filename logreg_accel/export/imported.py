"""A fitted model made of coefficients that came from elsewhere."""

import math

import numpy as np

from ..backends import Choice

IMPORTED = "imported"


def fitted_with(estimator, parameters, classes, coef, intercept, names, n_iter=1):
    """An estimator with the attributes of a fit, from coefficients alone.

    Raises
    ------
    ValueError
        Weights that are not finite, or whose shape does not match classes and features.
    """
    model = estimator(**parameters)
    k = 1 if len(classes) == 2 else len(classes)
    coef, intercept = np.atleast_2d(coef), np.atleast_1d(np.asarray(intercept, dtype=np.float64))
    if intercept.shape == (1,):
        intercept = np.repeat(intercept, k)
    if coef.shape[0] != k or intercept.shape != (k,) or coef.ndim != 2 or coef.shape[1] < 1:
        raise ValueError(
            f"`coef` has shape {coef.shape} and `intercept` {intercept.shape}; expected ({k}, n_features) "
            f"and ({k},) for {len(classes)} classes."
        )
    if not (np.isfinite(coef).all() and np.isfinite(intercept).all()):
        raise ValueError("`coef` or `intercept` has numbers that are not finite.")
    if names is not None and len(names) != coef.shape[1]:
        raise ValueError(f"There are {len(names)} names for {coef.shape[1]} features.")
    model.classes_, model.coef_, model.intercept_ = classes, coef, intercept
    model.n_features_in_ = coef.shape[1]
    if names is not None:
        model.feature_names_in_ = np.array(names, dtype=object)
    model.n_iter_ = np.array([max(int(n_iter), 1)], dtype=np.int32)
    model.backend_ = model.solver_ = Choice(IMPORTED, "the coefficients came from elsewhere")
    model.n_passes_, model.suboptimality_, model.suboptimality_bound_ = 0.0, math.nan, 1.0
    model.status_, model.history_ = IMPORTED, []
    return model
