"""What is called separable is so by the signs of all rows, however little some would lose."""

import itertools
import warnings

import numpy as np
import pytest
from family.judge import Truth, judge
from family.problems import Problem, problem
from sklearn.exceptions import ConvergenceWarning

from conftest import CPU_BACKENDS
from logreg_accel import LogisticRegression

PARAMETERS = {"C": np.inf, "l1_ratio": 0.0, "fit_intercept": True, "class_weight": None}
SOLVERS = ("auto", "newton-cg", "newton-subsampled", "lbfgs")


def nearly_separated(seed, share, dtype):
    """A column that three rows of one class have, but for a share of noise, which ends the fall of F."""
    rng = np.random.default_rng(seed)
    X = np.c_[rng.standard_normal((60, 2)), np.zeros(60)]
    y = (rng.random(60) < 1 / (1 + np.exp(-X[:, 0]))).astype(int)
    X[np.flatnonzero(y == 1)[:3], 2] = 1 + rng.random(3)
    X[:, 2] += share * rng.standard_normal(60)
    return X.astype(dtype), y


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("share", [1e-5, 1e-7, 1e-8])
def test_rows_that_lose_next_to_nothing_are_not_separated(dtype, share):
    """A programme that may violate signs by 1e-7, and a step by 1e-4, were taken for a proof: coefficients
    were then at a distance of 1."""
    for seed in range(3):
        X, y = nearly_separated(seed, share, dtype)
        given = Problem(seed, "nearly separated", X, y, None, PARAMETERS, [])
        truth = Truth(given)
        for solver in SOLVERS:
            found = judge(given, truth, {"solver": solver, "tol": 1e-8, "backend": "numpy"})
            assert found.status != "separable" and not found.faults, (solver, found)


@pytest.mark.parametrize("name", CPU_BACKENDS)
@pytest.mark.parametrize("solver", SOLVERS)
def test_the_same_rows_without_the_noise_are(solver, name):
    for seed, dtype in itertools.product(range(3), (np.float32, np.float64)):
        X, y = nearly_separated(seed, 0.0, dtype)
        X = (
            np.round(64 * X) / 64 @ np.array([[1, 0, 0.5], [0.25, 1, 0], [0, 0.5, 2]], dtype)
        )  # none alone, and exactly
        with pytest.warns(ConvergenceWarning, match="grow"):
            model = LogisticRegression(C=np.inf, solver=solver, backend=name).fit(X, y)
        assert model.status_ == "separable"


def test_a_row_that_only_the_last_digits_of_two_columns_tell_apart_is_separated():
    """Two splines differ by a constant, but for the rounding of one row; no other row moves along them."""
    given = problem(58985)
    x, other = given.X[:, :2].astype(np.float64).T
    far = np.flatnonzero(x - other > (x - other).min())  # by exact differences
    assert list(far) == [8] and given.y[8] == 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = LogisticRegression(C=np.inf, backend="numpy").fit(given.X, given.y)
    distance, _ = Truth(given).distance(model.coef_, model.intercept_)
    assert distance <= model.suboptimality_bound_


def test_what_separated_rows_still_lose_is_not_hidden_by_the_rounding_of_the_rest():
    """F of the rest was summed in float32, and was above F of all rows in float64."""
    given = problem(58600)
    found = judge(given, Truth(given), {"solver": "newton-cholesky", "tol": 1e-4, "backend": "numpy"})
    assert found.status == "separable" and found.least > 0 and not found.faults
