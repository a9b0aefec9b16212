"""Fits of hostile columns end where coefficients of their dtype can be, not where a solver was stopped."""

import numpy as np
import pytest

from logreg_accel import LogisticRegression
from logreg_accel.coordinates import Coordinates
from logreg_accel.rounding import one_by_one


def powers(m):
    """Powers of an age in float32: weights whose errors add up to more than what is left to gain."""
    rng = np.random.default_rng(0)
    age = 20 + 0.1 * rng.standard_normal(m)
    X = np.column_stack([age**power for power in range(1, 8)]).astype(np.float32)
    return X, age + 0.1 * rng.standard_normal(m)


@pytest.mark.parametrize("solver", ["newton-cholesky", "newton-cg", "lbfgs"])
@pytest.mark.parametrize("C", [np.inf, 1e6])
def test_weights_of_nearly_collinear_columns_are_rounded_together(solver, C):
    """Rounded one by one at each step, they stopped at 1e-5."""
    X, told = powers(300)
    clf = LogisticRegression(C=C, solver=solver, backend="numpy").fit(X, told > 20)
    assert clf.coef_.dtype == np.float32 and clf.suboptimality_bound_ <= 1e-6


def test_what_all_classes_have_in_common_is_not_rounded():
    """Without a penalty it may be far larger than what differs between them."""
    X, told = powers(400)
    X[:, 3] = 1.7e9 + np.arange(400)
    codes = np.digitize(told, [19.9, 20, 20.1])
    clf = LogisticRegression(C=np.inf, solver="newton-subsampled", backend="numpy").fit(X, codes)
    assert clf.suboptimality_bound_ <= 1e-6


def test_rounding_one_by_one_is_nearer_than_rounding_each():
    rng = np.random.default_rng(1)
    A = rng.standard_normal((50, 1)) + 1e-3 * rng.standard_normal((50, 6))
    H, w, at = A.T @ A, rng.standard_normal(6), Coordinates(6, 1, False, np.dtype(np.float32))

    def off(x):
        return (x - w) @ H @ (x - w)

    near = one_by_one(at, w, H)
    assert (near == at.rounded(near)).all() and off(near) < 1e-2 * off(at.rounded(w))
    assert abs(near - w).max() < 1e-3  # the step of the flattest direction, not of float32


def test_weights_that_are_zero_stay_so():
    w = np.array([0.1, 0, 0.3])
    near = one_by_one(Coordinates(3, 1, False, np.dtype(np.float32)), w, np.ones((3, 3)))
    assert near[1] == 0 and near[0] != 0
