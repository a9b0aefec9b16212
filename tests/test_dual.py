"""Dual coordinate ascent: the optimum, the proof by its residuals, where it is not offered, its kernels."""

import warnings

import numpy as np
import pytest
import scipy.sparse
import scipy.special

from logreg_accel import LogisticRegression, driver
from logreg_accel.backends import get_backend
from logreg_accel.data import as_labelled
from logreg_accel.losses import Logistic
from logreg_accel.objective import Objective
from logreg_accel.penalty import Penalty
from logreg_accel.rows import MemoryRows
from logreg_accel.solvers import choose_solver, dual
from logreg_accel.solvers import questions as ask


def text(m=600, n=900, words=20, dtype=np.float32, seed=0, scale=6.0):
    """Normalised sparse rows with columns as frequent as words are."""
    rng = np.random.default_rng(seed)
    frequency = np.cumsum(1 / (np.arange(n) + 4.0))
    columns = np.searchsorted(frequency, rng.random(m * words) * frequency[-1])
    X = scipy.sparse.csr_array(
        (rng.exponential(1, m * words), (np.repeat(np.arange(m), words), columns)), shape=(m, n)
    )
    X.sum_duplicates()
    X = scipy.sparse.csr_array(X.multiply(1 / np.sqrt(X.multiply(X).sum(axis=1))[:, None])).astype(dtype)
    if dtype == np.float32:  # wide indices have loops of their own: those of float64 are enough
        X.indices, X.indptr = X.indices.astype(np.int32), X.indptr.astype(np.int32)
    y = rng.random(m) < scipy.special.expit(scale * (X @ rng.standard_normal(n)) - 0.5)
    return X, y.astype(int)


def objective_of(X, y, s=None, C=1.0, intercept=True, threads=None, backend="numba"):
    labelled = as_labelled(X, y, s, None)
    chosen, _ = get_backend(backend, labelled.block.X.nbytes, n_threads=threads)
    rows = MemoryRows([labelled.block], chosen)
    return Objective(rows, Logistic(), Penalty.of_strength(C, labelled.total_weight), intercept)


def value_of(model, X, y, s, C):
    """Scikit-learn's objective over C·Σs, in float64."""
    X, s = X.toarray().astype(np.float64), np.ones(len(y)) if s is None else s
    w, b = model.coef_[0].astype(np.float64), model.intercept_[0]
    loss = s @ np.logaddexp(0, np.where(y == 1, -1, 1) * (X @ w + b))
    return (loss + w @ w / (2 * C)) / s.sum()


@pytest.mark.parametrize(
    "dtype, intercept, weighted",
    [(np.float32, True, False), (np.float32, False, True), (np.float64, True, True)],
)
@pytest.mark.parametrize("C", [0.05, 1.0, 8.0])
def test_the_optimum_and_its_proof(dtype, intercept, weighted, C):
    X, y = text(dtype=dtype)
    s = np.random.default_rng(1).exponential(1, len(y)) * (np.arange(len(y)) % 7 > 0) if weighted else None
    found, exact = (
        LogisticRegression(C=C, fit_intercept=intercept, tol=tol, solver=solver, backend=backend).fit(X, y, s)
        for solver, backend, tol in (("dual", "numba", 1e-8), ("newton-cholesky", "numpy", 1e-12))
    )
    value, least = value_of(found, X, y, s, C), value_of(exact, X, y, s, C)
    assert found.status_ == "converged" and found.n_passes_ < 40
    distance = (value - least) / value
    assert (
        distance <= found.suboptimality_bound_ + 4 * np.finfo(float).eps
        and found.suboptimality_bound_ <= 1e-8
    )


@pytest.mark.parametrize("weights", [{0: 1.0, 1: 20.0}, "balanced"])
def test_class_weights_and_few_positives(weights):
    X, y = text(m=900)
    y = y * (np.arange(len(y)) % 12 == 0)
    found, exact = (
        LogisticRegression(class_weight=weights, solver=solver, backend="numba").fit(X, y)
        for solver in ("dual", "newton-cg")
    )
    assert found.status_ == exact.status_ == "converged"
    np.testing.assert_allclose(found.coef_, exact.coef_, atol=2e-3)


@pytest.mark.parametrize("dtype, intercept", [(np.float32, True), (np.float64, False)])
def test_what_residuals_prove_holds_far_from_the_optimum(dtype, intercept):
    X, y = text(dtype=dtype)
    s = np.random.default_rng(2).exponential(1, len(y))
    objective = objective_of(X, y, s, C=3.0, intercept=intercept)
    exact = objective_of(X.astype(np.float64), y, s, C=3.0, intercept=intercept)
    w = np.zeros(objective.size)
    least = driver.run(dual(), exact, w, tol=1e-13).value
    state, bounds = None, []
    for seed in range(8):
        end = objective.answer(ask.Epoch(w, state, seed, settle=True))
        w, state = end.w, end.state
        point = objective.answer(ask.Evaluate(end.best))._replace(dual=state)
        bounds.append(objective.answer(ask.DualValue(point)))
        truth = exact.answer(ask.Evaluate(point.w)).value - least
        assert truth - 1e-13 <= bounds[-1] <= 40 * truth + 1e-9
        assert end.gap == pytest.approx(bounds[-1], rel=0.5, abs=1e-9)
    assert bounds[-1] < 1e-3 * bounds[0]
    rng = np.random.default_rng(3)  # at any other point and with any residuals of the box, too
    for _ in range(20):
        wild = state.parts[0].copy()
        wild[:, 0] = rng.random(len(y)) ** rng.integers(1, 9)
        point = objective.answer(ask.Evaluate(rng.standard_normal(objective.size)))
        known = point._replace(dual=type(state)([wild]))
        truth = exact.answer(ask.Evaluate(point.w)).value - least
        assert truth <= objective.answer(ask.DualValue(known))


@pytest.mark.parametrize("make", [lambda X: X, lambda X: X.toarray()])
def test_the_same_bits_at_any_number_of_threads(make):
    X, y = text(m=3000, n=2000)
    fits = [
        LogisticRegression(solver="dual", backend="numba", n_threads=n).fit(make(X), y).coef_.tobytes()
        for n in (1, 2, 3)
    ]
    assert len(set(fits)) == 1


def test_sorted_rows_and_large_ones():
    X, y = text(m=800)
    order = np.argsort(y, kind="stable")
    X = scipy.sparse.csr_array(X.multiply(np.where(np.arange(800) % 50 == 0, 30.0, 1.0)[:, None]))
    found = LogisticRegression(solver="dual", backend="numba").fit(X[order], y[order])
    exact = LogisticRegression(solver="newton-cg", backend="numba").fit(X, y)
    assert found.status_ == "converged"
    np.testing.assert_allclose(found.coef_, exact.coef_, atol=5e-3)


@pytest.mark.parametrize(
    "case", [{"backend": "numpy"}, {"C": 1e5}, {"C": np.inf}, {"classes": 3}, {"scale": 0.0}]
)
def test_where_it_is_not_offered_or_stalls_newton_goes_on(case):
    case, offered = dict(case), case in ({"C": 1e5}, {"scale": 0.0})
    X, y = text()
    X = X * np.float32(case.pop("scale", 1.0))
    y = y + (np.arange(len(y)) % case.pop("classes", 2) == 2)
    settings = {"C": 1.0, "backend": "numba", "tol": 1e-6, **case}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # separable without a penalty
        found, other = (
            LogisticRegression(solver=name, **settings).fit(X, y) for name in ("dual", "newton-cg")
        )
    assert found.status_ == other.status_
    assert found.n_passes_ <= other.n_passes_ + 2 * dual().most * offered
    if found.status_ == "converged":
        np.testing.assert_allclose(found.predict_proba(X), other.predict_proba(X), atol=2e-2)


def test_budgets_and_a_warm_start():
    X, y = text()
    with pytest.warns(match="max_passes"):
        short = LogisticRegression(solver="dual", backend="numba", max_passes=6).fit(X, y)
    assert short.n_passes_ <= 6 and 0 < short.suboptimality_bound_ <= 1
    seen = []
    clf = LogisticRegression(
        solver="dual", backend="numba", warm_start=True, callback=lambda r, w: seen.append(r)
    )
    first = clf.fit(X, y).n_passes_
    assert [record.n_iter for record in seen] == list(range(len(seen))) and len(seen) >= 2
    assert clf.fit(X, y).n_passes_ <= first


def test_auto_takes_it_for_text_of_moderate_strength():
    X, y = text(m=1500, n=2000)
    assert LogisticRegression(backend="numba").fit(X, y).solver_ == "dual"
    for settings in ({"C": 100.0}, {"backend": "numpy"}, {"l1_ratio": 0.5}, {"C": np.inf}):
        clf = LogisticRegression(**{"backend": "numba", "tol": 1e-3, **settings})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert clf.fit(X, y).solver_ != "dual"
    assert choose_solver(5000, 4000, 1 << 20, strength=lambda: 1.0)[0] == "dual"


@pytest.mark.parametrize("make", [lambda X: X, lambda X: X.toarray()])
def test_an_epoch_solves_for_one_residual_after_the_other(make):
    from logreg_accel.backends.numba import lanes
    from logreg_accel.data import as_matrix
    from logreg_accel.kernels.cpu import dual as loops

    X, y = text(m=60, n=50, dtype=np.float64)
    A = lanes.layout(as_matrix(make(X)))[1]
    s, dense = np.random.default_rng(0).exponential(1, 60), X.toarray()
    state, w, C, kappa = np.zeros((60, 2)), np.zeros(51), 2.0, 0.3
    loops.squares(A, 50, state)
    np.testing.assert_allclose(state[:, 1], (dense**2).sum(axis=1), rtol=1e-14)
    order = np.random.default_rng(1).permutation(60)
    p, v = np.zeros(60), np.zeros(51)
    for _ in range(3):
        loops.epoch(A, y.astype(np.uint8), s, C, kappa, order, state, w)
        for i in order:
            sign, q = 2 * y[i] - 1, C * s[i] * (dense[i] @ dense[i] + kappa)
            margin, old = sign * (dense[i] @ v[:-1] + v[-1]), p[i]
            low, high = margin - q * old, margin + q * (1 - old)
            for _ in range(60):
                t = 0.5 * (low + high)
                low, high = (t, high) if t - margin < q * (scipy.special.expit(-t) - old) else (low, t)
            p[i] = scipy.special.expit(-t)
            v[:-1] += C * s[i] * (p[i] - old) * sign * dense[i]
            v[-1] += kappa * C * s[i] * (p[i] - old) * sign
        np.testing.assert_allclose(state[:, 0], p, atol=2e-3)
    u = np.zeros(51)
    loops.combine(A, y.astype(np.uint8), s, -C, C, state, u)
    np.testing.assert_allclose(u[:-1], w[:-1], atol=1e-12)


@pytest.mark.parametrize("solver", ["newton-cg", "lbfgs"])
def test_a_cheap_proof_ends_a_fit_that_did_better_than_it_knew(solver):
    X, y = text(m=1500, n=2500, dtype=np.float64)
    points = []
    clf = LogisticRegression(
        tol=1e-6, solver=solver, backend="numpy", callback=lambda record, w: points.append(w)
    ).fit(X, y)
    objective = objective_of(X, y, backend="numpy")
    proven = []
    for w in points:
        point = objective.answer(ask.Evaluate(w))
        proven.append(objective.answer(ask.DualValue(point)) <= 1e-6 * point.value)
    assert clf.status_ == "converged" and proven[-1] and not any(proven[:-1])
