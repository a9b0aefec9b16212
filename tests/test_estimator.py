"""The estimator: scikit-learn's contract and company, parameters, published numbers."""

import importlib.util
import json
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
from sklearn.utils.estimator_checks import parametrize_with_checks

from conftest import BACKENDS, CPU_BACKENDS, FLOATS, SPECTOR, draw
from logreg_accel import LogisticRegression, solvers


@parametrize_with_checks(
    [
        *(LogisticRegression(backend=name) for name in CPU_BACKENDS),
        LogisticRegression(backend="numpy", solver="lbfgs", class_weight="balanced"),
        LogisticRegression(backend="numpy", solver="newton-cg"),
        LogisticRegression(backend="numpy", solver="sgd"),
    ]
)
def test_scikit_learns_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("name", BACKENDS)
def test_spector(name):
    """Stata's Logit of 32 students, without a penalty, as statsmodels' results_discrete.py prints it."""
    clf = LogisticRegression(C=np.inf, backend=name).fit(SPECTOR[:, :3], SPECTOR[:, 3])
    np.testing.assert_allclose(clf.coef_[0], [2.82611297201, 0.0951576702557, 2.37868772835], rtol=1e-6)
    np.testing.assert_allclose(clf.intercept_, [-13.0213483201], rtol=1e-6)
    assert -32 * clf.history_[-1].value == pytest.approx(
        -12.8896334653335, rel=1e-7
    )  # the printed fit is good to 1e-7


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("dtype", FLOATS)
def test_breast_cancer_equals_scikit_learn(name, dtype):
    X, y = load_breast_cancer(return_X_y=True)
    reference = Sklearn(solver="newton-cholesky", tol=1e-12, max_iter=1000).fit(X, y)
    clf = LogisticRegression(backend=name).fit(X.astype(dtype), y)
    assert clf.coef_.dtype == clf.intercept_.dtype == np.dtype(dtype)
    np.testing.assert_allclose(
        clf.predict_proba(X.astype(dtype)),
        reference.predict_proba(X),
        atol=1e-3 if dtype == "float32" else 1e-7,
    )


def test_backends_agree():
    X, y = load_breast_cancer(return_X_y=True)
    a = LogisticRegression(backend="numpy").fit(X, y)
    b = LogisticRegression(backend="numba").fit(X, y)
    np.testing.assert_allclose(a.coef_, b.coef_, rtol=1e-7)


def test_company():
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


@pytest.mark.parametrize(
    "labels",
    [
        np.array(["no", "yes"]),
        np.array(["no", "yes"], dtype=object),
        np.array([False, True]),
        np.array([1, 2]),
        np.array([-1, 1]),
        np.array([0.0, 1.0]),
        np.array([-(2**62), 2**62]),
        np.array([0, 1], dtype=np.uint8),
    ],
)
def test_labels_of_any_kind(labels):
    X, y, _, _ = draw(60, 3)
    clf = LogisticRegression().fit(X, labels[y])
    assert clf.classes_.tolist() == labels.tolist() and clf.classes_.dtype == labels.dtype
    assert set(clf.predict(X).tolist()) <= set(labels.tolist())
    np.testing.assert_array_equal(clf.coef_, LogisticRegression().fit(X, y).coef_)


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("class_weight", ["balanced", {0: 3.0, 1: 0.5}, {1: 2.0}])
def test_class_weights_equal_scikit_learns(name, class_weight):
    X, y, _, _ = draw(200, 4)
    a = LogisticRegression(class_weight=class_weight, backend=name).fit(X, y)
    b = Sklearn(class_weight=class_weight, solver="newton-cholesky", tol=1e-12).fit(X, y)
    np.testing.assert_allclose(a.coef_, b.coef_, rtol=1e-7)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("scale", [1e-200, 1e-50, 1e39, 1e200])
def test_weights_of_any_size(scale, dtype):
    """Only C times the weights matters."""
    X, y, s, _ = draw(100, 3, dtype, weighted=True)
    a = LogisticRegression(C=1 / scale).fit(X, y, s * scale)
    np.testing.assert_allclose(
        a.coef_, LogisticRegression().fit(X, y, s).coef_, rtol=1e-9 if dtype == "float64" else 1e-4
    )


def test_class_weights_and_sample_weights_multiply():
    X, y, s, _ = draw(200, 4, weighted=True)
    a = LogisticRegression(class_weight={0: 3.0}).fit(X, y, s)
    b = LogisticRegression().fit(X, y, s * np.where(y == 0, 3.0, 1.0))
    np.testing.assert_array_equal(a.coef_, b.coef_)


@pytest.mark.parametrize("solver", ["newton-cholesky", "newton-cg", "lbfgs"])
@pytest.mark.parametrize("name", BACKENDS)
def test_weight_two_is_a_row_twice(name, solver):
    X, y, _, _ = draw(150, 4)
    times = np.random.default_rng(0).integers(0, 3, 150)
    a = LogisticRegression(backend=name, solver=solver, tol=1e-16).fit(X, y, times)
    b = LogisticRegression(backend=name, solver=solver, tol=1e-16).fit(
        np.repeat(X, times, axis=0), np.repeat(y, times)
    )
    np.testing.assert_allclose(a.coef_, b.coef_, rtol=1e-7, atol=1e-9)


def test_warm_start():
    X, y, _, _ = draw(300, 6)
    clf = LogisticRegression(solver="lbfgs", warm_start=True).fit(X, y)
    first = clf.n_iter_[0]
    coef = clf.coef_.copy()
    clf.fit(X, y)
    assert clf.n_iter_[0] < first and np.allclose(clf.coef_, coef, atol=1e-4)
    with pytest.raises(ValueError, match="`warm_start=True` and the last fit had 6 features, this one 3"):
        clf.fit(X[:, :3], y)


def test_probabilities_of_huge_margins():
    X, y, _, _ = draw(60, 2)
    for dtype in FLOATS:
        clf = LogisticRegression().fit(X.astype(dtype), y)
        far = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]], dtype=dtype) * np.finfo(dtype).max
        p = clf.predict_proba(far)
        assert np.isin(p, [0, 1]).all() and np.allclose(p.sum(axis=1), 1)
        z = clf.coef_[0].astype(float) @ (np.sign(far.astype(float))).T
        assert np.array_equal(clf.predict(far), clf.classes_[(z > 0).astype(int)])


def test_history_tells_of_every_evaluation():
    X, y = load_breast_cancer(return_X_y=True)
    clf = LogisticRegression(solver="lbfgs", max_iter=20, tol=0.5).fit(StandardScaler().fit_transform(X), y)
    assert clf.history_[0].value == pytest.approx(np.log(2)) and clf.history_[0].n_passes == 1
    assert clf.history_[-1].n_passes <= clf.n_passes_
    assert all(record.gb_per_s > 0 and record.seconds > 0 for record in clf.history_)


def test_verbose_says_what_was_chosen(capsys):
    X, y, _, _ = draw(50, 3)
    LogisticRegression(verbose=1).fit(X, y)
    told = capsys.readouterr()
    assert told.out == ""
    assert "50 x 3 float64; backend numpy (0.0012 MB of X is small" in told.err and "iter  passes" in told.err


@pytest.mark.parametrize(
    "name, value, words",
    [
        ("C", 0, "`C` is 0; expected a positive number"),
        ("C", -1.0, "`C`"),
        ("C", np.nan, "`C`"),
        ("C", "1", "`C`"),
        ("tol", -1, "`tol`"),
        ("tol", np.inf, "`tol`"),
        ("max_iter", 0, "`max_iter`"),
        ("max_iter", 1.5, "`max_iter`"),
        ("max_passes", 0, "`max_passes`"),
        ("max_seconds", -1, "`max_seconds`"),
        ("n_threads", 0, "`n_threads`"),
        ("callback", 3, "`callback`"),
        ("solver", "adam", "`solver` is 'adam'"),
        ("backend", "torch", "`backend` is 'torch'"),
        ("class_weight", "even", "`class_weight` is 'even'"),
        ("class_weight", {7: 1.0}, r"not in `y`: \[7\]"),
        ("class_weight", {0: -1.0}, "not negative"),
    ],
)
def test_parameters_are_checked(name, value, words):
    X, y, _, _ = draw(20, 2)
    with pytest.raises(ValueError, match=words):
        LogisticRegression(**{name: value}).fit(X, y)


def test_not_fitted():
    with pytest.raises(NotFittedError):
        LogisticRegression().predict(np.ones((2, 2)))


def test_x_is_never_changed():
    X, y, s, _ = draw(100, 4, weighted=True)
    before = X.tobytes(), y.tobytes(), s.tobytes()
    for name in CPU_BACKENDS:
        LogisticRegression(backend=name, class_weight="balanced").fit(X, y, s).predict(X)
    assert (X.tobytes(), y.tobytes(), s.tobytes()) == before


def test_the_same_call_gives_the_same_bits():
    X, y, _, _ = draw(3000, 20, "float32")
    for name in CPU_BACKENDS:
        assert np.array_equal(
            LogisticRegression(backend=name).fit(X, y).coef_, LogisticRegression(backend=name).fit(X, y).coef_
        )


def test_published_answers(real_data):
    """R's glm of the South African heart disease data and UCLA's admissions."""
    pd = pytest.importorskip("pandas")
    published = json.loads((real_data / "published.json").read_text())
    heart = pd.read_csv(real_data / "small/SAheart.csv", skipinitialspace=True)
    heart["famhistPresent"] = (heart["famhist"].str.strip() == "Present").astype(float)
    admissions = pd.read_csv(real_data / "small/admissions_binary.csv")
    for level in (2, 3, 4):
        admissions[f"rank{level}"] = (admissions["rank"] == level).astype(float)
    for name, frame, target in [
        ("SAheart_ESL_table4.2", heart, "chd"),
        ("UCLA_admissions", admissions, "admit"),
    ]:
        terms, coef = published[name]["terms"], published[name]["coef"]
        clf = LogisticRegression(C=np.inf).fit(frame[terms[1:]], frame[target])
        np.testing.assert_allclose(np.append(clf.intercept_, clf.coef_), coef, rtol=2e-4, atol=1e-6)


@pytest.mark.parametrize("name", BACKENDS)
def test_real_data_of_some_size(real_data, name):
    """Skin pixels, 245,057 rows: the same optimum as scikit-learn's."""
    table = np.loadtxt(real_data / "skin_nonskin/Skin_NonSkin.txt")
    X, y = table[:, :3], table[:, 3]
    clf = LogisticRegression(backend=name, tol=1e-13).fit(X, y)
    reference = Sklearn(solver="newton-cholesky", tol=1e-10, max_iter=1000).fit(X, y)
    np.testing.assert_allclose(clf.coef_, reference.coef_, rtol=1e-5)


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


# -- scikit-learn's protocols
# -----------------------------------------------------------------------------------------------


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
