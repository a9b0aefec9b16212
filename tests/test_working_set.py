"""Single fits under an L1 penalty to wide X: some columns are gathered, and the model is that of all."""

import numpy as np
import pytest
import scipy.sparse
from sklearn.datasets import make_classification

from logreg_accel import LogisticRegression, unsummed
from logreg_accel.objective import Objective
from logreg_accel.penalty import Penalty
from logreg_accel.solvers import choose_solver
from logreg_accel.solvers import questions as ask


def problem(kind="dense", m=150, n=900):
    rng = np.random.default_rng(3)
    X = rng.standard_normal((m, n)) + rng.standard_normal((m, 1))
    Z = 2 * X[:, :5] @ rng.standard_normal((5, 3)) + rng.logistic(size=(m, 3))
    y = Z.argmax(axis=1) if kind == "classes" else (Z[:, 0] > 1).astype(int)
    if kind == "sparse":
        X = scipy.sparse.csr_array(np.where(abs(X) > 1.5, X, 0))
    if kind == "far":
        X = X + 1e6 * rng.standard_normal(n)
    return (X.astype(np.float32) if kind == "float32" else X), y


SETTINGS = {
    "dense": {},
    "sparse": {},
    "float32": {},
    "far": {"l1_ratio": 0.8},
    "classes": {"class_weight": "balanced"},
    "bare": {"fit_intercept": False, "l1_ratio": 0.3},
    "options": {"penalty_factor": np.r_[0.0, np.full(899, 1.5)], "standardize": True},
}


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize("kind", SETTINGS)
def test_the_model_of_all_columns(kind, backend):
    X, y = problem(kind)
    settings = {"C": 0.2, "l1_ratio": 1.0, "backend": backend} | SETTINGS[kind]
    found = LogisticRegression(**settings).fit(X, y)
    whole = LogisticRegression(**settings, solver="prox-newton", tol=1e-10).fit(X.astype(np.float64), y)
    assert found.solver_ == "working-set" and found.status_ == "converged"
    assert found.suboptimality_bound_ <= 1e-8 and 0 < (found.coef_ != 0).sum() < 200
    rounding = 1e-6 if kind == "float32" else 1e-12
    value, least = found.history_[-1].value, whole.history_[-1].value
    assert least * (1 - whole.suboptimality_bound_ - rounding) <= value <= least * (1 + 1e-8 + rounding)
    np.testing.assert_allclose(found.coef_, whole.coef_, atol=1e-3 * abs(whole.coef_).max())
    assert found.n_passes_ < 12


@pytest.mark.parametrize("kind", ["dense", "float32", "far", "classes", "bare"])
def test_where_most_columns_matter_all_are_fitted_in_float64(kind):
    X, y = problem(kind, 1500, 300)
    y = np.where(np.arange(len(y)) % 3 == 0, y[::-1], y)  # by far not separable
    X = X if kind != "far" else X.astype(np.float32)  # what is subtracted has to come back to the intercept
    settings = {"C": 3.0, "l1_ratio": 1.0} | SETTINGS[kind]
    found = LogisticRegression(**settings, tol=1e-8).fit(X, y)
    whole = LogisticRegression(**settings, solver="prox-newton", tol=1e-10).fit(X.astype(np.float64), y)
    assert found.solver_ == "working-set" and found.status_ == "converged"
    assert found.suboptimality_bound_ <= 1e-7 and (found.coef_ != 0).any(axis=0).mean() > 2 / 3
    tolerance = 1e-2 if X.dtype == np.float32 else 1e-4
    np.testing.assert_allclose(found.coef_, whole.coef_, atol=tolerance * abs(whole.coef_).max())
    margins = (model.decision_function(X.astype(np.float64)) for model in (found, whole))
    np.testing.assert_allclose(*margins, atol=tolerance * 10)


def test_columns_that_are_nearly_the_same():
    """Accelerated gradients took a thousand reads there and did not converge."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((100, 20)) @ rng.standard_normal((20, 5000))
    X += 0.3 * rng.standard_normal(X.shape)
    y = (X[:, :20].sum(axis=1) + rng.logistic(size=100) > 0).astype(int)
    clf = LogisticRegression(C=0.5, l1_ratio=1.0).fit(X, y)
    assert clf.status_ == "converged" and clf.n_passes_ < 20
    slope = X.T @ (clf.predict_proba(X)[:, 1] - y)
    np.testing.assert_allclose(abs(slope[clf.coef_[0] != 0]), 2.0, rtol=1e-4)
    assert abs(slope).max() <= 2.0 * (1 + 1e-4)


def test_no_column_and_every_column():
    X, y = problem(m=400, n=300)
    nothing = LogisticRegression(C=1e-4, l1_ratio=1.0).fit(X, y)
    assert nothing.solver_ == "working-set" and not nothing.coef_.any() and nothing.n_passes_ < 5
    assert nothing.intercept_[0] == pytest.approx(np.log(y.mean() / (1 - y.mean())), rel=1e-6)
    weak = {"C": 10.0, "l1_ratio": 0.01}
    every = LogisticRegression(**weak).fit(X, y)
    whole = LogisticRegression(**weak, solver="prox-newton").fit(X, y)
    assert every.solver_ == "working-set" and (every.coef_ != 0).mean() > 0.9
    np.testing.assert_allclose(every.coef_, whole.coef_, atol=1e-5)


def test_from_a_neighbour_and_from_elsewhere():
    X, y = problem()
    clf = LogisticRegression(C=0.1, l1_ratio=1.0, warm_start=True).fit(X, y)
    cold = LogisticRegression(C=0.12, l1_ratio=1.0).fit(X, y)
    near = clf.set_params(C=0.12).fit(X, y)
    assert near.n_passes_ < cold.n_passes_
    np.testing.assert_allclose(near.coef_, cold.coef_, atol=1e-8)
    clf.coef_ = np.random.default_rng(0).standard_normal(clf.coef_.shape)  # no weight is zero
    np.testing.assert_allclose(clf.fit(X, y).coef_, cold.coef_, atol=1e-4)


def test_where_columns_cannot_be_gathered(monkeypatch):
    X, y = problem()
    settings = {"C": 0.1, "l1_ratio": 1.0, "solver": "working-set"}
    found = LogisticRegression(**settings).fit(X, y)
    monkeypatch.setattr(unsummed, "of_columns", lambda rows, which: None)
    np.testing.assert_allclose(LogisticRegression(**settings).fit(X, y).coef_, found.coef_, atol=1e-4)


def test_budgets_and_what_is_not_finite():
    X, y = problem()
    short = LogisticRegression(C=0.2, l1_ratio=1.0, max_passes=2.5)
    with pytest.warns(match="working-set stopped .max_passes."):
        assert short.fit(X, y).n_passes_ <= 2.5 and np.isfinite(short.coef_).all()
    X[7, 800] = np.inf
    with pytest.raises(ValueError, match="row 7, column 800"):
        LogisticRegression(C=0.2, l1_ratio=1.0).fit(X, y)


def test_weights_of_small_fits_agree():
    """The fit takes one step more than the proof needs."""
    X, y = make_classification(100, 20, random_state=42)
    usual, tight = (LogisticRegression(l1_ratio=1.0, tol=tol).fit(X, y) for tol in (1e-8, 1e-13))
    assert usual.solver_ == "prox-newton" and (tight.coef_ == 0).any()
    np.testing.assert_allclose(usual.coef_, tight.coef_, atol=1e-8)


@pytest.mark.parametrize("weighted", [False, True])
def test_an_objective_of_some_columns(weighted):
    X, y = problem("classes", 40, 30)
    s = np.linspace(0.5, 2, 40) if weighted else None
    of_all = Objective.from_arrays(X, y, s)
    l2, l1 = (np.append(np.arange(90.0), np.zeros(3)) for _ in range(2))
    of_all.penalty = Penalty(l2, l1, 0.0)
    which = np.array([2, 3, 11])
    some = of_all.answer(ask.Draw(ask.Columns(which)))
    w = np.random.default_rng(1).standard_normal(some.size)
    W = np.zeros((31, 3))
    W[[*which, 30]] = w.reshape(4, 3)
    few, all_of_them = some.answer(ask.Evaluate(w)), of_all.answer(ask.Evaluate(W.ravel()))
    assert few.value == pytest.approx(all_of_them.value, rel=1e-12)
    expected = all_of_them.gradient.reshape(31, 3)[[*which, 30]].ravel()
    np.testing.assert_allclose(few.gradient, expected, atol=1e-12)


@pytest.mark.parametrize(
    "m, n, gathers, name",
    [
        (1000, 5000, True, "working-set"),
        (1000, 5000, False, "fista"),
        (1000, 200, True, "prox-newton"),
        (10**6, 300, True, "prox-newton"),
    ],
)
def test_where_auto_takes_it(m, n, gathers, name):
    assert choose_solver(n, m, 8 * m * n, l1=True, gathers=gathers)[0] == name
