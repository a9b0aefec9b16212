"""What a fit must survive: Ctrl-C at any moment, refused calls, limits of threads."""

import os
import signal
import subprocess
import sys
import warnings

import numpy as np
import pytest
import threadpoolctl
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from conftest import draw
from logreg_accel import LogisticRegression, Objective, driver, small, solvers
from logreg_accel.solvers import questions as ask


class Interrupted:
    """An objective whose n-th answer to some questions is Ctrl-C."""

    def __init__(self, objective, kinds, at):
        self.objective, self.kinds, self.left = objective, kinds, at

    def __getattr__(self, name):
        return getattr(self.objective, name)

    def answer(self, question):
        if isinstance(question, self.kinds):
            self.left -= 1
            if self.left < 0:
                raise KeyboardInterrupt
        return self.objective.answer(question)


def run(objective, solver, **options):
    return driver.run(solver, objective, np.zeros(objective.size), tol=1e-9, **options)


@pytest.mark.parametrize("kinds", [ask.DualValue, ask.Curvature, (ask.Draw, ask.MarginChange)], ids=str)
@pytest.mark.parametrize(
    "solver", [solvers.lbfgs(), solvers.newton_cg(), solvers.gd()], ids=lambda s: type(s).__name__
)
def test_ctrl_c_in_the_certificate_keeps_the_model(solver, kinds):
    X, y, _, _ = draw(3000, 4)
    objective = Objective.from_arrays(X, y)
    whole = run(objective, solver)
    found = run(Interrupted(objective, kinds, 0), solver)
    assert np.isfinite(found.w).all() and found.value <= objective.value_and_gradient(np.zeros(5))[0]
    assert found.status == "interrupted" or found.status == whole.status, "nothing of that kind was asked"
    if kinds is ask.DualValue:
        assert found.status == "interrupted" and found.value <= whole.value * (1 + 1e-4)


@pytest.mark.parametrize("solver", ["auto", "lbfgs", "newton-cg", "newton-subsampled", "row-space", "sgd"])
def test_ctrl_c_at_any_answer_keeps_the_best_model(solver):
    """Whichever answer it interrupts, the model is no worse than the start."""
    X, y, _, _ = draw(*((40, 90) if solver == "row-space" else (4000, 3)))
    objective = Objective.from_arrays(X, y)
    at_zero = objective.value_and_gradient(np.zeros(objective.size))[0]
    made = solvers.resolve_solver(solver, *X.shape[::-1], X.nbytes)[0]
    for at in [*range(1, 12), 20, 40, 80]:
        interrupted = Interrupted(objective, object, at)
        try:
            found = run(interrupted, made, max_iter=3)
        except KeyboardInterrupt:
            assert interrupted.left == -1 and at < 20, "only before there is any point of all rows"
            continue
        assert np.isfinite(found.w).all() and found.value <= at_zero
        assert (found.status == "interrupted") == (interrupted.left < 0)


def test_ctrl_c_in_the_bound_sets_the_attributes_and_raises(monkeypatch):
    from logreg_accel import duality

    def interrupted(*_):
        raise KeyboardInterrupt

    X, y, _, _ = draw(300, 3)
    expected = LogisticRegression().fit(X, y)
    monkeypatch.setattr(duality, "plain", interrupted)
    monkeypatch.setattr(small, "suits", lambda *_: False)
    model = LogisticRegression()
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y)
    assert model.status_ == "interrupted" and model.suboptimality_bound_ == np.inf
    np.testing.assert_allclose(model.coef_, expected.coef_, atol=0.01)


@pytest.mark.slow
def test_suites_that_run_in_the_background_do_not_hang():
    """SIGINT is ignored there, as under nohup, so that the test of Ctrl-C restores it and limits every
    wait."""
    here = os.path.dirname(__file__)
    test = os.path.join(here, "test_cli_errors.py")
    command = [sys.executable, "-m", "pytest", "-q", test, "-k", "test_ctrl_c", "-p", "no:cacheprovider"]
    done = subprocess.run(
        command,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", ["numpy", "numba"])
def test_n_threads_holds_for_an_objective_on_its_own(name, monkeypatch):
    """BLAS is limited inside every answer and has its threads again after it."""
    X, y, _, W = draw(2000, 8)
    objective = Objective.from_arrays(X, y, backend=name, n_threads=1)

    def blas_threads():
        return {pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"}

    before, seen, really = blas_threads(), [], objective.rows.backend.run

    def recording(pass_, block):
        seen.append(blas_threads())
        return really(pass_, block)

    monkeypatch.setattr(objective.rows.backend, "run", recording)
    w = W[:, 0]
    objective.value_and_gradient(w)
    objective.hessian_vector(w, w)
    objective.diagonal(w)
    objective.hessian(w)
    objective.margins(w)
    assert len(seen) == 5 and all(threads == {1} for threads in seen)
    assert blas_threads() == before


def quietly(call, *arguments, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return call(*arguments, **options)


@pytest.mark.parametrize("refused", ["X", "y", "solver", "nan"])
def test_partial_fit_goes_on_after_a_fit_that_was_refused(refused):
    """A refused call changes neither the weights of the rows nor the state that partial_fit continues
    from."""
    X, y, _, _ = draw(600, 3)
    models = [LogisticRegression(solver="sgd", max_iter=3, C=0.01) for _ in range(2)]
    for model in models:
        quietly(model.fit, X, y)
        model.partial_fit(X[:200], y[:200])
    spoilt = models[0]
    with pytest.raises((ValueError, TypeError)):
        if refused == "solver":
            spoilt.set_params(solver="sdg").fit(X, y)
        elif refused == "X":
            spoilt.fit(np.ones((50, 3)) * 1j, y[:50])
        elif refused == "nan":
            spoilt.fit(np.where(X > 2, np.nan, X)[:50], y[:50])
        else:
            spoilt.fit(X[:50], np.zeros(50))
    spoilt.set_params(solver="sgd")
    for model in models:
        model.partial_fit(X[200:], y[200:])
    np.testing.assert_array_equal(models[0].coef_, models[1].coef_)
    assert models[0].n_features_in_ == 3 and models[0].status_ == models[1].status_


@pytest.mark.parametrize("first", [True, False])
def test_partial_fit_says_what_to_do_when_the_intercept_comes_or_goes(first):
    X, y, _, _ = draw(200, 3)
    model = LogisticRegression(solver="sgd", fit_intercept=first).partial_fit(X, y, classes=[0, 1])
    before = model.coef_
    with pytest.raises(
        ValueError, match=f"`fit_intercept` is {not first}.* had {first}. Set it back, or begin"
    ):
        model.set_params(fit_intercept=not first).partial_fit(X, y)
    assert model.coef_ is before
    assert np.isfinite(model.set_params(fit_intercept=first).partial_fit(X, y).coef_).all()
    quietly(model.set_params(fit_intercept=not first, max_iter=2).fit, X, y)
    assert (model.partial_fit(X, y).intercept_ == 0).all() == first
    model.set_params(fit_intercept=first)
    assert (clone(model).partial_fit(X, y, classes=[0, 1]).intercept_ != 0).all() == first


def test_a_fit_that_is_refused_leaves_the_last_model():
    X, y, _, _ = draw(100, 3)
    model = LogisticRegression().fit(X, y)
    before = model.predict_proba(X)
    with pytest.raises(ValueError, match="NaN"):
        model.fit(np.full((10, 7), np.nan), np.arange(10) % 2)
    np.testing.assert_array_equal(model.predict_proba(X), before)


def test_ctrl_c_before_there_is_a_model_leaves_no_trace(monkeypatch):
    """Neither the number of features of a refit nor the classes of a first part stay."""
    X, y, _, _ = draw(100, 3)
    monkeypatch.setattr(small, "suits", lambda *_: False)
    fitted = LogisticRegression().fit(X, y)
    fresh = LogisticRegression(solver="sgd")
    expected = fitted.predict(X)

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Objective, "answer", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fitted.fit(X[:, :2], y)
        with pytest.raises(KeyboardInterrupt):
            fresh.partial_fit(X, y, classes=[0, 1])
    np.testing.assert_array_equal(fitted.predict(X), expected)
    assert not hasattr(fresh, "classes_")
    assert fresh.partial_fit(X, y, classes=[0, 1]).coef_.shape == (1, 3)


def test_the_point_that_the_certificate_was_looking_at_is_kept():
    """A budget that ends inside the certificate does not lose the accepted point."""
    X, y, _, _ = draw(3000, 4)
    objective = Objective.from_arrays(X, y)
    whole = run(objective, solvers.lbfgs())
    found = run(Interrupted(objective, ask.Draw, 0), solvers.lbfgs())
    assert found.status in ("interrupted", whole.status), "rows may not be asked for"
    assert found.value <= whole.history[-1].value * (1 + 1e-8)
