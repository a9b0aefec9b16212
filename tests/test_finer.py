"""Proofs by sums in long double, where the rounding of float64 would be most of a bound."""

import warnings

import numpy as np
import pytest
import scipy.sparse
from family import losses
from family.reference import Exact, optimum

from logreg_accel import LogisticRegression, Objective
from logreg_accel.data import IN_UNITS, Matrix, centred, finer
from logreg_accel.data.compressed import CompressedRows
from logreg_accel.solvers import questions as ask

pytestmark = pytest.mark.skipif(IN_UNITS >= 1, reason="long double is no wider than float64 here")

SOLVERS = ["newton-cholesky", "newton-cg", "newton-subsampled", "lbfgs"]
EPS = np.finfo(np.float64).eps


def nearly_singular(rng, m=40, n=4, condition=1e14):
    """Columns of which one combination is next to zero in every row."""
    U, V = np.linalg.qr(rng.standard_normal((m, n)))[0], np.linalg.qr(rng.standard_normal((n, n)))[0]
    return U * np.logspace(0, -np.log10(condition), n) @ V.T * np.sqrt(m)


@pytest.mark.parametrize("centre", [None, 1e6])
@pytest.mark.parametrize("sparse", [False, True])
def test_products_that_cancel_are_right_to_the_last_digits(centre, sparse):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((300, 5)) + (centre or 0)
    X[:, 4] = X[:, :4] @ [1, -2, 3, -4]
    X = np.where(rng.random(X.shape) < 0.5, 0, X) if sparse else X
    c = np.full(5, centre or 0.0)
    W, R = rng.standard_normal((5, 3)), rng.standard_normal((300, 2))
    W[:, 0] = [1e7, -2e7, 3e7, -4e7, -1e7]
    base = CompressedRows(scipy.sparse.csr_array(X)) if sparse else Matrix(X)
    found = finer(base if centre is None else centred(base, c))
    exact = X.astype(np.longdouble) - c
    for product, terms in ((found @ W, (exact, W)), (found.transposed_product(R), (exact.T, R))):
        A, B = terms[0], terms[1].astype(np.longdouble)
        of_rounding = EPS * abs(A @ B) + 8 * IN_UNITS * EPS * (abs(A) @ abs(B))
        assert product.dtype == np.float64 and (abs(product - A @ B) <= of_rounding).all()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("classes", [2, 3])
def test_a_point_on_finer_rows_is_that_of_the_rows(dtype, classes):
    rng = np.random.default_rng(1)
    X, y = rng.standard_normal((60, 3)).astype(dtype), rng.integers(0, classes, 60)
    y[:classes] = np.arange(classes)
    objective = Objective.from_arrays(X, y, sample_weight=rng.uniform(1, 2, 60), backend="numpy")
    on = objective.answer(ask.Draw(ask.Finer()))
    w = objective.at.rounded(rng.standard_normal(objective.size))
    point, exact = objective.answer(ask.Evaluate(w)), on.answer(ask.Evaluate(w))
    tolerance = 100 * np.finfo(dtype).eps
    np.testing.assert_allclose(exact.value, point.value, rtol=tolerance)
    np.testing.assert_allclose(exact.gradient, point.gradient, atol=tolerance)
    v = rng.standard_normal(objective.size)
    products = (o.answer(ask.HessianVector(w, v)) for o in (on, objective))
    np.testing.assert_allclose(*products, atol=tolerance)
    np.testing.assert_allclose(on.hessian(w), objective.hessian(w), atol=tolerance)


def test_many_rows_are_not_summed_in_long_double():
    rng = np.random.default_rng(2)
    objective = Objective.from_arrays(rng.standard_normal((200_000, 3)), np.arange(200_000) % 2)
    assert objective.answer(ask.Draw(ask.Finer())) is None


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_rounding_of_sums_does_not_hide_a_proof(solver, seed):
    """The slope along the combination is less than its rounding in float64, which bounds nothing."""
    rng = np.random.default_rng(seed)
    X = nearly_singular(rng)
    y = rng.permutation(np.arange(40) % 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = LogisticRegression(C=np.inf, solver=solver, backend="numpy", max_iter=3000).fit(X, y)
    problem = Exact(X, losses.of(y, 2), np.ones(40), 0.0, 0.0, True)
    value, least = problem.at(model.coef_, model.intercept_).value, optimum(problem)
    truth = float((value - least.lower) / value)
    assert truth <= model.suboptimality_bound_ * (1 + 1e-6) + 1e-13
    assert model.suboptimality_bound_ <= max(1e-6, 3 * truth)
