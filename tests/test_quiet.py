"""No warning of NumPy leaves a fit, whatever it starts from."""

import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from logreg_accel import LogisticRegression


def fitted_from(start, X, y, **parameters):
    """A fit from coefficients of that size, in which a RuntimeWarning is an error."""
    k = len(np.unique(y))
    model = LogisticRegression(warm_start=True, backend="numpy", **parameters)
    signs = np.random.default_rng(0).choice([-1, 1], (1 if k == 2 else k, X.shape[1]))
    model.coef_, model.intercept_, model.classes_ = start * signs, np.full(len(signs), -start), np.arange(k)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(X, y)


@pytest.mark.parametrize("solver", ["auto", "lbfgs", "newton-cg", "newton-subsampled", "gd"])
def test_a_start_at_which_gradients_vanish_divides_by_no_zero(solver):
    """Changes of the gradient by lbfgs had squares of zero."""
    X = np.zeros((6, 8))
    X[[0, 1, 2, 4, 4, 5, 5, 5], [6, 2, 2, 4, 7, 3, 5, 6]] = [-0.8, 0.2, 0.2, 0.03, -0.8, 0.06, -1.1, -1.0]
    y = np.array([2, 1, 1, 0, 2, 0])
    model = fitted_from(1e3, X, y, solver=solver, C=np.inf)
    assert np.isfinite(model.coef_).all() and model.suboptimality_ <= model.suboptimality_bound_ <= 1


@pytest.mark.parametrize("solver", ["auto", "prox-newton", "working-set", "fista"])
def test_a_start_beyond_any_margin_casts_quietly(solver):
    """Beside columns far from zero, its intercept overflows when it is moved with them."""
    rng = np.random.default_rng(1)
    X = (rng.standard_normal((15, 3)) - [3e8, 3e8, 7e3]).astype(np.float32)
    model = fitted_from(1e300, X, np.arange(15) % 2, solver=solver, C=1e-12, l1_ratio=0.5)
    assert np.isfinite(model.coef_).all() and 0 <= model.suboptimality_ <= model.suboptimality_bound_ <= 1
