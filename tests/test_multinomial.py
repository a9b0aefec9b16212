"""More than two classes: the softmax loss, its objective, and its fits on every backend by every solver."""

from decimal import Decimal, getcontext

import numpy as np
import pytest
import scipy.sparse
from several_classes import problem, scaled
from sklearn.datasets import load_digits, load_iris, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression as Sklearn
from sklearn.metrics import log_loss

from conftest import (
    BACKENDS,
    DTYPES,
    FLOATS,
    backends_and,
    block_of,
    bound_on,
    cpu_or_gpu,
    evaluate,
    rows_of,
)
from logreg_accel import LogisticRegression, Objective, inference, solvers
from logreg_accel.backends import passes
from logreg_accel.data import compute_dtype
from logreg_accel.data.matrix import Matrix
from logreg_accel.losses import Logistic, Multinomial
from logreg_accel.penalty import Penalty
from logreg_accel.solvers import newton
from logreg_accel.solvers.questions import CLASS_BLOCKS, CLASS_MEAN, SOLVE, Curvature, HessianVector

getcontext().prec = 700
SOLVERS = ["newton-cholesky", "newton-cg", "lbfgs", "newton-subsampled", "row-space"]


# -- the loss ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "z", [[0, 0, 0], [1, 2, 3], [40, 0, -40], [100, 99, 0], [-700, 0, 1e-8], [1e4, -1e4, 0], [36.7, 0, 0]]
)
@pytest.mark.parametrize("y", [0, 1, 2])
def test_formulas_keep_their_digits(z, y):
    exact = [Decimal(float(value)) for value in z]
    e = [(value - max(exact)).exp() for value in exact]
    loss = (sum(e) / e[y]).ln()
    residual = [-sum(e[:k] + e[k + 1 :]) / sum(e) if k == y else e[k] / sum(e) for k in range(3)]
    value, got = Multinomial(3).value_residual(np.array([z], dtype=float), np.array([y]))
    span = float(max(exact) - min(exact))
    assert value[0, 0] == pytest.approx(float(loss), rel=1e-15 * (4 + span), abs=0)
    np.testing.assert_allclose(got[0], [float(r) for r in residual], rtol=1e-15 * (4 + span), atol=1e-308)


@pytest.mark.parametrize("gap", [1.0, 20.0, 40.0, 80.0])
@pytest.mark.parametrize("dtype", FLOATS)
def test_curvature_keeps_its_digits(dtype, gap):
    """One class is ahead by `gap`: 1 − p of it, and differences of products, are computed as sums of small
    numbers."""
    z, u = np.array([[gap, 0.0, 0.0]], dtype=dtype), np.array([[3.0, 1.0, -2.0]], dtype=dtype)
    t = np.exp(-gap)
    total, loss, rtol = 1 + 2 * t, Multinomial(3), 200 * np.finfo(dtype).eps
    np.testing.assert_allclose(
        loss.curvature(z, None)[0],
        [2 * t / total**2, t * (1 + t) / total**2, t * (1 + t) / total**2],
        rtol=rtol,
    )
    p = np.array([1, t, t]) / total
    exact = [
        p[0] * (p[1] * 2 + p[2] * 5),
        p[1] * (-2 + p[1] * 2 + p[2] * 5),
        p[2] * (-5 + p[1] * 2 + p[2] * 5),
    ]
    np.testing.assert_allclose(loss.curvature_product(z, None, u)[0], exact, rtol=rtol)
    blocks = {(a, b): float(block[0, 0]) for a, b, block in loss.curvature_blocks(z, None)}
    np.testing.assert_allclose([blocks[0, 0], blocks[0, 1]], [2 * t / total**2, -t / total**2], rtol=rtol)


@pytest.mark.parametrize("dtype", FLOATS)
def test_never_nan(dtype):
    most = np.finfo(dtype).max
    z = np.array([[most, -most, 0], [-most, -most, -most], [most, most, 1]], dtype=dtype)
    loss = Multinomial(3)
    with np.errstate(over="ignore"):
        for y in range(3):
            for values in (
                *loss.value_residual(z, np.full(3, y)),
                loss.curvature(z, None),
                loss.probabilities(z),
            ):
                assert not np.isnan(values).any() and values.dtype == dtype
        np.testing.assert_allclose(loss.probabilities(z).sum(axis=1), 1)


def test_two_classes_are_the_logistic_loss():
    """Softmax of (−z/2, z/2) is σ(z), and ‖−w/2‖² + ‖w/2‖² = ‖w‖²/2."""
    X, y, s = problem(k=2)
    rows = rows_of(X, y.astype(np.uint8), s)
    binary, softmax = Objective(rows, Logistic(), Penalty(0.1)), Objective(rows, Multinomial(2), Penalty(0.2))
    w = np.random.default_rng(1).standard_normal(6)
    value, gradient = binary.value_and_gradient(w)
    both, slopes = softmax.value_and_gradient(np.stack([-w / 2, w / 2], axis=1).ravel())
    assert both == pytest.approx(value, rel=1e-14)
    np.testing.assert_allclose(slopes.reshape(-1, 2) @ [-0.5, 0.5], gradient, rtol=1e-12)


# -- the objective -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("C", [0.1, np.inf])
@pytest.mark.parametrize("name", BACKENDS)
def test_value_gradient_and_hessian_agree(name, C, fit_intercept):
    X, y, s = problem()
    objective = Objective.from_arrays(X, y, s, C=C, backend=name, fit_intercept=fit_intercept)
    rng = np.random.default_rng(3)
    w, v = rng.standard_normal((2, objective.size))
    h = 1e-3

    def stencil(f):
        return (8 * (f(w + h * v) - f(w - h * v)) - (f(w + 2 * h * v) - f(w - 2 * h * v))) / (12 * h)

    _, g = objective.value_and_gradient(w)
    assert stencil(lambda u: objective.value_and_gradient(u)[0]) == pytest.approx(g @ v, rel=1e-8)
    hv = objective.hessian_vector(w, v)
    np.testing.assert_allclose(
        stencil(lambda u: objective.value_and_gradient(u)[1]), hv, rtol=1e-7, atol=1e-9
    )
    if fit_intercept:
        np.testing.assert_allclose(hv.reshape(-1, 4)[-1].sum(), 0, atol=1e-12)
    H = objective.hessian(w)
    np.testing.assert_allclose(H @ v, hv, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(H, H.T)
    np.testing.assert_allclose(np.diagonal(H), objective.diagonal(w), rtol=1e-12)
    step = objective.answer(Curvature(w, SOLVE))(g)
    np.testing.assert_allclose(H @ step, g, atol=1e-9)
    if fit_intercept:
        assert step.reshape(-1, 4)[-1].sum() == pytest.approx(0, abs=1e-9), (
            "no class is shifted but against the others"
        )


@pytest.mark.parametrize("name", BACKENDS)
def test_every_backend_is_the_reference(name):
    X, y, s = problem(3000, 7, 12, "float32")
    reference = Objective.from_arrays(X.astype(np.float64), y, s, backend="numpy")
    objective = Objective.from_arrays(X, y, s, backend=name)
    w, v = np.random.default_rng(0).standard_normal((2, objective.size)).astype(np.float32)
    for call in (
        lambda o: o.value_and_gradient(w)[0],
        lambda o: o.value_and_gradient(w)[1],
        lambda o: o.hessian_vector(w, v),
        lambda o: o.diagonal(w),
        lambda o: o.margins(w),
        lambda o: o.hessian(w),
        lambda o: o.answer(Curvature(w, CLASS_MEAN))(v),
        lambda o: o.answer(Curvature(w, CLASS_BLOCKS))(v),
    ):
        expected = np.asarray(call(reference))
        np.testing.assert_allclose(call(objective), expected, rtol=0, atol=1e-4 * np.abs(expected).max())


def test_own_blocks_are_those_of_the_hessian():
    X, y, s = problem(400, 5, 3)
    objective = Objective.from_arrays(X, y, s, backend="numpy")
    w, v = np.random.default_rng(0).standard_normal((2, objective.size))
    H, found = objective.hessian(w), objective.answer(Curvature(w, CLASS_BLOCKS))(v)
    for a in range(3):
        np.testing.assert_allclose(H[a::3, a::3] @ found[a::3], v[a::3], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "solver", [solvers.newton_cg(by_class_mean=True, factored_up_to=0), "newton-cholesky"]
)
def test_classes_of_few_rows(solver, monkeypatch):
    """Classes of very different size have blocks of their own in place of the mean."""
    monkeypatch.setattr(newton, "_FACTORED_UP_TO", 0)
    monkeypatch.setattr(newton, "_PRODUCTS", 1)
    rng = np.random.default_rng(5)
    X = rng.standard_normal((3000, 20)) * np.logspace(0, 3, 20)
    z = (X / np.logspace(0, 3, 20)) @ rng.standard_normal((20, 4)) - [0, 5, 6, 7]
    y = (z + rng.gumbel(size=z.shape)).argmax(axis=1)
    asked = []
    monkeypatch.setattr(Objective, "answer", _noting(Objective.answer, asked))
    model = LogisticRegression(C=10.0, solver=solver, tol=1e-10).fit(X, y)
    assert model.status_ == "converged"
    assert (CLASS_BLOCKS in asked) == (solver != "newton-cholesky")
    exact = LogisticRegression(C=10.0, solver="newton-cholesky", tol=1e-12).fit(X, y)
    assert model.history_[-1].value == pytest.approx(exact.history_[-1].value, rel=1e-9)


@pytest.mark.parametrize("C", [1.0, np.inf])
def test_rare_classes_of_columns_as_they_come(C, monkeypatch):
    """With columns such as dollars and shares, and one class of nearly all rows, a step by blocks is nearly
    Newton's."""
    monkeypatch.setattr(newton, "_FACTORED_UP_TO", 0)
    rng = np.random.default_rng(7)
    X = np.exp(rng.standard_normal((4000, 40)) + rng.uniform(-3, 9, 40))
    z = np.log(X) @ rng.standard_normal((40, 5)) / 8 - [0, 4, 4, 5, 5]
    y = (z + rng.gumbel(size=z.shape)).argmax(axis=1)
    asked = []
    monkeypatch.setattr(Objective, "answer", _noting(Objective.answer, asked))
    solver = solvers.newton_cg(by_class_mean=True, factored_up_to=0)
    model = LogisticRegression(C=C, solver=solver, tol=1e-8).fit(X, y)
    assert model.status_ == "converged"
    steps = asked[asked.index(CLASS_BLOCKS) :]
    assert steps.count("product") <= 4 * steps.count(CLASS_BLOCKS)


def _noting(answer, asked):
    def noted(self, question):
        asked.append("product" if isinstance(question, HessianVector) else getattr(question, "form", None))
        return answer(self, question)

    return noted


@pytest.mark.parametrize("k", [3, 4, 10])
@pytest.mark.parametrize(
    "name, dtype",
    [
        *backends_and(FLOATS),
        *(pytest.param("numba", dtype, marks=pytest.mark.slow) for dtype in DTYPES if dtype not in FLOATS),
    ],
)
def test_passes_within_the_rounding_of_their_sums(name, dtype, k):
    """Errors are relative to sums of magnitudes in float64; an error in a margin counts with the residual
    that it changes."""
    X, y, s = problem(1003, 13, k, dtype)
    dtype = compute_dtype(X.dtype)
    backend, loss = cpu_or_gpu(name), Multinomial(k)
    block = backend.upload(block_of(X, y.astype(np.uint8), s))
    W, V = np.random.default_rng(1).standard_normal((2, 14, k)).astype(dtype).astype(np.float64)
    exact = np.hstack([X.astype(np.float64), np.ones((len(X), 1))])
    Z, U, weights = exact @ W, exact @ V, s.astype(dtype).astype(np.float64)[:, None]
    value, residual = loss.value_residual(Z, y)
    limit = 8 * np.finfo(dtype).eps * np.sqrt(len(X))
    reach = 1 + abs(exact) @ abs(W).max(axis=1, keepdims=True)
    got = backend.run(passes.LossGradient(W, loss, keep_margins=True), block)
    assert got.value[0] == pytest.approx((weights * value).sum(), rel=limit)
    assert (
        abs(got.gradient - exact.T @ (weights * residual)) <= limit * abs(exact).T @ (weights * reach)
    ).all()
    assert (abs(backend.to_host(got.margins) - Z) <= limit * reach).all()
    product = exact.T @ (weights * loss.curvature_product(Z, y, U))
    for known in (None, got.margins):
        error = abs(backend.run(passes.HessianVector(W, V, loss, known), block) - product)
        assert (error <= limit * abs(exact).T @ (weights * reach * abs(U).max(axis=1, keepdims=True))).all()
    beyond = backend.run(passes.LossGradient(W + V, loss, keep_margins=True), block).margins
    slope, curvature = backend.run(passes.Line(got.margins, beyond, 0.5, loss), block)
    there = Z + 0.5 * U
    reach = float((weights * reach * abs(U).max(axis=1, keepdims=True) ** 2).sum())
    assert slope == pytest.approx(
        float((weights * loss.value_residual(there, y)[1] * U).sum()), abs=limit * reach
    )
    assert curvature == pytest.approx(
        float((weights * loss.curvature_product(there, y, U) * U).sum()), abs=limit * reach
    )


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("C", [0.1, 10.0])
def test_the_bound_holds_and_tightens(C, dtype):
    X, y, s = problem(600, dtype=dtype)
    objective = Objective.from_arrays(X, y, s, C=C)
    clf = LogisticRegression(solver="newton-cholesky", C=C, tol=0).fit(X, y, s)
    w, least = np.vstack([clf.coef_.T, clf.intercept_]).ravel(), clf.history_[-1].value
    bounds = []
    for size in (1.0, 1e-1, 1e-3, 1e-5):
        point = evaluate(objective, w + size * np.random.default_rng(0).standard_normal(w.shape))
        bounds.append(bound_on(objective, point))
        assert (point.value - least) / point.value <= bounds[-1] + 2 * np.finfo(dtype).eps and bounds[-1] <= 1
    assert bounds[-1] < max(1e-3 * bounds[-2], 0.1 * np.finfo(dtype).eps)


# -- fits ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("solver", ["auto", *SOLVERS])
@pytest.mark.parametrize("load", [load_iris, load_wine])
@pytest.mark.parametrize("name", BACKENDS)
def test_the_optimum_of_scikit_learn(name, load, solver):
    X, y = scaled(load)
    clf = LogisticRegression(backend=name, solver=solver, tol=1e-13).fit(X, y)
    reference = Sklearn(tol=1e-12, max_iter=10_000).fit(X, y)
    np.testing.assert_allclose(clf.coef_, reference.coef_, atol=3e-6)
    np.testing.assert_allclose(clf.intercept_, reference.intercept_, atol=3e-6)
    np.testing.assert_allclose(clf.predict_proba(X), reference.predict_proba(X), atol=1e-6)
    np.testing.assert_array_equal(clf.predict(X), reference.predict(X))
    assert clf.status_ == "converged" and clf.suboptimality_bound_ < 1e-8


@pytest.mark.parametrize("name, sparse", [("numba", False), ("numpy", True)])
def test_a_hundred_classes(name, sparse):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((2500, 8)) * (rng.random((2500, 8)) < 0.5)
    margins = X @ rng.standard_normal((8, 100)) + rng.gumbel(size=(2500, 100))
    y = margins.argmax(axis=1)
    assert len(np.unique(y)) == 100
    clf = LogisticRegression(backend=name).fit(scipy.sparse.csr_array(X) if sparse else X, y)
    reference = Sklearn(tol=1e-6, max_iter=10_000).fit(X, y)
    assert clf.status_ == "converged" and clf.suboptimality_bound_ < 1e-8
    np.testing.assert_allclose(clf.predict_proba(X), reference.predict_proba(X), atol=1e-4)


def test_float32_digits():
    X, y = scaled(load_digits)
    tight = LogisticRegression(solver="newton-cholesky").fit(X, y)
    for solver in ("auto", "lbfgs", "newton-cg", "newton-subsampled"):
        clf = LogisticRegression(solver=solver, tol=1e-7).fit(X.astype(np.float32), y)
        assert clf.coef_.dtype == np.float32 and clf.suboptimality_ < 1e-6
        assert log_loss(y, clf.predict_proba(X)) == pytest.approx(
            log_loss(y, tight.predict_proba(X)), rel=2e-3
        )


def test_without_a_penalty_coefficients_sum_to_zero():
    """scikit-learn's choice among the solutions that differ by a shift of all classes."""
    X, y, s = problem(400)
    clf = LogisticRegression(C=np.inf, tol=1e-13, solver="newton-cholesky").fit(X, y, s)
    reference = Sklearn(C=np.inf, tol=1e-10, max_iter=10_000).fit(X, y, s)
    np.testing.assert_allclose(clf.coef_.sum(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(clf.intercept_.sum(), 0, atol=1e-12)
    np.testing.assert_allclose(clf.coef_, reference.coef_, atol=1e-6)


def test_products_with_a_sample_take_the_place_of_a_factor(monkeypatch):
    monkeypatch.setattr("logreg_accel.solvers.subsampled._METRIC_UP_TO", 10)
    rng = np.random.default_rng(0)
    X = rng.standard_normal((20_000, 6))
    y = (X @ rng.standard_normal((6, 5)) + rng.gumbel(size=(20_000, 5))).argmax(axis=1)
    exact = LogisticRegression(solver="newton-cholesky").fit(X, y)
    clf = LogisticRegression(solver="newton-subsampled", tol=1e-10).fit(X, y)
    assert clf.status_ == "converged" and clf.n_passes_ < 25
    np.testing.assert_allclose(clf.coef_, exact.coef_, atol=1e-4)
    binary = LogisticRegression(solver="newton-subsampled", tol=1e-10).fit(np.hstack([X, X**2]), y > 2)
    assert binary.status_ == "converged"


def test_separable_classes_without_a_penalty():
    X = np.repeat(np.eye(3), 20, axis=0) + 0.01 * np.random.default_rng(0).standard_normal((60, 3))
    with pytest.warns(ConvergenceWarning, match="separable.*Use a finite C, or leave"):  # firth refuses them
        clf = LogisticRegression(C=np.inf).fit(X, np.repeat(["a", "b", "c"], 20))
    with pytest.raises(ValueError, match="merge levels, or use a penalty\\.$"):
        inference(clf, X, np.repeat(["a", "b", "c"], 20))
    assert (
        clf.status_ == "separable"
        and np.isfinite(clf.coef_).all()
        and clf.score(X, np.repeat(["a", "b", "c"], 20)) == 1
    )


def test_a_mean_of_the_classes_blocks_saves_products():
    """Where columns are correlated, the diagonal is a poor preconditioner, and classes have much in
    common."""
    rng = np.random.default_rng(5)
    mixed = np.linalg.qr(rng.standard_normal((40, 40)))[0]
    X = rng.standard_normal((2000, 40)) * np.logspace(0, -2, 40) @ mixed
    y = (3 * X @ rng.standard_normal((40, 8)) + rng.gumbel(size=(2000, 8))).argmax(axis=1)
    plain, blocks = (
        LogisticRegression(C=10, solver=solvers.newton_cg(by_class_mean=mean, factored_up_to=0)).fit(X, y)
        for mean in (False, True)
    )
    assert plain.status_ == blocks.status_ == "converged"
    assert blocks.n_passes_ < 0.5 * plain.n_passes_
    np.testing.assert_allclose(blocks.coef_, plain.coef_, rtol=0, atol=2e-3 * abs(plain.coef_).max())


@pytest.mark.parametrize("m", [40, 4000])  # below and above the size at which one product makes all blocks
@pytest.mark.parametrize("weighted", [False, True])
def test_blocks_made_together_are_the_blocks_made_one_by_one(m, weighted, monkeypatch):
    rng = np.random.default_rng(m)
    X, y = rng.standard_normal((m, 6)) + 3, rng.integers(0, 4, m)
    weights = rng.random(m) if weighted else None
    objective = Objective.from_arrays(X, y, weights, backend="numpy")
    w = 0.3 * rng.standard_normal(objective.size)
    together = objective.hessian(w)
    monkeypatch.setattr(Matrix, "few_products", lambda self, k: False)
    np.testing.assert_allclose(together, objective.hessian(w), rtol=0, atol=1e-13 * abs(together).max())


def test_labels_that_hardly_repeat_are_still_warned_about():
    """Whole numbers are counted at once, and scikit-learn's warning about them stays."""
    X = np.random.default_rng(0).standard_normal((24, 2))
    with pytest.warns(UserWarning, match="unique classes is greater than 50%"):
        LogisticRegression().fit(X, np.arange(24) // 1.5 // 1)
    with pytest.warns(UserWarning, match="unique classes is greater than 50%"):
        LogisticRegression().fit(X, np.arange(24) * 2 // 3)
