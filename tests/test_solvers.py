"""Solvers and the driver: textbook numbers, agreement with each other and with scikit-learn, settings."""

import functools
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression as Sklearn

from conftest import BACKENDS, draw
from logreg_accel import LogisticRegression, Objective, driver, solvers
from logreg_accel.backends.passes import Change
from logreg_accel.penalty import Penalty
from logreg_accel.solvers import newton
from logreg_accel.solvers.questions import (
    DIAGONAL,
    SOLVE,
    Accept,
    Curvature,
    Draw,
    DualValue,
    Evaluate,
    MarginChange,
    Point,
    Start,
)


class Quadratic:
    """F(x) = a·x² + b·x + c: what the driver needs of an objective, without rows, as if they were many."""

    penalty = Penalty(l2=0.0, l1=0.0)
    rows = SimpleNamespace(
        nbytes=0,
        entries=1,
        n_rows=10**6,
        n_features=1,
        weight_sum=1.0,
        least_weight=-np.inf,
        offset_scale=None,
    )
    loss = SimpleNamespace(at_zero=np.inf)

    def __init__(self, a, b, c):
        self.a, self.b, self.c = a, b, c

    def start(self, w, seed):
        return Start(w, seed, n_rows=10**6, l1=np.zeros(1), ridge=np.zeros(1))

    def reads(self, question):
        return isinstance(question, Evaluate | Curvature)

    def answer(self, question):
        if isinstance(question, Evaluate):
            x = question.w[0]
            return Point(
                question.w, self.a * x * x + self.b * x + self.c, np.array([2 * self.a * x + self.b]), 0.0
            )
        if isinstance(question, Curvature):
            return {SOLVE: lambda v: v / (2 * self.a), DIAGONAL: np.array([2 * self.a])}[question.form]
        return {DualValue: np.inf, MarginChange: Change(), Draw: None}[type(question)]


def test_gradient_descent_by_hand():
    """Fifteen steps of 0.03 from x = 1 on 7x² + 3x − 9 end at −0.2139."""
    solution = driver.run(solvers.gd(step=0.03), Quadratic(7, 3, -9), np.array([1.0]), tol=0, max_iter=15)
    assert solution.n_iter == 15 and solution.n_passes == 16 and solution.status == "max_iter"
    assert solution.w[0] == pytest.approx(-0.2139, abs=5e-5)
    x = 1.0
    for _ in range(15):
        x -= 0.03 * (14 * x + 3)
    assert solution.w[0] == pytest.approx(x, rel=1e-14)


def test_nesterov_momentum_by_hand():
    """Of Nesterov's two sequences, gd returns the one at which gradients are computed."""
    step, momentum = 0.02, 0.8
    solution = driver.run(
        solvers.gd(step, momentum), Quadratic(7, 3, -9), np.array([1.0]), tol=0, max_iter=10
    )
    x = ahead = 1.0
    seen = [ahead]
    for _ in range(10):
        x, previous = ahead - step * (14 * ahead + 3), x
        ahead = x + momentum * (x - previous)
        seen.append(ahead)
    values = [7 * a * a + 3 * a - 9 for a in seen]
    np.testing.assert_allclose([record.value for record in solution.history], values, rtol=1e-12)


def test_a_step_too_long_is_told():
    with pytest.warns(ConvergenceWarning, match=r"gd stopped \(diverged\).*Lower the step"):
        clf = LogisticRegression(solver=solvers.gd(step=1e6)).fit(draw(50, 3)[0], draw(50, 3)[1])
    assert np.isfinite(clf.coef_).all() and clf.status_ == "diverged"


def test_default_step_never_increases_the_loss():
    X, y, _, _ = draw(200, 5)
    with pytest.warns(ConvergenceWarning):
        clf = LogisticRegression(solver="gd", max_iter=50).fit(X * [1, 10, 0.1, 3, 1], y)
    assert (np.diff([record.value for record in clf.history_]) <= 0).all()


def test_random_start_is_seeded():
    X, y, _, _ = draw(100, 3)

    def first(seed):
        with pytest.warns(ConvergenceWarning):
            return (
                LogisticRegression(solver=solvers.gd(start="random"), random_state=seed, max_iter=1)
                .fit(X, y)
                .coef_
            )

    assert np.array_equal(first(1), first(1)) and not np.array_equal(first(1), first(2))
    assert np.isfinite(first(np.random.RandomState(0))).all()


ALL = ["newton-cholesky", "newton-cg", "lbfgs", "newton-subsampled", solvers.gd(momentum=0.9)]


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("solver", ALL, ids=str)
@pytest.mark.parametrize("name", BACKENDS)
def test_every_solver_finds_scikit_learns_optimum(name, solver, fit_intercept):
    X, y, s, _ = draw(400, 6, weighted=True)
    X[:, 0] += 3
    clf = LogisticRegression(
        solver=solver, backend=name, tol=1e-14, fit_intercept=fit_intercept, max_iter=5000
    ).fit(X, y, s)
    reference = Sklearn(solver="newton-cholesky", tol=1e-12, fit_intercept=fit_intercept).fit(X, y, s)
    np.testing.assert_allclose(clf.coef_, reference.coef_, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(clf.intercept_, reference.intercept_, rtol=1e-5, atol=1e-7)
    assert clf.status_ in ("converged", "noise floor")


@pytest.mark.parametrize("C", [1e-6, 1e-2, 1e3, np.inf])
@pytest.mark.parametrize("solver", ["newton-cholesky", "newton-cg", "lbfgs", "newton-subsampled"])
def test_solvers_agree_at_any_strength(solver, C):
    X, y, _, _ = draw(500, 8)
    X = X * np.logspace(-2, 2, 8)
    clf = LogisticRegression(solver=solver, C=C, tol=1e-13).fit(X, y)
    reference = Sklearn(solver="newton-cholesky", C=C, tol=1e-13, max_iter=1000).fit(X, y)
    a, b = clf.decision_function(X), reference.decision_function(X)
    np.testing.assert_allclose(a, b, atol=2e-5 * np.abs(b).max())


def test_a_start_worse_than_no_model_is_left():
    X, y, _, _ = draw(100, 3)
    clf = LogisticRegression(warm_start=True).fit(X, y)
    again = clf.fit(X * 1e3, y)
    np.testing.assert_allclose(again.coef_, LogisticRegression().fit(X * 1e3, y).coef_, rtol=1e-6)


@pytest.mark.parametrize(
    "scale",
    [1e160, 1e300],
)
@pytest.mark.parametrize("solver", ["newton-cholesky", "lbfgs", "newton-cg"])
def test_squares_that_overflow_say_so(solver, scale):
    X, y, _, _ = draw(100, 3)
    with pytest.raises(ValueError, match="overflow float64"):
        LogisticRegression(solver=solver).fit(X * scale, y)


@pytest.mark.parametrize("C", [1.0, np.inf])
@pytest.mark.parametrize("scale", [1e19, 1e30, 1e-24])
@pytest.mark.parametrize("solver", ["newton-cholesky", "lbfgs", "newton-cg"])
def test_float32_columns_of_any_size(solver, scale, C):
    """The squares of such columns overflow float32."""
    X, y, _, _ = draw(100, 3, "float32")
    X *= np.float32(scale)
    found = LogisticRegression(solver=solver, C=C).fit(X, y)
    assert found.status_ == "converged" and found.suboptimality_bound_ <= 1e-8
    if np.isinf(C):
        plain = LogisticRegression(C=C).fit(X.astype(np.float64) / scale, y)
        np.testing.assert_allclose(found.coef_ * scale, plain.coef_, rtol=1e-4)


def test_metric_of_the_newton_method_is_the_inverse_hessian():
    X, y, _, _ = draw(300, 4)
    objective = Objective.from_arrays(X, y)
    generator = solvers.newton_cholesky()(objective.start(np.zeros(5)))
    question = generator.send(None)
    assert isinstance(question, Evaluate)
    point = objective.answer(question)
    assert isinstance(generator.send(point), Accept)
    asked = generator.send(False)
    assert isinstance(asked, Curvature) and asked.form == SOLVE
    trial = generator.send(objective.answer(asked))
    told = generator.send(objective.answer(trial))
    assert isinstance(trial, Evaluate) and isinstance(told, Accept)
    H = objective.hessian(np.zeros(5))
    assert told.gap == pytest.approx(0.5 * point.gradient @ np.linalg.solve(H, point.gradient), rel=1e-8)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("solver", ["lbfgs", "newton-cg"])
def test_a_start_whose_margins_overflow_is_left(solver):
    """X is not the cause: the fit begins at zero, as from any start that is worse."""
    X, y, _, _ = draw(200, 2, "float32")
    fresh = LogisticRegression(solver=solver).fit(X, y)
    clf = LogisticRegression(solver=solver, warm_start=True).fit(X, y)
    clf.coef_ = np.array([[3e38, -3e38]], dtype=np.float32)
    with np.errstate(all="ignore"):
        clf.fit(10 * X, y)
    np.testing.assert_allclose(10 * clf.coef_, fresh.coef_, rtol=0.1)


@pytest.mark.parametrize("solver", ["newton-cholesky", "newton-cg", "lbfgs", "newton-subsampled"])
def test_hard_columns(solver):
    """Columns are constant, duplicated or zero, and their scales span twelve decades."""
    X, y, _, _ = draw(400, 6)
    hard = np.hstack([X * np.logspace(-6, 6, 6), np.ones((400, 1)), np.zeros((400, 1)), X[:, :1] * 1e-6])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        clf = LogisticRegression(solver=solver, C=np.inf, tol=1e-10, max_iter=300).fit(hard, y)
    reference = LogisticRegression(C=np.inf).fit(X, y)
    assert np.isfinite(clf.coef_).all()
    np.testing.assert_allclose(clf.predict_proba(hard), reference.predict_proba(X), atol=1e-4)


def test_more_features_than_rows():
    X, y, _, _ = draw(20, 100)
    a = LogisticRegression(solver="newton-cholesky").fit(X, y).coef_
    b = LogisticRegression(solver="lbfgs", tol=1e-14).fit(X, y).coef_
    np.testing.assert_allclose(a, b, atol=1e-6)


def test_newton_cg_takes_to_the_hessian_where_products_stall():
    rng = np.random.default_rng(0)
    rotation, _ = np.linalg.qr(rng.standard_normal((200, 200)))
    X = rng.standard_normal((1000, 200)) * np.logspace(0, -4, 200) @ rotation
    y = X @ (rotation.T @ np.logspace(0, 4, 200)) > 30 * rng.standard_normal(1000)
    slow, quick = (
        LogisticRegression(solver=solvers.newton_cg(factored_up_to=most)).fit(X, y) for most in (0, 201)
    )
    assert slow.status_ == quick.status_ == "converged"
    assert quick.n_passes_ < 40 < 60 < slow.n_passes_
    np.testing.assert_allclose(quick.decision_function(X), slow.decision_function(X), rtol=0, atol=1e-2)
    easy = rng.standard_normal((1000, 200))
    a, b = (
        LogisticRegression(solver=solvers.newton_cg(factored_up_to=most), C=0.01).fit(easy, y)
        for most in (0, 201)
    )
    assert a.n_passes_ == b.n_passes_, "products alone do"


def test_conjugate_gradients_end_where_the_residual_proves_the_point():
    """The residual is the gradient of the next point, and strong convexity bounds what it can gain."""
    rng = np.random.default_rng(0)
    A = rng.standard_normal((60, 40))
    ridge = np.append(np.full(39, 0.5), 0.0)
    H, g = A.T @ A + np.diag(ridge), rng.standard_normal(40)

    def run(most=99, **more):
        here = SimpleNamespace(w=0 * g, gradient=g)
        asked = newton.conjugate_gradients(here, lambda r: r / H.diagonal(), 1e-9, most, **more)
        try:
            question = next(asked)
            while True:
                question = asked.send(H @ question.v)
        except StopIteration as end:
            return end.value

    def bound(d):
        r = g + H @ d
        return 0.5 * (r[:-1] @ r[:-1] / 0.5 + r[-1] ** 2 / H[-1, -1])

    proven = functools.partial(newton._bound, ridge), 1e-4
    full, products, why = run()
    assert why is None and bound(full) < 1e-15
    early, fewer, why = run(proven=proven)
    assert why is not None and fewer < products and bound(early) <= 1e-4 * (1 + 1e-9)
    assert bound(run(most=fewer - 1)[0]) > 1e-4


@pytest.mark.parametrize(
    "m, n, penalised, name",
    [
        (1000, 10, True, "newton-cholesky"),
        (1_000_000, 100, True, "newton-subsampled"),
        (5000, 5, True, "newton-cholesky"),
        (30_000, 90, True, "newton-subsampled"),
        (3000, 90, True, "newton-cholesky"),
        (5000, 300, True, "newton-cholesky"),
        (500, 1000, True, "row-space"),
        (501, 1002, True, "lbfgs"),
        (3000, 400, True, "newton-cg"),
        (1_000_000, 5000, True, "newton-cg"),
        (100, 10_000, True, "row-space"),
        (100, 10_000, False, "lbfgs"),
        (1000, 4000, True, "lbfgs"),
        (2000, 900, True, "newton-cg"),
    ],
)
def test_auto_goes_by_shape(m, n, penalised, name):
    assert solvers.choose_solver(n, m, 4 * m * n, penalised)[0] == name
    assert solvers.resolve_solver("auto", n, m, 4 * m * n, penalised)[1] == name


@pytest.mark.parametrize(
    "m, n, k, l1, name",
    [
        (150, 4, 3, False, "newton-cholesky"),
        (60_000, 784, 10, False, "newton-subsampled"),
        (2000, 64, 10, False, "newton-cg"),
        (2000, 2, 20, False, "newton-cg"),  # few parameters, but many pairs of classes
        (200, 2, 20, False, "newton-cholesky"),  # so few numbers that pairs do not count
        (4000, 4, 10, False, "newton-cholesky"),
        (6500, 77, 5, False, "newton-cg"),  # a sample would be most of the rows
        (20_000, 60, 5, False, "newton-subsampled"),
        (100, 5000, 2, False, "row-space"),
        (100, 5000, 50, False, "newton-cg"),
        (100, 1000, 5, False, "row-space"),
        (10_000, 50, 3, True, "prox-newton"),
        (10_000, 3000, 1, True, "fista"),
    ],
)
def test_auto_goes_by_classes_and_penalty(m, n, k, l1, name):
    assert solvers.choose_solver(n, m, 4 * m * n, True, k, l1)[0] == name


@pytest.mark.parametrize(
    "m, n, k, curvature, apart, layout, name",
    [
        (569, 30, 1, 2e4, 0.0, "dense", "newton-cholesky"),
        (1000, 300, 1, 10.0, 0.0, "dense", "newton-cg"),  # the penalty decides: a few steps
        (1000, 100, 1, 1e6, 3.0, "dense", "newton-cholesky"),
        (100, 3000, 1, 1e6, 0.0, "dense", "row-space"),
        (300, 2000, 1, 6e6, 0.0, "dense", "row-space"),  # real columns may be correlated
        (1000, 3000, 1, 3e5, 0.0, "dense", "newton-cg"),  # whose factors take longer than its products
        (2000, 8000, 1, 3e5, 0.0, "sparse", "newton-cg"),  # words, whose vectors take lbfgs longer than X
        (13_000, 4, 10, 1e4, 0.5, "dense", "newton-subsampled"),
        (1300, 250, 5, 1300.0, 0.0, "sparse", "lbfgs"),
    ],
)
def test_auto_goes_by_what_rows_show(m, n, k, curvature, apart, layout, name):
    seen = solvers.costs.Seen(curvature, apart, m * n // (1 if layout == "dense" else 20), layout)
    assert solvers.choose_solver(n, m, 4 * m * n, n_outputs=k, seen=lambda: seen)[0] == name


def test_auto_takes_no_lbfgs_where_sparse_columns_differ_in_scale():
    """Numbers beside the levels of a category do: lbfgs took eight times as many reads as newton-cg."""
    rng = np.random.default_rng(0)
    m = 1500
    levels = np.eye(200)[rng.integers(0, 200, m)]
    z = np.hstack([levels, levels[:, :1]]) @ rng.standard_normal((201, 4))
    y = (z + rng.gumbel(size=z.shape)).argmax(axis=1)
    for scale, name in ((1.0, "lbfgs"), (40.0, "newton-cg")):
        X = scipy.sparse.csr_array(np.hstack([levels, scale * rng.standard_normal((m, 1)) / 14]))
        assert LogisticRegression(max_iter=2).fit(X, y).solver_ == name


def test_auto_knows_that_pairs_of_classes_take_time():
    """Rows are weighted for each pair, which short rows do not make cheap; for two classes once."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((2500, 18))
    two, ten = (LogisticRegression(tol=1e-6, C=50.0).fit(X, rng.integers(0, k, 2500)) for k in (2, 10))
    assert (two.solver_, ten.solver_) == ("newton-cholesky", "newton-cg")


def test_auto_looks_at_c():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((1000, 150))
    y = X[:, 0] + rng.standard_normal(1000) > 0
    weak, strong = (LogisticRegression(C=C, tol=1e-6).fit(X, y) for C in (1e-3, 1e3))
    assert (weak.solver_, strong.solver_) == ("newton-cg", "newton-cholesky")
    assert "the least work" in weak.solver_.reason


@pytest.mark.parametrize(
    "settings, words",
    [
        (lambda: solvers.gd(step=0), "`step` is 0"),
        (lambda: solvers.gd(momentum=1), "`momentum` is 1"),
        (lambda: solvers.gd(start="ones"), "`start` is 'ones'"),
        (lambda: solvers.lbfgs(memory=0), "`memory` is 0"),
        (lambda: solvers.newton_cg(max_inner=1.5), "`max_inner` is 1.5"),
    ],
)
def test_settings_are_checked(settings, words):
    with pytest.raises(ValueError, match=words):
        settings()


def test_unknown_solver_lists_the_known_ones():
    with pytest.raises(
        ValueError,
        match="`solver` is 'sag'; expected 'auto', one of 'gd', 'lbfgs', 'newton-cholesky', 'newton-cg'",
    ):
        LogisticRegression(solver="sag").fit(*draw(20, 2)[:2])
