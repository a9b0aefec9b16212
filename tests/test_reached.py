"""Fits of hostile columns end where coefficients of their dtype can be, not where a solver was stopped."""

import numpy as np
import pytest

from logreg_accel import LogisticRegression
from logreg_accel.coordinates import Coordinates
from logreg_accel.objective import Objective
from logreg_accel.rounding import one_by_one
from logreg_accel.solvers import by_signs
from logreg_accel.solvers.questions import Evaluate


def powers(m):
    """Powers of an age in float32: weights whose errors add up to more than what is left to gain."""
    rng = np.random.default_rng(0)
    age = 20 + 0.1 * rng.standard_normal(m)
    X = np.column_stack([age**power for power in range(1, 8)]).astype(np.float32)
    return X, age + 0.1 * rng.standard_normal(m)


@pytest.mark.parametrize("solver", ["newton-cholesky", "newton-cg", "lbfgs"])
@pytest.mark.parametrize("C", [np.inf, 1e6])
def test_weights_of_nearly_collinear_columns_are_rounded_together(solver, C):
    """Where each was rounded at every step, fits stopped at 1e-5."""
    X, told = powers(300)
    clf = LogisticRegression(C=C, solver=solver, backend="numpy").fit(X, told > 20)
    assert clf.coef_.dtype == np.float32 and clf.suboptimality_bound_ <= 1e-6


def test_what_all_classes_have_in_common_is_not_rounded():
    """Without a penalty, a common shift of the weights may be far larger than their differences."""
    X, told = powers(400)
    X[:, 3] = 1.7e9 + np.arange(400)
    codes = np.digitize(told, [19.9, 20, 20.1])
    clf = LogisticRegression(C=np.inf, solver="newton-subsampled", backend="numpy").fit(X, codes)
    assert clf.suboptimality_bound_ <= 1e-6


@pytest.mark.parametrize("tol", [1e-4, 1e-8])
@pytest.mark.parametrize("case", ["powers", "a common factor"])
def test_steps_under_l1_do_not_creep(case, tol):
    """Models lose the curvature along nearly collinear columns, and fits took more than a thousand steps."""
    X, told = powers(300)
    X, C = X.astype(np.float64), 1.0
    if case == "a common factor":
        rng = np.random.default_rng(0)
        common = 1e5 * (1 + 0.01 * rng.standard_normal((300, 1)))
        X, C = common * rng.uniform(0.5, 2, 4) + 1e-2 * rng.standard_normal((300, 4)), 1e4
    y = told > 20 if case == "powers" else X[:, 0] - X[:, 1] * (X[:, 0].mean() / X[:, 1].mean()) > 0
    intercept = case == "powers"
    clf = LogisticRegression(
        C=C, l1_ratio=0.9, solver="prox-newton", tol=tol, fit_intercept=intercept, backend="numpy"
    )
    clf.fit(X, y)
    assert clf.status_ == "converged" and clf.n_iter_[0] <= 60


def test_a_step_of_signs_ends_where_it_has_to():
    """It ends where a weight becomes exactly zero, beyond which it would gain less."""
    X, told = powers(50)
    objective = Objective.from_arrays(X[:, :2].astype(np.float64) - 20, told > 20, C=1e3, fit_intercept=False)
    l1, here = np.array([0.0, 1e6]), objective.answer(Evaluate(np.array([1.0, 1e-3])))
    questions, answer = by_signs.step(here, l1), None
    with pytest.raises(StopIteration) as end:
        while True:
            answer = objective.answer(questions.send(answer))
    step, decrement = end.value.value
    assert here.w[1] + step[1] == 0 and decrement > 0


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
