"""Fits of few numbers: the short way gives what the driver's gives, and leaves to it what it is not for."""

import time

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


@pytest.fixture
def the_long_way(monkeypatch):
    """A function that fits a model by the driver."""

    def fitted(model, *data):
        with monkeypatch.context() as patch:
            patch.setattr(small, "suits", lambda *_: False)
            return model.fit(*data)

    return fitted


def few_rows(n_classes=2, dtype="f8"):
    rng = np.random.default_rng(n_classes)
    X = rng.standard_normal((60, 3)).astype(dtype)
    return X, (X[:, 0] * n_classes + rng.standard_normal(60)).argsort().argsort() * n_classes // 60


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("kind, seed", [(kind, seed) for kind, seeds in WAYS.items() for seed in seeds])
def test_both_ways_agree(kind, seed, solved, the_long_way):
    rng = np.random.default_rng([seed, kind == "hostile"])
    X, y, weights, known = drawn(rng, kind == "hostile")
    settings = dict(known, solver="newton-cholesky", backend="numpy")
    here = LogisticRegression(**settings).fit(X, y, weights)
    there = the_long_way(LogisticRegression(**settings), X, y, weights)
    taken = few(*X.shape, loss_of(len(here.classes_)).n_outputs)
    assert len(solved) == taken  # once
    assert here.status_ == there.status_
    value = there.history_[-1].value
    assert abs(here.history_[-1].value - value) <= 2e-8 * value
    if solved and solved[0] is not None:
        assert here.suboptimality_ <= here.suboptimality_bound_ <= 1e-8
    if kind == "plain":
        assert not taken or solved[0] is not None
        margins = there.decision_function(X)
        assert abs(here.decision_function(X) - margins).max() <= 1e-7 * (1 + abs(margins).max())


def test_iterates_are_those_of_the_long_way(solved, the_long_way):
    rng = np.random.default_rng(3)
    X, y = rng.standard_normal((200, 8)), rng.integers(0, 3, 200)
    here = LogisticRegression(backend="numpy").fit(X, y)
    there = the_long_way(LogisticRegression(backend="numpy"), X, y)
    assert solved[0] is not None and here.solver_ == there.solver_ == "newton-cholesky"
    assert here.n_iter_ == there.n_iter_ and here.n_passes_ == here.history_[-1].n_passes
    values = np.array([[record.value for record in one.history_] for one in (here, there)])
    np.testing.assert_allclose(values[0], values[1], rtol=1e-12)


@pytest.mark.parametrize("n_outputs", [1, 3])
def test_the_bound_holds_far_from_the_optimum(n_outputs):
    """It holds at any point, with the Hessian of a point nearby, not only where a fit ends."""
    rng = np.random.default_rng(n_outputs)
    X = rng.standard_normal((80, 3))
    y = rng.integers(0, max(n_outputs, 2), 80)
    labelled = as_labelled(X, y)
    known = loss_of(len(labelled.classes)), Penalty.of_strength(1.0, labelled.total_weight), True
    best = LogisticRegression(tol=1e-12, backend="numpy").fit(X, y)
    least = best.history_[-1].value
    told = 0
    for _ in range(200):
        fit = small._Fit(labelled.block, *known, np.float64, 1e-8, small.Budget(0.0))
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


ASIDE = {"callback": lambda record, w: None}, {"max_passes": 100}, {"max_seconds": 100.0}, {"verbose": 1}


@pytest.mark.parametrize("aside", ASIDE, ids=lambda aside: next(iter(aside)))
@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_who_looks_on_changes_no_bit(aside, dtype, n_classes, solved):
    X, y = few_rows(n_classes, dtype)
    plain = LogisticRegression(backend="numpy").fit(X, y)
    found = LogisticRegression(backend="numpy", **aside).fit(X, y)
    assert None not in solved and len(solved) == 2
    for name in ("coef_", "intercept_", "n_iter_", "n_passes_", "suboptimality_bound_", "status_"):
        np.testing.assert_array_equal(getattr(found, name), getattr(plain, name))


def test_every_step_is_told_once(solved, the_long_way, capsys):
    X, y = few_rows()
    told, others = [], []
    model = LogisticRegression(backend="numpy", verbose=1, callback=lambda *step: told.append(step))
    model.fit(X, y)
    lines = capsys.readouterr().err.splitlines()
    the_long_way(LogisticRegression(backend="numpy", callback=lambda *step: others.append(step)), X, y)
    assert solved[0] is not None and [record.n_iter for record, _ in told] == list(range(len(told)))
    assert "passes" in lines[1] and len(lines) == 2 + len(told) == 2 + len(others)
    for (record, w), (other, theirs) in zip(told, others, strict=True):
        assert record.value == pytest.approx(other.value, rel=1e-12)
        np.testing.assert_allclose(w, theirs, atol=1e-12)
    np.testing.assert_array_equal(told[-1][1], [*model.coef_[0], model.intercept_[0]])


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_callback_stops_where_it_says_so(dtype, n_classes, solved):
    X, y = few_rows(n_classes, dtype)
    least = LogisticRegression(backend="numpy").fit(X, y).history_[-1].value
    for last in range(4):

        def stops(record, w, last=last):
            return record.n_iter == last

        found = LogisticRegression(backend="numpy", callback=stops).fit(X, y)
        assert found.status_ == "callback" and found.n_iter_ == max(last, 1)
        value = found.history_[-1].value
        assert found.history_[-1].n_iter == last
        assert (value - least) / value <= found.suboptimality_bound_ * (1 + 1e-6) + 1e-12
        assert found.suboptimality_ <= found.suboptimality_bound_ <= 1


def test_ctrl_c_in_a_callback_leaves_that_step(solved):
    X, y = few_rows()

    def callback(record, w):
        if record.n_iter == 2:
            raise KeyboardInterrupt

    model = LogisticRegression(backend="numpy", callback=callback)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y)
    assert model.status_ == "interrupted" and model.n_iter_ == 2


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_budgets_hold(solved):
    X, y = few_rows()
    reads = LogisticRegression(backend="numpy").fit(X, y).n_passes_
    for most in range(1, int(reads) + 4):
        assert LogisticRegression(backend="numpy", max_passes=most).fit(X, y).n_passes_ <= most
    found = LogisticRegression(backend="numpy", max_seconds=1e-9).fit(X, y)
    assert found.status_ == "max_seconds" and found.n_passes_ == 1 and solved[-1] is None


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_callback_may_take_all_of_the_time():
    X, y = few_rows()
    told = []

    def callback(record, w):
        told.append(record)
        time.sleep(0.06)

    found = LogisticRegression(backend="numpy", max_seconds=0.05, callback=callback).fit(X, y)
    assert found.status_ == "max_seconds" and len(told) == 1


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_number_that_is_not_finite_is_named(wrong):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((60, 2)), rng.integers(0, 2, 60)
    X[7, 1] = wrong
    with pytest.raises(ValueError, match="row 7, column 1"):
        LogisticRegression(backend="numpy").fit(X, y)
