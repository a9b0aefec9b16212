"""When a fit stops, and what it says: tolerance, noise floor, budgets, callbacks, separable classes."""

import itertools
import warnings

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression as Sklearn

from conftest import BACKENDS, FLOATS, draw
from logreg_accel import LogisticRegression, Objective, driver, solvers
from logreg_accel.backends.numpy import NumpyBackend
from logreg_accel.solvers import questions as ask


@pytest.mark.parametrize("solver", ["newton-cholesky", "newton-cg", "lbfgs", "newton-subsampled"])
@pytest.mark.parametrize("tol", [1e-4, 1e-8])
def test_tol_is_kept(solver, tol):
    """The optimum is truly within tol, relative to F."""
    X, y, _, _ = draw(500, 8)
    X = X * np.logspace(-1, 1, 8)
    best = LogisticRegression(tol=0).fit(X, y).history_[-1].value
    clf = LogisticRegression(solver=solver, tol=tol).fit(X, y)
    value = min(record.value for record in clf.history_)
    assert clf.status_ == "converged" and clf.suboptimality_ <= tol
    assert (value - best) / best <= tol


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("solver", ["newton-cholesky", "newton-cg", "lbfgs", "newton-subsampled"])
@pytest.mark.parametrize("name", BACKENDS)
def test_the_noise_floor_ends_a_fit(name, solver, dtype):
    """tol=0 asks for more than the arithmetic has; the fit ends near the optimum after few unsuccessful
    passes."""
    X, y, _, _ = draw(2000, 10, dtype)
    clf = LogisticRegression(solver=solver, backend=name, tol=0).fit(X, y)
    assert clf.status_ == "noise floor"
    assert clf.n_iter_[0] < 60
    best = LogisticRegression(backend="numpy").fit(X.astype(np.float64), y)
    np.testing.assert_allclose(clf.coef_, best.coef_, rtol=0, atol=3e-4 if dtype == "float32" else 1e-6)


def test_a_high_noise_floor_is_left_in_float64():
    """L-BFGS in float32 on unscaled columns stops far from the optimum; sums in float64 continue."""
    X, y = load_breast_cancer(return_X_y=True)
    clf = LogisticRegression(solver="lbfgs", max_iter=5000).fit(X.astype(np.float32), y)
    objective = Objective.from_arrays(X, y)
    exact = LogisticRegression().fit(X, y)

    def value(model):
        return objective.value_and_gradient(np.append(model.coef_, model.intercept_))[0]

    truth = (value(clf) - value(exact)) / value(exact)
    assert truth < 1e-6 and truth / 2 <= clf.suboptimality_bound_ < max(10 * truth, 1e-8)
    steps = [record.n_iter for record in clf.history_]
    assert (
        steps == sorted(steps) and clf.history_[-1].n_passes <= clf.n_passes_ and steps[-1] <= clf.n_iter_[0]
    )


def test_a_high_noise_floor_is_told():
    """Coefficients of float32 cannot be close to the optimum: a warning says so, and the bound is true."""
    rng = np.random.default_rng(0)
    X = (1e6 + rng.standard_normal((300, 2))).astype(np.float32)
    y = X[:, 0] - X[:, 1] + rng.logistic(size=300) > 0
    with pytest.warns(ConvergenceWarning, match=r"noise floor\).*scale the columns, pass float64") as caught:
        clf = LogisticRegression(C=np.inf, solver="newton-cholesky", fit_intercept=False).fit(X, y)
    assert clf.status_ == "noise floor" and clf.suboptimality_bound_ > 1e-6
    assert "use solver=" not in str(caught[0].message)  # it is the one that was taken


@pytest.mark.parametrize("solver", ["gd", "lbfgs"])
@pytest.mark.parametrize("case", ["far from the origin", "nearly equal columns", "tiny C, rare class"])
def test_solvers_without_a_metric_are_certified(solver, case):
    """A gradient that is small beside the curvature along earlier steps proves nothing; the Hessian
    decides."""
    rng = np.random.default_rng(0)
    A = rng.standard_normal((300, 5))
    y = rng.random(300) < 1 / (1 + np.exp(0.5 - 2 * A[:, 0]))
    X, y, C = {
        "far from the origin": (A[:, :1] + 100, y, np.inf),
        "nearly equal columns": (A[:, :1] + 1e-3 * A, y, np.inf),
        "tiny C, rare class": (A, rng.random(300) < 0.1, 1e-8),
    }[case]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        clf = LogisticRegression(solver=solver, C=C, max_iter=300).fit(X, y)
    best = LogisticRegression(C=C).fit(X, y).history_[-1].value
    truth = (min(record.value for record in clf.history_) - best) / best
    assert (
        truth <= 1e-8 if clf.status_ == "converged" else any(w.category is ConvergenceWarning for w in caught)
    )


def test_a_last_step_stays_within_the_budget_and_converged():
    X, y, _, _ = draw(100, 3)
    whole = LogisticRegression().fit(X, y)
    for limit in range(1, int(whole.n_passes_) + 1):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            clf = LogisticRegression(max_passes=limit).fit(X, y)
        assert clf.n_passes_ <= limit and (clf.status_ == "converged") == (clf.suboptimality_ <= 1e-8)
    for limit in range(1, whole.n_iter_[0] + 1):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert LogisticRegression(max_iter=limit).fit(X, y).n_iter_[0] <= limit


def test_passes_are_counted():
    X, y, _, _ = draw(100, 4)  # too few for a sample
    objective_reads = itertools.count()
    objective = Objective.from_arrays(X, y)
    objective.rows.sum = _counting(objective.rows.sum, objective_reads)
    for solver in (solvers.newton_cg(), solvers.lbfgs(), solvers.newton_cholesky(), solvers.gd()):
        before = next(objective_reads)
        solution = driver.run(solver, objective, np.zeros(5), max_iter=20)
        assert solution.n_passes == next(objective_reads) - before - 1
        assert [r.n_passes for r in solution.history] == sorted(r.n_passes for r in solution.history)


def _counting(function, counter):
    def counted(*arguments, **options):
        next(counter)
        return function(*arguments, **options)

    return counted


def test_budgets_end_a_fit():
    X, y, _, _ = draw(300, 30)
    X = X * np.logspace(-3, 3, 30)
    with pytest.warns(ConvergenceWarning, match=r"max_iter\) after .* Raise `max_iter` \(now 3\)"):
        assert LogisticRegression(solver="lbfgs", max_iter=3).fit(X, y).n_iter_[0] == 3
    for limit in (1, 5, 6.5):
        with pytest.warns(ConvergenceWarning, match="max_passes"):
            assert LogisticRegression(solver="lbfgs", max_passes=limit).fit(X, y).n_passes_ <= limit
    for solver in ("gd", "lbfgs", "newton-cholesky", "newton-cg"):
        with pytest.warns(ConvergenceWarning, match="max_seconds"):
            clf = LogisticRegression(solver=solver, max_seconds=1e-9).fit(X, y)
        assert clf.n_passes_ == 1 and clf.status_ == "max_seconds"
        with pytest.warns(ConvergenceWarning, match="max_passes"):
            assert LogisticRegression(solver=solver, max_passes=1).fit(X, y).n_passes_ == 1


@pytest.mark.parametrize("solver", ["lbfgs", "newton-cg"])
def test_a_diagonal_that_takes_a_read_of_its_own_is_counted(solver, monkeypatch):
    X, y, _, _ = draw(100, 4)  # too few for a sample
    one = LogisticRegression(solver=solver, backend="numpy").fit(X, y)
    monkeypatch.setattr(
        NumpyBackend, "reads", lambda self, kind, loss=None, diagonal=False: kind.reads + diagonal
    )
    two = LogisticRegression(solver=solver, backend="numpy").fit(X, y)
    assert two.n_passes_ == one.n_passes_ + 1 and np.array_equal(two.coef_, one.coef_)
    for limit in (1, 2):
        with pytest.warns(ConvergenceWarning, match="max_passes"):
            clf = LogisticRegression(solver=solver, backend="numpy", max_passes=limit).fit(X, y)
        assert clf.n_passes_ == limit and len(clf.history_) == 1 and np.isfinite(clf.coef_).all()


def test_callback_sees_every_step_and_can_stop():
    X, y, _, _ = draw(300, 5)
    seen = []

    def callback(record, w):
        seen.append((record, w))
        return len(seen) == 3

    clf = LogisticRegression(solver="lbfgs", callback=callback).fit(X, y)
    assert clf.status_ == "callback" and clf.n_iter_[0] == 2
    assert [record.n_iter for record, _ in seen] == [0, 1, 2]
    np.testing.assert_array_equal(seen[-1][1], np.append(clf.coef_, clf.intercept_))


@pytest.mark.parametrize("solver", ["newton-cholesky", "lbfgs"])
def test_ctrl_c_keeps_the_best_model(solver):
    X, y, _, _ = draw(300, 5)
    clf = LogisticRegression(solver=solver)

    def callback(record, w):
        if record.n_iter == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        clf.set_params(callback=callback).fit(X, y)
    assert clf.status_ == "interrupted"
    assert clf.score(X, y) > 0.5


@pytest.mark.parametrize("solver", ["newton-cholesky", "newton-cg", "lbfgs", "newton-subsampled"])
@pytest.mark.parametrize("name", BACKENDS)
def test_separable_data_without_a_penalty(name, solver):
    X = np.linspace(-1, 1, 40)[:, None]
    with pytest.warns(ConvergenceWarning, match="separable and C is inf"):
        clf = LogisticRegression(C=np.inf, solver=solver, backend=name).fit(X, X[:, 0] > 0.01)
    assert clf.status_ == "separable" and np.isfinite(clf.coef_).all() and clf.score(X, X[:, 0] > 0.01) == 1


@pytest.mark.parametrize("solver", ["newton-cholesky", "newton-cg", "lbfgs", "newton-subsampled"])
def test_separable_data_with_a_penalty_converge(solver):
    X = np.linspace(-1, 1, 40)[:, None]
    clf = LogisticRegression(C=1e4, solver=solver, max_iter=5000).fit(X, X[:, 0] > 0.01)
    reference = Sklearn(solver="newton-cholesky", C=1e4, tol=1e-10, max_iter=1000).fit(X, X[:, 0] > 0.01)
    assert clf.status_ == "converged"
    np.testing.assert_allclose(clf.coef_, reference.coef_, rtol=1e-3)


@pytest.mark.parametrize("solver", ["newton-subsampled", "row-space", "prox-newton", "lbfgs"])
@pytest.mark.parametrize(
    "budget", [{"max_seconds": 1e-9}, {"max_passes": 1}, {"max_passes": 2.5}, {"max_iter": 1}]
)
def test_budgets_leave_a_whole_model(solver, budget):
    X, y, _, _ = draw(400, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        clf = LogisticRegression(solver=solver, tol=1e-14, **budget).fit(X, y)
    assert np.isfinite(clf.coef_).all() and clf.n_passes_ <= budget.get("max_passes", 99)


@pytest.mark.parametrize("solver", ["lbfgs", "newton-cg"])
@pytest.mark.parametrize("seed", [1, 3, 7])
def test_newtons_method_goes_on_where_rounding_stops_another_solver(seed, solver):
    """Uncentred, nearly collinear columns without an intercept: L-BFGS stopped at 1e-3 of F."""
    rng = np.random.default_rng(seed)
    Z = rng.standard_normal((400, 1)) + 1e-3 * rng.standard_normal((400, 8))
    y = rng.random(400) < 1 / (1 + np.exp(-Z[:, 0]))
    m = LogisticRegression(C=1e3, fit_intercept=False, solver=solver, tol=1e-8, backend="numpy")
    m.fit(1e4 + Z, y)
    assert m.status_ == "converged" and m.suboptimality_bound_ <= 1e-8


@pytest.mark.parametrize("solver", ["newton-cg", "newton-subsampled", "lbfgs", "row-space"])
def test_constant_columns_are_centred_like_those_far_from_zero(solver):
    """Their weights acted as intercepts in units of 10⁸, beside which no other weight moved."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((600, 6)) + [0, 0, 1e5, 1e6, 0, 0]
    X[:, 4:] = -3e8, 1.3e8
    X[7, 5] += 8  # nearly constant
    y = X[:, 0] + X[:, 2] - 1e5 + rng.logistic(size=600) > 0
    model = LogisticRegression(solver=solver, tol=1e-8).fit(X.astype(np.float32), y)
    assert model.status_ == "converged" and model.coef_[0, 4] == 0


def test_a_fit_taken_on_in_float64_returns_no_weights_that_blur_the_intercept(monkeypatch):
    """A constant column is zero once it is centred, so that no weight of it changes F; but the intercept's
    digits are lost beside it."""
    X, y, _, _ = draw(300, 3, "float32")
    X[:, 2] = 0.1

    def stops(start):
        here = yield ask.Evaluate(start.w)
        yield ask.Accept(here, gap=here.value)
        return ask.NOISE_FLOOR

    def runs_away():
        def solve(start):
            here = yield ask.Evaluate(start.w + [0, 0, 1e30, 0])
            yield ask.Accept(here, gap=here.value)
            return ask.NOISE_FLOOR

        return solve

    monkeypatch.setattr(driver, "newton_cholesky", type("runs", (), {"__new__": lambda cls: runs_away()}))
    objective = Objective.from_arrays(X, y, C=np.inf)
    found = driver.run(stops, objective, np.zeros(4), tol=1e-8)
    assert abs(found.w).max() < 1e3
