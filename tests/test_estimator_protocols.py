"""The estimator among scikit-learn's tools: its checks, company, routing, dispatch and callbacks."""

import importlib.util
import os
import pickle
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import sklearn
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_breast_cancer
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression as Sklearn
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator, parametrize_with_checks

from conftest import draw
from logreg_accel import LogisticRegression, driver, solvers


@pytest.mark.filterwarnings("ignore:Solver sgd")
@parametrize_with_checks(
    [
        LogisticRegression(backend="numpy"),
        LogisticRegression(backend="numpy", solver="lbfgs", class_weight="balanced"),
        LogisticRegression(backend="numpy", solver="newton-cg"),
        LogisticRegression(backend="numpy", solver="sgd", max_iter=30),
    ]
)
def test_scikit_learns_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize(
    "estimator, check",
    [
        # integers have loops of their own, which only `-m slow` compiles anywhere
        pytest.param(estimator, check, id=name, marks=[pytest.mark.slow] if "dtypes" in name else [])
        for i, (estimator, check) in enumerate(
            estimator_checks_generator(LogisticRegression(backend="numba"))
        )
        for name in [f"{check.func.__name__}-{i}"]
    ],
)
def test_scikit_learns_checks_of_compiled_loops(estimator, check):
    check(estimator)


def test_it_works_inside_scikit_learns_tools():
    X, y = load_breast_cancer(return_X_y=True)
    pipe = make_pipeline(StandardScaler(), LogisticRegression())
    assert cross_val_score(pipe, X, y, cv=3).mean() > 0.96
    search = GridSearchCV(
        pipe,
        {
            "logisticregression__C": [0.01, 1.0, np.inf],
            "logisticregression__solver": ["newton-cholesky", solvers.lbfgs(memory=5)],
        },
        cv=3,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        assert search.fit(X, y).best_score_ > 0.96
    calibrated = CalibratedClassifierCV(LogisticRegression(), cv=3).fit(X, y)
    assert calibrated.score(X, y) > 0.9
    frozen = CalibratedClassifierCV(FrozenEstimator(LogisticRegression().fit(X, y))).fit(X, y)
    assert frozen.score(X, y) > 0.9
    three = OneVsRestClassifier(LogisticRegression()).fit(X[:300], np.arange(300) % 3)
    assert three.predict(X).shape == (569,)


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: LogisticRegression(penalty="l1"), "'penalty'; here it is `l1_ratio`"),
        (lambda: LogisticRegression(n_jobs=2), "`n_threads`"),
        (
            lambda: LogisticRegression(multi_class="ovr"),
            "no parameter 'multi_class'; leave it out: more than",
        ),
        (lambda: LogisticRegression(solver="saga").fit([[0.0], [1.0]], [0, 1]), "'auto' chooses what suits"),
        (lambda: LogisticRegression().fit(np.arange(4) % 2, np.ones((4, 3))), "`X` and `y` are swapped"),
        (lambda: driver.run("newton-cg", None, None), r"solvers.newton_cg\(\)"),
    ],
)
def test_words_of_scikit_learn_are_told_apart(call, words):
    with pytest.raises((TypeError, ValueError), match=words):
        call()
    assert "penalty" not in LogisticRegression().get_params()


def test_clone_and_pickle():
    X, y = load_breast_cancer(return_X_y=True)
    clf = LogisticRegression(solver=solvers.gd(step=0.1, momentum=0.9), C=2.0)
    assert clone(clf).get_params() == clf.get_params()
    fitted = LogisticRegression(backend="numba").fit(X, y)
    again = pickle.loads(pickle.dumps(fitted))
    assert np.array_equal(again.predict_proba(X), fitted.predict_proba(X))
    assert again.backend_ == "numba" and again.backend_.reason == fitted.backend_.reason


def test_feature_names_are_remembered_and_compared():
    pd = pytest.importorskip("pandas")
    X, y, _, _ = draw(50, 3)
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    clf = LogisticRegression().fit(frame, y)
    assert clf.feature_names_in_.tolist() == ["a", "b", "c"]
    with pytest.raises(ValueError, match="feature names"):
        clf.predict(frame[["b", "a", "c"]])
    with pytest.warns(UserWarning, match="valid feature names"):
        clf.predict(X)


def test_not_fitted():
    with pytest.raises(NotFittedError):
        LogisticRegression().predict(np.ones((2, 2)))


DISPATCH = """
import numpy as np, array_api_strict as xp, sklearn
from logreg_accel import LogisticRegression
X = np.random.default_rng(0).standard_normal((50, 3))
y = (X[:, 0] > 0).astype(int)
plain = LogisticRegression().fit(X, y)
there = xp.asarray(X)
with sklearn.config_context(array_api_dispatch=True):
    fitted = LogisticRegression().fit(there, xp.asarray(y))
    for name in ("predict", "predict_proba", "predict_log_proba", "decision_function"):
        got = getattr(fitted, name)(there)
        assert type(got) is type(there), name
        np.testing.assert_allclose(np.from_dlpack(got), getattr(plain, name)(X))
    assert fitted.score(there, y) == plain.score(X, y)
    words = LogisticRegression().fit(there, np.where(y, "yes", "no"))
    assert words.predict(there).dtype.kind == "U"
assert type(fitted.predict(there)) is np.ndarray
"""


def test_predictions_come_back_where_x_lies_under_array_api_dispatch():
    done = subprocess.run(
        [sys.executable, "-c", DISPATCH],
        env={**os.environ, "SCIPY_ARRAY_API": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("solver", ["lbfgs", "newton-cg", "newton-cholesky"])
def test_scikit_learns_names_of_solvers_mean_the_same(solver):
    X, y, _, _ = draw(300, 5)
    ours = LogisticRegression(solver=solver, tol=1e-12).fit(X, y)
    peer = Sklearn(solver=solver, tol=1e-10, max_iter=1000).fit(X, y)
    np.testing.assert_allclose(ours.coef_, peer.coef_, atol=1e-6)


def test_weights_are_routed_to_fit_and_score():
    X, y, s, _ = draw(200, 4, weighted=True)
    with sklearn.config_context(enable_metadata_routing=True):
        model = LogisticRegression().set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        search = GridSearchCV(model, {"C": [1.0]}, cv=2).fit(X, y, sample_weight=s)
    direct = LogisticRegression().fit(X, y, sample_weight=s)
    np.testing.assert_allclose(search.best_estimator_.coef_, direct.coef_)
    assert (search.best_estimator_.coef_ != LogisticRegression().fit(X, y).coef_).any()


def test_set_output_changes_nothing():
    X, y, _, _ = draw(50, 3)
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    with sklearn.config_context(transform_output="pandas"):
        model = make_pipeline(StandardScaler(), LogisticRegression()).fit(frame, y)
        assert isinstance(model.predict_proba(frame), np.ndarray)
    assert model[-1].feature_names_in_.tolist() == ["a", "b", "c"]


def test_predict_leaves_the_model_as_it_was():
    X, y, _, _ = draw(50, 3)
    for model in (LogisticRegression().fit(X, y), LogisticRegression(solver="sgd").partial_fit(X, y, [0, 1])):
        before = pickle.dumps(model)
        model.predict_proba(X)
        model.predict(sp.csr_array(X))
        assert pickle.dumps(model) == before


callbacks_known = pytest.mark.skipif(
    importlib.util.find_spec("sklearn.callback") is None, reason="scikit-learn before 1.9 has no callbacks"
)


class Listener:
    def __init__(self, stop_after=None):
        self.events, self.stop_after = [], stop_after

    def setup(self, estimator, context):
        self.events.append("setup")

    def teardown(self, estimator, context):
        self.events.append("teardown")

    def on_fit_task_begin(self, estimator, context, *, metadata=None):
        self.events.append(("begin", context.task_name, metadata is not None))

    def on_fit_task_end(self, estimator, context, *, X=None, y=None, fitted_estimator=None):
        score = None if fitted_estimator is None else fitted_estimator.score(X, y)
        self.events.append(("end", context.task_name, score))
        return (
            self.stop_after is not None and sum(event[0] == "end" for event in self.events) >= self.stop_after
        )


@callbacks_known
def test_scikit_learns_callbacks_hear_of_every_step():
    X, y, s, _ = draw(300, 4, weighted=True)
    listener = Listener()
    model = LogisticRegression().set_callbacks(listener).fit(X, y, sample_weight=s)
    events = listener.events
    assert events[0] == "setup" and events[-1] == "teardown" and events[1] == ("begin", "fit", True)
    assert events[-2] == ("end", "fit", model.score(X, y))
    steps = [event for event in events if event[:2] == ("end", "step")]
    assert (
        len(steps) == sum(not np.isnan(record.suboptimality) for record in model.history_) + 1
    )  # and one that was none
    assert sum(event[:2] == ("begin", "step") for event in events) == len(steps)
    stopped = LogisticRegression().set_callbacks(Listener(stop_after=2)).fit(X, y)
    assert stopped.status_ == "callback" and stopped.n_iter_[0] <= 2


@callbacks_known
def test_scikit_learns_callbacks_are_torn_down_and_propagated():
    X, y, _, _ = draw(100, 4)
    listener = Listener()
    with pytest.raises(ValueError, match="not finite|contains NaN"):
        LogisticRegression().set_callbacks(listener).fit(np.where(X > 2, np.nan, X), y)
    assert listener.events[-1] == "teardown"
    from sklearn.callback import ProgressBar

    search = GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=2).set_callbacks(ProgressBar())
    assert search.fit(X, y).best_estimator_.status_ == "converged"
