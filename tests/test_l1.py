"""L1 and elastic net: exact zeros, certified optima, on every backend, by both methods."""

import functools
import json
import warnings

import numpy as np
import pytest
import scipy.sparse
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression as Sklearn
from spector import SPECTOR

import logreg_accel
from conftest import BACKENDS, FLOATS, bound_on, cpu_or_gpu, draw, evaluate
from logreg_accel import LogisticRegression, solvers
from logreg_accel.data import as_labelled
from logreg_accel.losses import Logistic, Multinomial
from logreg_accel.objective import Objective
from logreg_accel.penalty import Penalty
from logreg_accel.rows import MemoryRows
from logreg_accel.solvers import proximal, quadratic
from logreg_accel.solvers.quadratic import lasso
from logreg_accel.solvers.questions import Point, Start

SOLVERS = ["prox-newton", "fista"]


def scaled(load):
    X, y = load(return_X_y=True)
    return (X - X.mean(axis=0)) / X.std(axis=0), y


def sparse_problem(m=8000, n=30, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((m, n)) * np.logspace(-1, 1, n)
    w = np.where(np.arange(n) % 5 == 0, 1.0, 0.0) / np.logspace(-1, 1, n)
    return X, (rng.random(m) < 1 / (1 + np.exp(-(X @ w) - 0.3))).astype(int)


def value_of(clf, X, y, C, l1_ratio, s=1.0):
    """F of scikit-learn, C·Σsℓ + penalty, in float64."""
    W = clf.coef_.astype(np.float64)
    z = X @ W.T + clf.intercept_
    if len(W) == 1:
        loss = np.logaddexp(0, np.where(y == clf.classes_[1], -z[:, 0], z[:, 0]))
    else:
        loss = np.logaddexp.reduce(z, axis=1) - z[np.arange(len(y)), y]
    return C * (s * loss).sum() + (1 - l1_ratio) / 2 * (W**2).sum() + l1_ratio * abs(W).sum()


# -- the pieces ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BACKENDS)
def test_the_quadratic_model_is_solved(name):
    """The subgradient of the model contains zero at u."""
    rng = np.random.default_rng(0)
    A = rng.standard_normal((30, 12))
    H, g, w = A.T @ A / 30, rng.standard_normal(12), rng.standard_normal(12) * (np.arange(12) % 2)
    l1 = np.append(np.full(11, 0.4), 0.0)
    u = lasso(H, g, w, l1, 0.0, cpu_or_gpu(name).lasso_sweeps)
    slope = g + H @ (u - w)
    zero = u == 0
    assert 0 < zero.sum() < 11 and u[-1] != 0
    np.testing.assert_allclose(slope[~zero], -(l1 * np.sign(u))[~zero], atol=1e-9)
    assert (abs(slope[zero]) <= l1[zero] + 1e-9).all()


@pytest.mark.parametrize("seed", range(4))
def test_a_model_is_left_where_weights_gain_little(seed, monkeypatch):
    """Fewer systems give nearly all of the decrease, and the next step of the fit has a new model anyway."""
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((200, 60)) * np.logspace(-2, 0, 60)
    A[:, ::3] += 0.9 * A[:, 1::3]
    H, g, l1 = A.T @ A / 200, A.T @ rng.standard_normal(200) / 200, np.full(60, 5e-4)
    solved, factored = [], quadratic.cholesky
    monkeypatch.setattr(quadratic, "cholesky", lambda H: solved.append(len(H)) or factored(H))
    values, systems = [], []
    for little in (0.0, 0.1):
        u = lasso(H, g, np.zeros(60), l1, 0.0, little=little)
        values.append(g @ u + 0.5 * u @ H @ u + l1 @ abs(u))
        systems.append(len(solved))
    assert 0 < systems[1] - systems[0] < systems[0]
    assert values[0] < values[1] < 0.9 * values[0] < 0


def test_a_new_sample_is_drawn_where_it_spares_steps():
    """A sample of many rows is cheap beside steps; one of nearly all rows takes as long as the few steps that
    are left."""
    here = Point(np.ones(100), 0.5, np.zeros(100), 1e-12)
    start = Start(here.w, n_rows=10**6, n_features=99, entries=99 * 10**6, tol=1e-6)
    few = start._replace(n_rows=20_000, entries=10 * 20_000)
    assert proximal._pays(4e-6, 1e-5, 5000, here, start) and not proximal._pays(2e-6, 1e-5, 5000, here, start)
    assert not proximal._pays(4e-7, 1e-6, 9000, here, few)
    assert proximal._pays(9.9e-7, 1e-6, 9000, here, few) and proximal._pays(2e-6, 1e-6, 9000, here, few)
    assert proximal._pays(4e-7, 1e-6, 9000, here, few._replace(gathers=True))
    assert proximal._pays(1.0, 0.0, 9000, here, few._replace(tol=0.0))


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("seed", range(6))
def test_a_model_with_collinear_columns_is_solved(name, seed):
    """Columns that add up to another, such as one-hot columns beside an intercept, have many minima of one
    value."""
    rng = np.random.default_rng(seed)
    A = (rng.integers(0, 4, 60)[:, None] == np.arange(4)).astype(float)
    A = np.hstack([A, A[:, :2] + A[:, 2:], rng.standard_normal((60, 5)), np.ones((60, 1))])
    A = np.hstack([A[:, :-1], A[:, 6:8], A[:, -1:]])
    H, w = A.T @ A / 60, rng.standard_normal(A.shape[1]) * (rng.random(A.shape[1]) < 0.5)
    g, l1 = H @ rng.standard_normal(A.shape[1]), np.append(np.full(A.shape[1] - 1, 0.05), 0.0)
    u = lasso(H, g, w, l1, 0.0, cpu_or_gpu(name).lasso_sweeps)
    slope = g + H @ (u - w)
    np.testing.assert_allclose(np.where(u != 0, slope + l1 * np.sign(u), 0), 0, atol=1e-9)
    assert (abs(slope) <= l1 + 1e-9).all()


@pytest.mark.parametrize("seed", range(4))
def test_a_model_that_rounding_made_indefinite_takes_bounded_work(seed, monkeypatch):
    """With uncentred float32 columns it has no minimum, and the search descended until its steps were used
    up."""
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((40, 60)) + 1e3 * rng.standard_normal(60)
    H = A.T @ A
    H = (H + 1e-5 * np.abs(H).max() * rng.standard_normal(H.shape)).astype(np.float32).astype(np.float64)
    H = (H + H.T) / 2
    assert np.linalg.eigvalsh(H)[0] < 0
    steps, really = [], quadratic._best_on_the_way

    def counted(*arguments):
        steps.append(1)
        return really(*arguments)

    monkeypatch.setattr(quadratic, "_best_on_the_way", counted)
    b, l1 = A.T @ rng.standard_normal(40), np.full(60, 0.1)
    u = quadratic.feature_sign_search(H, b, l1, np.zeros(60))
    assert len(steps) < 300 and np.isfinite(u).all()
    slope = H @ u - b  # of the lifted model, which u is the minimum of
    scale = 1e-6 * abs(b).max()
    assert (
        abs(slope + l1 * np.sign(u))[u != 0].max() < scale and abs(slope[u == 0]).max(initial=0) < 0.1 + scale
    )


@pytest.mark.parametrize("seed", [2, 8, 13, 38])
@pytest.mark.parametrize("name", BACKENDS)
def test_columns_far_from_zero_do_not_hide_weights_that_should_leave_it(name, seed):
    """Rounding kept the slopes of the other weights above any limit, so that weights at zero were never
    checked."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(260, 17)) * 10 ** rng.uniform(-2, 2, 17) + rng.choice([0, 0, 100], 17)
    z = (X - X.mean(axis=0)) / X.std(axis=0) @ rng.normal(size=(17, 4))
    y = (np.column_stack([np.zeros(260), z]) + rng.gumbel(size=(260, 5))).argmax(axis=1)
    clf = LogisticRegression(C=50.0, l1_ratio=1.0, solver="prox-newton", backend=name).fit(X, y)
    assert clf.status_ == "converged" and clf.n_passes_ < 100


@pytest.mark.parametrize("seed", [2, 7, 11])
def test_rounding_does_not_keep_the_model_going(seed, monkeypatch):
    """Columns differ only in the seventh digit, and rounding of the slope promises one step after another."""
    rng = np.random.default_rng(seed)
    X = 10.0 ** rng.uniform(6, 9, 10) * (1 + 1e-7 * rng.standard_normal((500, 10)))
    H, b, l1 = X.T @ X / 2000, X.T @ (0.5 - (rng.random(500) < 0.5)) / 500, np.full(10, 1e-5)
    H[np.diag_indices_from(H)] *= 1 + 1e-10
    factors, factor = [], quadratic.cholesky
    monkeypatch.setattr(quadratic, "cholesky", lambda part: factors.append(len(part)) or factor(part))

    def searched():
        factors.clear()
        u = quadratic.feature_sign_search(H.copy(), b, l1, np.zeros(10))
        return len(factors), 0.5 * u @ H @ u - b @ u + l1 @ abs(u)

    steps, value = searched()
    monkeypatch.setattr(quadratic, "_DOUBTFUL", np.inf)
    most_steps, least = searched()
    assert steps < 60 < most_steps
    assert value <= (1 - 1e-3) * least < 0


def test_columns_without_curvature_stay_where_they_are():
    H, w = np.diag([1.0, 0.0]), np.array([0.0, 3.0])
    np.testing.assert_allclose(
        lasso(H, np.array([-2.0, 0.0]), w, np.array([0.5, 0.5]), 0.0), [1.5, 3.0], rtol=1e-9
    )


@pytest.mark.parametrize(
    "loss, z",
    [(Logistic(), [[-3.0], [0.1], [40.0]]), (Multinomial(3), [[1.0, 2.0, -3], [0, 0, 0], [50, 0, 0]])],
)
def test_the_conjugate_of_the_loss(loss, z):
    """ℓ(z) + ℓ*(r) = z·r where r is the residual at z; elsewhere it is larger."""
    z, y = np.array(z), np.array([1, 0, 1])
    value, r = loss.value_residual(z, y)
    np.testing.assert_allclose(
        value + loss.conjugate(r, y), (z * r).sum(axis=1, keepdims=True), rtol=1e-12, atol=1e-12
    )
    assert (value + loss.conjugate(0.7 * r, y) >= (0.7 * z * r).sum(axis=1, keepdims=True)).all()


def test_the_conjugate_of_the_penalty():
    w, v = np.random.default_rng(0).standard_normal((2, 100, 3))
    both = Penalty(l2=0.3, l1=0.5)
    best = np.sign(v[0]) * np.maximum(abs(v[0]) - 0.5, 0) / 0.3
    assert both.conjugate(v[0]) == pytest.approx(v[0] @ best - both.value(best))
    assert all(both.conjugate(v[0]) >= v[0] @ u - both.value(u) for u in w)
    assert Penalty(l1=0.5).conjugate(np.array([0.5, -0.1])) == 0 and np.isinf(
        Penalty(l1=0.5).conjugate(np.array([0.6, 0.0]))
    )


# -- fits ----------------------------------------------------------------------------------------------------


@functools.cache
def scikit_learns(l1_ratio):
    return Sklearn(C=0.1, l1_ratio=l1_ratio, solver="saga", tol=1e-10, max_iter=200_000).fit(
        *scaled(load_breast_cancer)
    )


@pytest.mark.parametrize("l1_ratio", [0.3, 1.0])
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("name", BACKENDS)
def test_the_optimum_of_scikit_learn(name, solver, l1_ratio):
    X, y = scaled(load_breast_cancer)
    tol = (
        1e-9 if solver == "prox-newton" else 1e-6 if l1_ratio == 1 else 1e-8
    )  # of the gap: some root of the distance
    clf = LogisticRegression(
        C=0.1, l1_ratio=l1_ratio, solver=solver, backend=name, tol=tol, max_iter=20_000
    ).fit(X, y)
    reference = scikit_learns(l1_ratio)
    assert clf.status_ == "converged" and clf.suboptimality_bound_ < (1e-6 if l1_ratio < 1 else 1e-3)
    assert value_of(clf, X, y, 0.1, l1_ratio) <= value_of(reference, X, y, 0.1, l1_ratio) * (1 + tol + 1e-9)
    np.testing.assert_allclose(clf.coef_, reference.coef_, atol=1e-3)
    assert ((clf.coef_ == 0) == (abs(reference.coef_) < 1e-6)).all() and 0 < (clf.coef_ == 0).sum() < 30


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("C", [1e-3, 0.1, 10.0])
def test_tall_data_in_a_handful_of_reads(C, dtype):
    X, y = sparse_problem()
    clf = LogisticRegression(C=C, l1_ratio=1.0, tol=1e-7, backend="numba").fit(X.astype(dtype), y)
    exact = LogisticRegression(C=C, l1_ratio=1.0, tol=1e-12, backend="numpy").fit(X, y)
    assert clf.solver_ == "prox-newton" and clf.status_ == "converged" and clf.n_passes_ < 14
    true = value_of(clf, X, y, C, 1.0) / value_of(exact, X, y, C, 1.0) - 1
    assert -1e-9 <= true < 1e-6 and exact.status_ == "converged"
    assert true <= clf.suboptimality_bound_ + 10 * np.finfo(dtype).eps


def test_several_classes():
    X, y = scaled(load_iris)
    for solver, tol in (("prox-newton", 1e-10), ("fista", 1e-6)):
        clf = LogisticRegression(C=0.5, l1_ratio=1.0, solver=solver, tol=tol, max_iter=50_000).fit(X, y)
        reference = Sklearn(C=0.5, l1_ratio=1.0, solver="saga", tol=1e-12, max_iter=100_000).fit(X, y)
        assert value_of(clf, X, y, 0.5, 1.0) <= value_of(reference, X, y, 0.5, 1.0) * (1 + 1e-7)
        assert (clf.coef_ == 0).any() and clf.suboptimality_bound_ < 1e-5


@pytest.mark.parametrize("fit_intercept, weighted", [(True, False), (True, True), (False, True)])
@pytest.mark.parametrize("l1_ratio", [0.5, 1.0])
@pytest.mark.parametrize("name", BACKENDS)
def test_the_duality_gap_is_above_the_truth(name, l1_ratio, fit_intercept, weighted):
    X, y, s, _ = draw(400, 6, weighted=weighted)
    options = {"C": 0.2, "l1_ratio": l1_ratio, "fit_intercept": fit_intercept}
    exact = LogisticRegression(solver="prox-newton", tol=1e-13, **options).fit(X, y, s)
    labelled = as_labelled(X, y, s)
    rows = MemoryRows([labelled.block], cpu_or_gpu(name))
    objective = Objective(
        rows, Logistic(), Penalty.of_strength(0.2, labelled.total_weight, l1_ratio), fit_intercept
    )
    w = np.append(exact.coef_[0], exact.intercept_)[: objective.size]
    least = evaluate(objective, w).value
    bounds = []
    for size in (1.0, 1e-1, 1e-3, 1e-5):
        point = evaluate(objective, w + size * np.random.default_rng(0).standard_normal(w.shape))
        bounds.append(bound_on(objective, point))
        assert (point.value - least) / point.value <= bounds[-1] <= 1
    assert bounds[-1] < 1e-3 and exact.suboptimality_bound_ < 1e-6


@pytest.mark.parametrize("tol", [1e-3, 1e-6])
@pytest.mark.parametrize("seed", range(3))
def test_collinear_columns_are_proven_in_a_handful_of_reads(seed, tol):
    """One-hot columns, some of them rare, add up to the intercept; rounding need not be told from
    curvature."""
    rng = np.random.default_rng(seed)
    levels = [rng.zipf(1.5, 8000).clip(max=most) for most in (3, 8, 30)]
    X = np.hstack([column[:, None] == np.unique(column) for column in levels]).astype(np.float32)
    margins = X @ rng.standard_normal(X.shape[1])
    y = (rng.random(len(X)) < 1 / (1 + np.exp(-margins))).astype(int)
    clf = LogisticRegression(C=1.0, l1_ratio=1.0, tol=tol, backend="numpy", solver="prox-newton").fit(X, y)
    assert clf.status_ == "converged" and clf.n_passes_ <= 18
    best = LogisticRegression(l1_ratio=1.0, tol=1e-12, backend="numpy", solver="prox-newton")
    least = value_of(best.fit(X.astype(np.float64), y), X, y, 1.0, 1.0)
    above = value_of(clf, X, y, 1.0, 1.0) / least - 1
    assert above <= clf.suboptimality_bound_ + 8 * np.finfo(np.float64).eps
    assert clf.suboptimality_bound_ <= tol


def test_strong_penalties_leave_nothing_and_weak_ones_everything():
    X, y = scaled(load_breast_cancer)
    nothing = LogisticRegression(C=1e-4, l1_ratio=1.0).fit(X, y)
    assert not nothing.coef_.any() and nothing.intercept_[0] == pytest.approx(
        np.log(y.mean() / (1 - y.mean())), rel=1e-3
    )
    free = LogisticRegression(C=np.inf, l1_ratio=1.0, solver="newton-cholesky")
    assert free.fit(X[:, :3], y).coef_.all(), "no penalty at all: any solver may do it"


def test_a_path_of_penalties_by_warm_starts():
    X, y = sparse_problem(5000)
    clf = LogisticRegression(l1_ratio=1.0, warm_start=True)
    counts, reads = [], []
    for C in (1e-3, 1e-2, 1e-1, 1.0):
        clf.set_params(C=C).fit(X, y)
        cold = LogisticRegression(l1_ratio=1.0, C=C, tol=1e-10).fit(X, y)
        np.testing.assert_array_equal(clf.coef_ == 0, cold.coef_ == 0)
        counts.append((clf.coef_ != 0).sum())
        reads.append(clf.n_passes_)
    assert counts == sorted(counts) and counts[0] < counts[-1] and max(reads) < 14


def test_l1_ratio_zero_is_the_l2_penalty():
    X, y, _, _ = draw(300, 5)
    np.testing.assert_allclose(
        LogisticRegression(solver="prox-newton", tol=1e-14).fit(X, y).coef_,
        LogisticRegression(solver="newton-cholesky").fit(X, y).coef_,
        atol=1e-6,
    )


@pytest.mark.parametrize("solver", ["lbfgs", "newton-cholesky", "row-space", solvers.newton_cg()])
def test_solvers_that_know_no_l1_say_so(solver):
    with pytest.raises(ValueError, match="cannot handle an L1 penalty.*'fista', 'prox-newton'"):
        LogisticRegression(l1_ratio=0.5, solver=solver).fit(*draw(40, 3)[:2])


@pytest.mark.parametrize("l1_ratio", [-0.1, 1.1, "1", None, True])
def test_ratios_are_checked(l1_ratio):
    with pytest.raises(ValueError, match="`l1_ratio` is .*expected a number from 0"):
        LogisticRegression(l1_ratio=l1_ratio).fit(*draw(40, 3)[:2])


def test_saved_models(tmp_path):
    clf = LogisticRegression(l1_ratio=0.7, solver=solvers.prox_newton(rows_per_parameter=20)).fit(
        *draw(100, 5)[:2]
    )
    clf.save(tmp_path / "m")
    again = logreg_accel.load(tmp_path / "m")
    assert again.l1_ratio == 0.7 and again.solver == clf.solver and np.array_equal(again.coef_, clf.coef_)


@pytest.mark.parametrize("name", BACKENDS)
def test_statsmodels_answer_for_spector(name):
    """The L1 fit with α = 3 on GPA, TUCE and PSI (results_discrete.py, DiscreteL1): two coefficients are
    zero, and the constant has no penalty."""
    X, y = SPECTOR[:, :3], SPECTOR[:, 3]
    clf = LogisticRegression(C=1 / 3, l1_ratio=1.0, backend=name, tol=1e-10).fit(X, y)
    np.testing.assert_allclose([*clf.intercept_, *clf.coef_[0]], [-4.10271595, 0, 0.15493781, 0], atol=2e-5)
    np.testing.assert_array_equal(clf.coef_[0] == 0, [True, False, True])
    log_likelihood = clf.predict_log_proba(X)[np.arange(32), y.astype(int)].sum()
    assert 2 * 2 - 2 * log_likelihood == pytest.approx(42.09143936858367, abs=1e-4)  # AIC of two parameters


def test_published_answers(real_data):
    """R's glmnet: nine penalties of one data set, no intercept."""
    published = json.loads((real_data / "published_penalised.json").read_text())["glmnet_binomial"]
    table = np.loadtxt(real_data / "small/enet_binomial.csv", delimiter=",")[1:]
    y, X = table[:, 0], table[:, 1:]
    X = (X - X.mean(axis=0)) / X.std(axis=0, ddof=1)
    for row in published["rows"]:
        C = 1 / (row["lam"] * len(y))
        for solver in SOLVERS:
            clf = LogisticRegression(
                C=C, l1_ratio=row["alpha"], fit_intercept=False, solver=solver, tol=1e-12, max_iter=10_000
            )
            with warnings.catch_warnings():
                warnings.simplefilter(
                    "ignore", ConvergenceWarning
                )  # fista's gap stands still at 1e-8 of rounding
                coef = clf.fit(X, y).coef_[0]
            np.testing.assert_allclose(coef, row["coef_recomputed"], atol=2e-6)
            np.testing.assert_allclose(coef, row["coef_glmnet"], atol=5e-5)
            np.testing.assert_array_equal(coef == 0, np.array(row["coef_glmnet"]) == 0)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("layout", [np.asarray, scipy.sparse.csr_matrix])
def test_a_start_keeps_no_weights_of_columns_that_are_zero(dtype, layout):
    X, y, _, _ = draw(400, 4, dtype)
    model = LogisticRegression(l1_ratio=1.0, solver="prox-newton", warm_start=True).fit(layout(X), y)
    assert model.coef_.all()
    X[:, 2] = 0
    model.fit(layout(X), y)
    assert model.status_ == "converged" and model.coef_[0, 2] == 0
