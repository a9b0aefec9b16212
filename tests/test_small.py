"""Fits of few numbers: the short way gives what the driver's gives, and leaves to it what it is not for."""

import numpy as np
import pytest

from logreg_accel import LogisticRegression, fitting, small
from logreg_accel.data import as_labelled
from logreg_accel.losses import loss_of
from logreg_accel.penalty import Penalty
from logreg_accel.solvers import few

WAYS = {"hostile": range(40), "plain": range(20)}


def drawn(rng, hostile):
    """X, y, weights and parameters of a small fit."""
    m, n, K = int(rng.integers(5, 300)), int(rng.integers(1, 20)), int(rng.choice([2, 2, 3, 5]))
    X = rng.standard_normal((m, n))
    z = X @ rng.standard_normal((n, K)) * rng.choice([0.3, 3, 100] if hostile else [1, 3])
    y = (z + rng.gumbel(size=z.shape)).argmax(axis=1)
    y[:2] = 0, 1
    weights = None
    if hostile:
        X *= 10.0 ** rng.choice([0, rng.uniform(-8, 8)], n)
        X += rng.choice([0, 0, 1e3, 1e6], n) * X.std(axis=0)
        X[:, rng.integers(n)] = X[:, rng.integers(n)] * rng.choice([0, 1])
        X = X.astype(rng.choice(["f8", "f8", "f4"]), order=rng.choice(["C", "F"]))
        weights = rng.choice([1e-3, 1, 1e3], m) if rng.random() < 0.4 else None
    balanced = "balanced" if rng.random() < 0.3 else None
    strength = float(10.0 ** rng.uniform(-3, 6 if hostile else 2))
    return X, y, weights, {"C": strength, "class_weight": balanced, "fit_intercept": bool(rng.random() < 0.8)}


@pytest.fixture
def solved(monkeypatch):
    """Solutions of the short way, None where it gave up; nothing where it was not tried."""
    found, real = [], small.solution
    monkeypatch.setattr(fitting.small, "solution", lambda *known: found.append(real(*known)) or found[-1])
    return found


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("kind, seed", [(kind, seed) for kind, seeds in WAYS.items() for seed in seeds])
def test_both_ways_agree(kind, seed, solved):
    rng = np.random.default_rng([seed, kind == "hostile"])
    X, y, weights, known = drawn(rng, kind == "hostile")
    settings = dict(known, solver="newton-cholesky", backend="numpy")
    here = LogisticRegression(**settings).fit(X, y, weights)
    there = LogisticRegression(**settings, max_passes=10_000).fit(X, y, weights)
    taken = few(*X.shape, loss_of(len(here.classes_)).n_outputs)
    assert len(solved) == taken  # once: a budget takes the long way
    assert here.status_ == there.status_
    value = there.history_[-1].value
    assert abs(here.history_[-1].value - value) <= 2e-8 * value
    if solved and solved[0] is not None:
        assert here.suboptimality_ <= here.suboptimality_bound_ <= 1e-8
    if kind == "plain":
        assert not taken or solved[0] is not None
        margins = there.decision_function(X)
        assert abs(here.decision_function(X) - margins).max() <= 1e-7 * (1 + abs(margins).max())


def test_iterates_are_those_of_the_long_way(solved):
    rng = np.random.default_rng(3)
    X, y = rng.standard_normal((200, 8)), rng.integers(0, 3, 200)
    here = LogisticRegression(backend="numpy").fit(X, y)
    there = LogisticRegression(backend="numpy", max_seconds=1e6).fit(X, y)
    assert solved[0] is not None and here.solver_ == there.solver_ == "newton-cholesky"
    assert here.n_iter_ == there.n_iter_ and here.n_passes_ == here.history_[-1].n_passes
    values = np.array([[record.value for record in one.history_] for one in (here, there)])
    np.testing.assert_allclose(values[0], values[1], rtol=1e-12)


@pytest.mark.parametrize("n_outputs", [1, 3])
def test_the_bound_holds_far_from_the_optimum(n_outputs):
    """At any point, with the Hessian of another one nearby, not only where a fit ends."""
    rng = np.random.default_rng(n_outputs)
    X = rng.standard_normal((80, 3))
    y = rng.integers(0, max(n_outputs, 2), 80)
    labelled = as_labelled(X, y)
    known = loss_of(len(labelled.classes)), Penalty.of_strength(1.0, labelled.total_weight), True
    best = LogisticRegression(tol=1e-12, backend="numpy").fit(X, y)
    least = best.history_[-1].value
    told = 0
    for _ in range(200):
        fit = small._Fit(labelled.block, *known, np.float64, 1e-8)
        near = np.vstack([best.coef_.T, best.intercept_ + best.coef_ @ X.mean(axis=0)])
        near = (near + rng.uniform(0, 0.1) * rng.standard_normal(near.shape)).ravel()
        other = near + rng.uniform(0, 0.1) * rng.standard_normal(near.shape)
        fit._factored(fit._point(other).margins)
        point = fit._point(near)
        bound = fit._bound(point)
        told += bound < np.inf
        assert (point.value - least) / point.value <= bound
    assert told > 20


UNUSUAL = {
    "callback": {"callback": lambda record, w: None},
    "max_passes": {"max_passes": 100},
    "max_seconds": {"max_seconds": 100},
    "verbose": {"verbose": 1},
    "l1": {"l1_ratio": 0.5},
    "no penalty": {"C": np.inf},
    "bounds": {"bounds": (0, None)},
    "standardize": {"standardize": True},
    "penalty_factor": {"penalty_factor": [1.0, 2.0]},
    "another solver": {"solver": "lbfgs"},
}


@pytest.mark.parametrize("name", UNUSUAL)
def test_what_is_out_of_the_ordinary_is_not_tried(name, solved):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((60, 2)), rng.integers(0, 2, 60)
    LogisticRegression(backend="numpy", **UNUSUAL[name]).fit(X, y)
    assert not solved


def test_steps_are_limited(solved):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((60, 2)), rng.integers(0, 2, 60)
    with pytest.warns(Warning, match="max_iter"):
        found = LogisticRegression(backend="numpy", max_iter=1).fit(X, y)
    assert solved == [None] and found.status_ == "max_iter" and found.n_iter_ == 1


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_number_that_is_not_finite_is_named(wrong):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((60, 2)), rng.integers(0, 2, 60)
    X[7, 1] = wrong
    with pytest.raises(ValueError, match="row 7, column 1"):
        LogisticRegression(backend="numpy").fit(X, y)
