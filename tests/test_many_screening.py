"""Paths under an L1 penalty: columns are left out on the way, and the models are those of all columns."""

import numpy as np
import pytest
import scipy.sparse
from scipy.special import expit
from sklearn.exceptions import ConvergenceWarning

from logreg_accel import LogisticRegressionCV, fit_many, logistic_regression_path

CS = np.logspace(-2.5, -0.5, 5)


def problem(kind, m=200, n=600):
    rng = np.random.default_rng(5)
    X = rng.standard_normal((m, n)) + 0.5 * rng.standard_normal((m, 1))
    z = 2 * X[:, :4] @ rng.standard_normal((4, 3 if kind == "classes" else 1)) + rng.logistic(size=(m, 1))
    y = z.argmax(axis=1) if kind == "classes" else (z[:, 0] > 0).astype(int)
    if kind == "sparse":
        X = scipy.sparse.csr_array(np.where(abs(X) > 1, X, 0))
    if kind == "float32":
        X = X.astype(np.float32)
    if kind == "far":
        X = X + 100 * rng.standard_normal(n)
    return X, y, rng.random(m) + 0.1


SETTINGS = {
    "dense": {},
    "sparse": {"fit_intercept": False},
    "float32": {},
    "far": {"l1_ratio": 0.7},
    "classes": {"class_weight": "balanced"},
    "options": {"penalty_factor": np.r_[0.0, np.full(599, 2.0)], "standardize": True},
}


@pytest.mark.parametrize("kind", SETTINGS)
def test_models_are_those_of_all_columns(kind):
    X, y, s = problem(kind)
    settings = {"l1_ratio": 1.0, "sample_weight": s, "Cs": CS} | SETTINGS[kind]
    told = []
    screened = logistic_regression_path(X, y, callback=lambda progress: told.append(progress), **settings)
    assert [progress.n_done for progress in told] == [1, 2, 3, 4, 5]
    assert (screened.suboptimality_bound <= 1e-8).all() and (screened.coef[0] == 0).any()
    whole = logistic_regression_path(X, y, solver="prox-newton", **settings)
    # of a value: margins over columns a hundred deviations from zero are sums of terms a hundred times larger
    rounding = {"float32": 3e-7, "far": 1e-13}.get(kind, 1e-15)
    for one, other in zip(screened.models, whole.models, strict=True):
        value, beside = one.history_[-1].value, other.history_[-1].value
        assert beside * (1 - other.suboptimality_bound_ - rounding) <= value
        assert value * (1 - one.suboptimality_bound_) <= beside * (1 + rounding)
        np.testing.assert_allclose(one.coef_, other.coef_, atol=0.02 * abs(other.coef_).max())
    assert screened.n_passes < whole.n_passes


@pytest.mark.parametrize("l1_ratio", [1.0, 0.4])
def test_models_have_the_conditions_of_an_optimum(l1_ratio):
    """|∇loss + ridge·w| is the penalty where a weight is not zero, and at most that where it is."""
    X, y, _ = problem("dense")
    path = logistic_regression_path(X, y, Cs=CS, l1_ratio=l1_ratio, tol=1e-13)
    for C, w, b in zip(CS, path.coef, path.intercept, strict=True):
        residual = expit(X @ w + b) - y
        gradient = C * (X.T @ residual) + (1 - l1_ratio) * w
        assert abs(residual.sum()) < 1e-5 and (abs(gradient) <= l1_ratio + 1e-5).all()
        np.testing.assert_allclose(gradient[w != 0], -l1_ratio * np.sign(w[w != 0]), atol=1e-5)


def test_the_models_of_folds_and_targets():
    X, y, _ = problem("dense")
    choice = LogisticRegressionCV(Cs=CS, l1_ratios=[0.5, 1.0], cv=3).fit(X, y)
    assert (choice.suboptimality_bound_ <= 1e-8).all()
    Y = np.stack([y, X[:, 1] > 0], axis=1)
    models = fit_many(X, Y, C=CS, l1_ratio=1.0)
    alone = logistic_regression_path(X, Y[:, 1], Cs=CS, l1_ratio=1.0)
    for model, coef in zip(models[5:], alone.coef, strict=True):
        np.testing.assert_allclose(model.coef_[0], coef, atol=1e-5)


def test_budgets_end_a_path():
    X, y, _ = problem("dense")
    for budget in ({"max_passes": 4}, {"max_seconds": 1e-3}):
        with pytest.warns(ConvergenceWarning, match="of 5 models stopped"):
            path = logistic_regression_path(X, y, Cs=CS, l1_ratio=1.0, **budget)
        assert np.isfinite(path.coef).all() and path.n_passes <= 12
    path = logistic_regression_path(X, y, Cs=CS, l1_ratio=1.0, callback=lambda told: told.n_done == 2)
    assert [model.status_ for model in path.models] == 2 * ["converged"] + 3 * ["callback"]


def test_columns_that_are_not_finite_are_named():
    X, y, _ = problem("dense")
    X[3, 500] = np.nan
    with pytest.raises(ValueError, match="row 3, column 500"):
        logistic_regression_path(X, y, Cs=CS, l1_ratio=1.0)
