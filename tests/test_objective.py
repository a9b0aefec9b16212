"""The objective: its derivatives agree with each other, and relations between problems hold."""

import numpy as np
import pytest
import scipy.optimize
from hypothesis import given, settings
from hypothesis import strategies as st
from spector import SPECTOR

from conftest import BACKENDS, FLOATS, bound_on, cpu_or_gpu, draw, evaluate
from logreg_accel import LogisticRegression, Objective
from logreg_accel.data import Block, as_labelled
from logreg_accel.driver import run
from logreg_accel.losses import Logistic
from logreg_accel.penalty import Penalty
from logreg_accel.rows import MemoryRows
from logreg_accel.solvers import newton_cholesky
from logreg_accel.solvers.questions import SOLVE, Curvature, LineMinimum


def problem(m=300, n=7, seed=0, **options):
    X, y, s, W = draw(m, n, seed=seed, weighted=options.pop("weighted", False))
    return Objective.from_arrays(X, y, s, **options), W[:, 0]


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("C", [0.01, 1.0, np.inf])
@pytest.mark.parametrize("name", BACKENDS)
def test_value_gradient_and_hessian_agree(name, C, weighted, fit_intercept):
    """Five-point stencils: the gradient is the slope of the value, and H·v that of the gradient.

    H's columns are H·e, and D is its diagonal.
    """
    objective, w = problem(backend=name, C=C, weighted=weighted, fit_intercept=fit_intercept)
    w = w[: objective.size]
    v = np.random.default_rng(3).standard_normal(w.shape)
    h = 1e-3

    def stencil(f):
        return (8 * (f(w + h * v) - f(w - h * v)) - (f(w + 2 * h * v) - f(w - 2 * h * v))) / (12 * h)

    _, g = objective.value_and_gradient(w)
    assert stencil(lambda u: objective.value_and_gradient(u)[0]) == pytest.approx(g @ v, rel=1e-8)
    hv = objective.hessian_vector(w, v)
    np.testing.assert_allclose(
        stencil(lambda u: objective.value_and_gradient(u)[1]), hv, rtol=1e-7, atol=1e-9
    )
    H = objective.hessian(w)
    np.testing.assert_allclose(H @ v, hv, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(H, H.T, rtol=0, atol=0)
    np.testing.assert_allclose(np.diagonal(H), objective.diagonal(w), rtol=1e-10)
    np.testing.assert_allclose(objective.answer(Curvature(w, SOLVE))(hv), v, rtol=1e-6)


@pytest.mark.parametrize("name", BACKENDS)
def test_asked_twice_it_answers_twice_the_same(name):
    objective, w = problem(backend=name)
    first = objective.value_and_gradient(w)
    objective.value_and_gradient(w + 1)
    again = objective.value_and_gradient(w)
    assert first[0] == again[0] and np.array_equal(first[1], again[1])


@given(cuts=st.lists(st.integers(0, 200), max_size=6), weighted=st.booleans())
@settings(max_examples=30, deadline=None)
def test_rows_split_into_any_blocks(cuts, weighted):
    X, y, s, W = draw(200, 5, weighted=weighted)
    block = as_labelled(X, y, s).block
    edges = [0, *sorted(cuts), 200]
    parts = [
        Block(block.X.between(a, b), block.y[a:b], None if s is None else block.sample_weight[a:b])
        for a, b in zip(edges, edges[1:], strict=False)
    ]
    one, many = (
        Objective(MemoryRows(of, cpu_or_gpu("numpy")), Logistic(), Penalty(0.1)) for of in ([block], parts)
    )
    value, gradient = one.value_and_gradient(W[:, 0])
    value_of_parts, gradient_of_parts = many.value_and_gradient(W[:, 0])
    assert value_of_parts == pytest.approx(value, rel=1e-13)
    np.testing.assert_allclose(gradient_of_parts, gradient, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("name", BACKENDS)
def test_weight_two_is_a_row_twice_and_weight_zero_is_none(name):
    X, y, _, W = draw(100, 4)
    times = np.random.default_rng(0).integers(0, 3, 100)
    weighted = Objective.from_arrays(X, y, times.astype(float), backend=name)
    repeated = Objective.from_arrays(np.repeat(X, times, axis=0), np.repeat(y, times), backend=name)
    a, b = weighted.value_and_gradient(W[:, 0]), repeated.value_and_gradient(W[:, 0])
    assert a[0] == pytest.approx(b[0], rel=1e-10)
    np.testing.assert_allclose(a[1], b[1], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", BACKENDS)
def test_a_column_of_ones_is_the_intercept_without_penalty(name):
    X, y, _, W = draw(100, 4)
    intercept = Objective.from_arrays(X, y, C=np.inf, backend=name)
    column = Objective.from_arrays(
        np.hstack([X, np.ones((100, 1))]), y, C=np.inf, fit_intercept=False, backend=name
    )
    a, b = intercept.value_and_gradient(W[:, 0]), column.value_and_gradient(W[:, 0])
    assert a[0] == pytest.approx(b[0], rel=1e-12)
    np.testing.assert_allclose(a[1], b[1], rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("name", BACKENDS)
def test_scaled_columns_scale_the_gradient(name):
    X, y, _, W = draw(100, 4)
    scale = 2.0 ** np.array([-20, 3, 0, 17])
    plain = Objective.from_arrays(X, y, C=np.inf, backend=name)
    scaled = Objective.from_arrays(X * scale, y, C=np.inf, backend=name)
    a = plain.value_and_gradient(W[:, 0])
    b = scaled.value_and_gradient(W[:, 0] / np.append(scale, 1))
    assert a[0] == pytest.approx(b[0], rel=1e-13)
    np.testing.assert_allclose(a[1] * np.append(scale, 1), b[1], rtol=1e-11)


@pytest.mark.parametrize("name", BACKENDS)
def test_swapping_the_classes_swaps_the_signs(name):
    X, y, s, W = draw(100, 4, weighted=True)
    a = Objective.from_arrays(X, y, s, backend=name).value_and_gradient(W[:, 0])
    b = Objective.from_arrays(X, 1 - y, s, backend=name).value_and_gradient(-W[:, 0])
    assert a[0] == pytest.approx(b[0], rel=1e-13)
    np.testing.assert_allclose(a[1], -b[1], rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", BACKENDS)
def test_scale_is_scikit_learns(name, dtype):
    """F·C·Σs is scikit-learn's objective, written out."""
    X, y, s, W = draw(150, 6, dtype, weighted=True)
    w = W[:, 0].astype(dtype).astype(float)
    value, _ = Objective.from_arrays(X, y, s, C=0.3, backend=name).value_and_gradient(w)
    z = X.astype(float) @ w[:-1] + w[-1]
    expected = (0.3 * s * np.logaddexp(0, -(2.0 * y - 1) * z)).sum() + 0.5 * w[:-1] @ w[:-1]
    assert value * 0.3 * s.sum() == pytest.approx(expected, rel=1e-6 if dtype == "float32" else 1e-12)


@pytest.mark.parametrize("name", BACKENDS)
def test_an_optimiser_from_elsewhere_gets_there(name):
    X, y = SPECTOR[:, :3], SPECTOR[:, 3]
    objective = Objective.from_arrays(X, y, C=1.0, backend=name)
    result = scipy.optimize.minimize(
        objective.value_and_gradient,
        np.zeros(objective.size),
        jac=True,
        hessp=objective.hessian_vector,
        method="trust-ncg",
        options={"gtol": 1e-10},
    )
    ours = LogisticRegression(C=1.0, backend=name).fit(X, y)
    np.testing.assert_allclose(result.x, np.append(ours.coef_, ours.intercept_), rtol=1e-6)


@pytest.mark.parametrize("name", BACKENDS)
def test_margins_are_products_with_x(name):
    objective, w = problem(backend=name)
    X = draw(300, 7)[0]
    np.testing.assert_allclose(objective.margins(w), X @ w[:-1] + w[-1], rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("place", [(0, 0), (299, 6), (123, 4)])
@pytest.mark.parametrize("bad, word", [(np.nan, "NaN"), (np.inf, "infinity")])
def test_nonfinite_values_are_named(name, place, bad, word):
    X, y, _, _ = draw(300, 7)
    X[place] = bad
    objective = Objective.from_arrays(X, y, backend=name)
    with pytest.raises(ValueError, match=f"`X` contains {word}: first at row {place[0]}, column {place[1]}"):
        objective.value_and_gradient(np.zeros(8))


def test_sums_that_overflow_say_so():
    X = np.full((8, 1), 3e38, dtype=np.float32)
    with pytest.raises(ValueError, match="overflow float32.*pass float64"):
        Objective.from_arrays(X, [0] + 7 * [1]).value_and_gradient(np.zeros(2))


def test_wrong_length_of_w():
    objective, _ = problem()
    with pytest.raises(
        ValueError, match=r"`w` has shape \(3,\); expected \(8,\): n_features weights and the intercept"
    ):
        objective.value_and_gradient(np.zeros(3))


@pytest.mark.parametrize("C", [0, -1, np.nan])
def test_c_must_be_positive(C):
    with pytest.raises(ValueError, match="`C` is"):
        problem(C=C)


def test_line_minimum_is_where_the_slope_vanishes():
    objective, w = problem(C=1.0)
    start = evaluate(objective, w)
    direction = -start.gradient
    for length in (1e-3, 1.0, 50.0):
        end = evaluate(objective, w + length * direction)
        t = objective.answer(LineMinimum(start, end))
        there = evaluate(objective, w + t * length * direction)
        assert abs(there.gradient @ direction) <= 0.011 * abs(start.gradient @ direction)


@pytest.mark.parametrize("fit_intercept, weighted", [(False, False), (True, False), (True, True)])
@pytest.mark.parametrize("C", [0.01, 10.0])
@pytest.mark.parametrize("name", BACKENDS)
def test_the_bound_holds_and_tightens(name, C, fit_intercept, weighted):
    """The bound is never below the truth, wherever it is asked.

    Near the optimum it shrinks as the gradient's square does.
    """
    X, y, s, _ = draw(400, 5, weighted=weighted)
    options = {"C": C, "fit_intercept": fit_intercept}
    objective = Objective.from_arrays(X, y, s, backend=name, **options)
    exact = LogisticRegression(solver="newton-cholesky", backend="numpy", tol=0, **options).fit(X, y, s)
    w, least = np.append(exact.coef_[0], exact.intercept_)[: objective.size], exact.history_[-1].value
    rng = np.random.default_rng(0)
    bounds = []
    for size in (3.0, 1.0, 1e-1, 1e-3, 1e-5):
        point = evaluate(objective, w + size * rng.standard_normal(w.shape))
        bounds.append(bound_on(objective, point))
        assert (point.value - least) / point.value <= bounds[-1] <= 1
    assert bounds[-1] < 1e-3 * bounds[-2] < 1e-6 * bounds[-3]


def test_the_bound_finds_rows_that_weigh_something():
    X, y, _, _ = draw(3200, 3)
    s = (np.arange(3200) % 2).astype(float)
    clf = LogisticRegression(tol=1e-10, solver="newton-subsampled").fit(X, y, s)
    assert clf.suboptimality_bound_ < 1e-5


def test_a_value_that_is_not_finite_is_named_by_its_row_in_all_the_data():
    X, y, _, _ = draw(50_000, 4)
    X[12_345:12_400, 2] = np.nan
    with pytest.raises(ValueError, match="first at row 12345, column 2"):
        LogisticRegression(solver="newton-subsampled").fit(X, y)


def test_a_bound_needs_neither_a_penalty_nor_margins():
    X, y, _, _ = draw(40, 3)
    w = np.full(4, 0.1)
    for C in (1.0, np.inf):
        objective = Objective.from_arrays(X, y, C=C)
        point = evaluate(objective, w)._replace(margins=None)
        least = run(newton_cholesky(), objective, np.zeros(4), tol=1e-14).value
        true = (point.value - least) / point.value
        assert true <= bound_on(objective, point) <= 1.01 * true
