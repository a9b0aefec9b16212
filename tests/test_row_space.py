"""Solving in the space of the rows: the same optimum from as many unknowns as rows, whatever the rows are."""

import warnings

import numpy as np
import pytest

from conftest import BACKENDS, FLOATS, draw
from logreg_accel import LogisticRegression, Objective
from logreg_accel.backends import get_backend
from logreg_accel.data import as_labelled
from logreg_accel.losses import Logistic
from logreg_accel.penalty import Penalty
from logreg_accel.rows import MemoryRows
from logreg_accel.solvers.questions import BY_ROWS, SOLVE, Combine, Curvature, Draw, Evaluate, RowSpace


def fit(X, y, s=None, solver="row-space", **options):
    return LogisticRegression(solver=solver, tol=1e-12 if X.dtype == np.float64 else 1e-7, **options).fit(
        X, y, s
    )


@pytest.mark.parametrize("fit_intercept, weighted", [(True, False), (False, True), (True, True)])
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", BACKENDS)
def test_the_same_optimum_in_four_reads(name, dtype, fit_intercept, weighted):
    X, y, s, _ = draw(30, 200, dtype, weighted=weighted)
    options = {"fit_intercept": fit_intercept, "C": 3.0}
    exact = fit(X.astype(np.float64), y, s, "newton-cholesky", backend="numpy", **options)
    found = fit(X, y, s, backend=name, **options)
    assert found.status_ == "converged" and found.n_passes_ == 4
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(
        found.coef_, exact.coef_, rtol=0, atol=20 * eps * np.abs(exact.coef_).max() + 1e-9
    )
    assert found.suboptimality_bound_ < (1e-15 if dtype == "float64" else 1e-8)


def test_repeated_reordered_and_dependent_rows():
    X, y, _, _ = draw(40, 300)
    X[5], X[6] = 0, 2 * X[7]
    once = fit(X, y)
    order = np.random.default_rng(0).permutation(40)
    np.testing.assert_allclose(fit(X[order], y[order]).coef_, once.coef_, atol=1e-12)
    twice = fit(np.vstack([X, X]), np.concatenate([y, y]), C=0.5)
    np.testing.assert_allclose(twice.coef_, once.coef_, atol=1e-10)


def test_rows_of_zeros_leave_the_intercept():
    clf = fit(np.zeros((10, 50)), np.arange(10) % 5 == 0)
    np.testing.assert_array_equal(clf.coef_, 0)
    assert clf.intercept_[0] == pytest.approx(np.log(0.2 / 0.8))


def test_a_column_that_drowns_the_others_is_noticed():
    """Squares of large numbers leave few digits for columns of size one, and those of Unix seconds none."""
    for size in (1.7e6, 1.7e9):
        X, y, _, _ = draw(60, 800)
        X[:, 5] = size + np.arange(60)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            clf = LogisticRegression(solver="row-space", tol=1e-8).fit(X, y)
        least = LogisticRegression(solver="newton-cholesky").fit(X, y).history_[-1].value
        true = clf.history_[-1].value / least - 1
        assert true < 1e-7 or (caught and clf.suboptimality_ > true / 100)


@pytest.mark.parametrize("shape, C", [((20, 100), np.inf), ((5001, 1), 1.0)])
def test_what_it_cannot_do_names_another_solver(shape, C):
    X, y, _, _ = draw(*shape)
    with pytest.raises(ValueError, match="`solver` is 'row-space'.*newton-cg"):
        fit(X, y, C=C)


def test_values_that_are_not_finite_are_named():
    X, y, _, _ = draw(20, 100)
    X[3, 7] = np.nan
    with pytest.raises(ValueError, match="contains NaN: first at row 3, column 7"):
        fit(X, y)


def test_the_problem_in_row_space_is_the_same_function():
    X, y, s, _ = draw(25, 60, weighted=True)
    objective = Objective.from_arrays(X, y, s)
    reduced = objective.answer(Draw(RowSpace()))
    for seed in range(3):
        u = np.random.default_rng(seed).standard_normal(reduced.size)
        assert objective.value_and_gradient(reduced.answer(Combine(u, reduced)))[0] == pytest.approx(
            reduced.value_and_gradient(u)[0], rel=1e-11
        )


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("C", [1e-3, 1.0, 1e4])
def test_newtons_system_by_rows_is_that_of_the_hessian(C, fit_intercept):
    """It holds with dependent rows, weights and an offset."""
    X, y, s, _ = draw(30, 90, weighted=True)
    X[4] = 2 * X[3] - X[2]
    labelled = as_labelled(X, y, s, offset=np.linspace(-1, 1, 30))
    rows = MemoryRows([labelled.block], get_backend("numpy", X.nbytes)[0])
    penalty = Penalty.of_strength(C, labelled.total_weight)
    reduced = Objective(rows, Logistic(), penalty, fit_intercept).answer(Draw(RowSpace()))
    rng = np.random.default_rng(1)
    here = reduced.answer(Evaluate(rng.standard_normal(reduced.size)))
    by_rows, usual = (
        reduced.answer(Curvature(here.w, form, margins=here.margins)) for form in (BY_ROWS, SOLVE)
    )
    H = reduced.hessian(here.w)
    tolerance = 30 * np.finfo(np.float64).eps * np.linalg.cond(H)
    for _ in range(3):
        v = rng.standard_normal(reduced.size)
        np.testing.assert_allclose(by_rows(v), usual(v), rtol=0, atol=tolerance * np.abs(usual(v)).max())


def test_rows_without_curvature_leave_the_penalty():
    X, y, _, _ = draw(20, 60)
    objective = Objective.from_arrays(X, y)
    reduced = objective.answer(Draw(RowSpace()))
    far = reduced.answer(Evaluate(np.append(np.zeros(reduced.size - 1), 1e4)))
    solve = reduced.answer(Curvature(far.w, BY_ROWS, margins=far.margins))
    v = np.append(np.ones(reduced.size - 1), 0.0)
    np.testing.assert_allclose(solve(v)[:-1], v[:-1] / objective.penalty.l2)
    assert np.isfinite(solve(np.ones(reduced.size))).all()


@pytest.mark.parametrize("C", [0.1, 10.0])
def test_the_rounding_of_float32_does_not_hide_a_proof(C):
    """Correlated columns of float32: strong convexity multiplies the rounding of the gradient too much.

    The same bound from a gradient of exact sums is small, and takes one read more.
    """
    rng = np.random.default_rng(3)
    X = rng.standard_normal((300, 4)) @ (20 * rng.standard_normal((4, 900))) + rng.standard_normal((300, 900))
    y = X @ rng.standard_normal(900) + 200 * rng.standard_normal(300) > 0
    clf = LogisticRegression(solver="row-space", C=C, tol=1e-6).fit(X.astype(np.float32), y)
    assert clf.status_ == "converged" and clf.suboptimality_bound_ <= 1e-6 and clf.n_passes_ == 5
