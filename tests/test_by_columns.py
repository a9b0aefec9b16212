"""More weights under an L1 penalty than a matrix has room for: coordinate descent solves the models."""

import importlib

import numpy as np
import pytest
import scipy.sparse

from conftest import evaluate
from logreg_accel import LogisticRegression, descent
from logreg_accel.backends import columns, get_backend
from logreg_accel.objective import Objective
from logreg_accel.penalty import Penalty
from logreg_accel.solvers import choose_solver
from logreg_accel.solvers import questions as ask

BACKENDS = ["numpy", "numba"]
working_set = importlib.import_module("logreg_accel.solvers.working_set")


def problem(kind="dense", m=400, n=90, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((m, n)) + 0.3 * rng.standard_normal((m, 1))
    y = (X[:, :20] @ rng.standard_normal(20) + rng.logistic(size=m) > 1).astype(int)
    if kind == "sparse":
        X = scipy.sparse.csr_array(np.where(abs(X) > 1, X, 0))
    if kind == "fortran":
        X = np.asfortranarray(X)
    return (X.astype(np.float32) if kind == "float32" else X), y


def model_at(kind, backend, l1_ratio=1.0, weighted=False, fit_intercept=True):
    """An objective, a point of it, and the model there."""
    X, y = problem(kind)
    rng = np.random.default_rng(1)
    weights = rng.integers(0, 3, len(y)).astype(float) if weighted else None
    objective = Objective.from_arrays(X, y, weights, backend=backend, fit_intercept=fit_intercept)
    penalty = Penalty.of_strength(0.1, objective.weight_sum, l1_ratio)
    objective = Objective(objective.rows, objective.loss, penalty, fit_intercept)
    w = 0.2 * rng.standard_normal(objective.size) * (rng.random(objective.size) < 0.5)
    here = evaluate(objective, w)
    model = objective.answer(ask.Curvature(here.w, ask.BY_COLUMNS, margins=here.margins))
    return objective, here, model


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind", ["dense", "fortran", "sparse", "float32"])
@pytest.mark.parametrize(
    "settings", [{}, {"l1_ratio": 0.4}, {"weighted": True}, {"fit_intercept": False}], ids=str
)
def test_the_model_is_that_of_the_hessian(kind, backend, settings):
    """The model has the diagonal of the Hessian and, once signs have settled, its minimum."""
    objective, here, model = model_at(kind, backend, **settings)
    H = objective.answer(ask.Curvature(here.w, ask.MATRIX))
    rtol = 1e-5 if kind == "float32" else 1e-12
    np.testing.assert_allclose(model.diagonal, H.diagonal(), rtol=rtol)
    u = here.w
    for _ in range(100):  # each of them goes on where signs had settled
        slope = here.gradient + H @ (u - here.w)
        before, u = u, model.minimum(here._replace(w=u, gradient=slope), 0.0, 1000)
        if (u == before).all():
            break
    l1 = model.l1
    slope = here.gradient + H @ (u - here.w)
    away = np.where(u != 0, abs(slope + l1 * np.sign(u)), np.maximum(abs(slope) - l1, 0))
    assert away.max() <= (1e-4 if kind == "float32" else 1e-6) * l1.max()


@pytest.mark.parametrize("kind", ["dense", "sparse", "float32"])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_compiled_sweeps_are_those_in_plain_arrays(kind, fit_intercept):
    objective, here, model = model_at(kind, "numba", 0.7, fit_intercept=fit_intercept)
    found = []
    for sweep in (columns.sweep, get_backend("numba", 0)[0].column_sweep):
        u, q = here.w.copy(), np.zeros(objective.rows.n_rows)
        known = model.D, model.diagonal, model.l1, model.ridge, here.gradient, here.w
        off = [sweep(model.A, np.arange(0, 90, 2), model.shared, *known, u, q) for _ in range(3)]
        found.append((u, q, off))
    for plain, compiled in zip(*found, strict=True):
        np.testing.assert_allclose(compiled, plain, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_intercept_follows_every_step(backend):
    """Columns far from zero share most of their curvature with the intercept, which would creep as a
    coordinate of its own."""
    rng = np.random.default_rng(0)
    X = 5 + rng.standard_normal((300, 12))
    y = (X[:, 0] - 5 + rng.logistic(size=300) > 0).astype(int)
    objective = Objective.from_arrays(X, y, backend=backend)
    objective = Objective(objective.rows, objective.loss, Penalty.of_strength(0.5, 300.0, 1.0), True)
    here = evaluate(objective, np.zeros(objective.size))
    model = objective.answer(ask.Curvature(here.w, ask.BY_COLUMNS, margins=here.margins))
    H = objective.answer(ask.Curvature(here.w, ask.MATRIX))
    u, q = here.w.copy(), np.zeros(300)
    curvature = H.diagonal() - np.append(model.shared**2 / H[-1, -1], 0)
    for _ in range(10):
        known = model.D, curvature, model.l1, model.ridge, here.gradient, here.w
        model.sweep(model.A, np.arange(12), model.shared, *known, u, q)
    slope = here.gradient + H @ u
    away = np.where(u != 0, abs(slope + model.l1 * np.sign(u)), np.maximum(abs(slope) - model.l1, 0))
    assert away.max() <= 1e-6 * model.l1.max()


def test_points_after_sweeps_are_extrapolated():
    """For columns that are much alike, six sweeps and their extrapolation do more than thirty sweeps."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((200, 10)) + 5 * rng.standard_normal((200, 1))
    H, slope = X.T @ X / 200, X.T @ rng.standard_normal(200) / 200
    no_l1, D, away = np.zeros(10), np.full(200, 1 / 200), np.zeros(0)
    known = D, H.diagonal(), no_l1, no_l1, slope, no_l1
    u, q, points = np.zeros(10), np.zeros(200), []
    for _ in range(30):
        columns.sweep(X.T, np.arange(10), away, *known, u, q)
        points.append((u.copy(), q.copy()))

    def above(u):
        return 0.5 * u @ H @ u + slope @ u + 0.5 * slope @ np.linalg.solve(H, slope)

    farther, products = descent._extrapolated(points[:6])
    assert above(farther) < above(points[-1][0]) < above(points[5][0])
    np.testing.assert_allclose(products, D * (X @ farther), rtol=1e-8, atol=1e-12)


SETTINGS = {
    "dense": {},
    "sparse": {},
    "float32": {},
    "elastic": {"l1_ratio": 0.5},
    "bare": {"fit_intercept": False},
    "factors": {"penalty_factor": np.r_[0.0, 0.0, np.full(88, 1.5)], "standardize": True},
    "weak": {"C": 100.0},
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind", SETTINGS)
def test_the_model_of_prox_newton(kind, backend, monkeypatch):
    monkeypatch.setattr(working_set, "MODEL_UP_TO", 4)
    X, y = problem(kind)
    settings = {"C": 0.3, "l1_ratio": 1.0, "backend": backend, "tol": 1e-9} | SETTINGS[kind]
    found = LogisticRegression(**settings, solver="working-set").fit(X, y)
    exact = LogisticRegression(**settings | {"tol": 1e-12}, solver="prox-newton")
    exact.fit(X.astype(np.float64), y)
    assert found.status_ == "converged" and found.suboptimality_bound_ <= 1e-9
    scale = abs(exact.coef_).max()
    np.testing.assert_allclose(found.coef_, exact.coef_, atol=(1e-3 if kind == "float32" else 1e-4) * scale)


def test_more_weights_than_a_matrix_has_room_for():
    """On TF-IDF with three thousand nonzero weights, accelerated gradients did not converge."""
    rng = np.random.default_rng(0)
    X = scipy.sparse.random(4000, 6000, 0.01, format="csr", random_state=0, dtype=np.float64)
    y = (X @ rng.standard_normal(6000) + 0.1 * rng.logistic(size=4000) > 0).astype(int)
    clf = LogisticRegression(C=30.0, l1_ratio=1.0, tol=1e-6, backend="numba").fit(X, y)
    assert clf.solver_ == "working-set" and clf.status_ == "converged"
    assert (clf.coef_ != 0).sum() > 2000 and clf.suboptimality_bound_ <= 1e-6


def test_the_same_bits_on_any_number_of_threads(monkeypatch):
    monkeypatch.setattr(working_set, "MODEL_UP_TO", 4)
    X, y = problem("sparse", 3000)
    fits = [
        LogisticRegression(C=1.0, l1_ratio=1.0, backend="numba", solver="working-set", n_threads=threads).fit(
            X, y
        )
        for threads in (1, 2)
    ]
    assert (fits[0].coef_ == fits[1].coef_).all() and (fits[0].intercept_ == fits[1].intercept_).all()


@pytest.mark.parametrize("kind", ["classes", "far"])
def test_where_columns_cannot_be_accessed_one_by_one(kind, monkeypatch):
    """Accelerated gradients are used instead."""
    monkeypatch.setattr(working_set, "MODEL_UP_TO", 4)
    X, y = problem(m=200, n=30)
    if kind == "classes":
        y = y + (X[:, 3] > 1)
    else:
        X = X + 1e7
    clf = LogisticRegression(C=0.05, l1_ratio=1.0, solver="working-set", tol=1e-6).fit(X, y)
    assert clf.status_ == "converged"


def test_auto_takes_it_on_tall_data_too():
    assert choose_solver(3000, 300_000, 8 * 3000 * 300_000, l1=True, gathers=True)[0] == "working-set"
    assert choose_solver(3000, 300_000, 8 * 3000 * 300_000, l1=True, gathers=False)[0] == "fista"
