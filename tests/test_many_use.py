"""Many models as users meet them: `train --cv`, and scikit-learn's class under the patch."""

import json
import warnings

import numpy as np
import pytest
import sklearn
from command_line import X, Y, run, write
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegressionCV as Peer
from sklearn.model_selection import KFold

from logreg_accel import (
    LogisticRegression,
    LogisticRegressionCV,
    fit_many,
    load,
    patch_sklearn,
    unpatch_sklearn,
)


@pytest.fixture
def train(tmp_path, capsys):
    data, model = write(tmp_path / "data.npz"), tmp_path / "model.npz"

    def trained(*options):
        code, out, err = run("train", data, "--target", "t", "--model", model, *options, capsys=capsys)
        return code, out, err, model

    return trained


def test_train_chooses_c(train):
    code, out, err, model = train("--cv", 4, "--C", "0.01,1,100", "--json", "--seed", 3)
    assert code == 0, err
    tried = json.loads(out)["cv"]
    assert [row["C"] for row in tried] == [0.01, 1, 100] and "models" in err
    best = min(tried, key=lambda row: row["log_loss"])
    assert "best" in best["choice"] and load(model).C == best["C"]
    alone = LogisticRegression(C=best["C"]).fit(X, Y)
    np.testing.assert_allclose(load(model).predict_proba(X), alone.predict_proba(X), atol=1e-6)

    code, out, err, model = train("--cv", 4, "--C", "0.01,1,100", "--json", "--seed", 3, "--one-se")
    (chosen,) = [row["C"] for row in json.loads(out)["cv"] if "1se" in row["choice"]]
    assert code == 0 and load(model).C == chosen <= best["C"]


def test_train_prints_what_was_tried(train):
    code, out, err, _ = train("--cv", 3)
    assert code == 0 and "Cross-validation" in out and "best" in out and "±" in out
    assert sum("±" in line for line in out.splitlines()) == 10


def test_no_c_is_the_best_where_no_model_was_done(train):
    code, out, err, model = train("--cv", 3, "--C", "auto", "--max-seconds", "1e-9")
    assert code != 0 and "none of the 30 models was done (max_seconds)" in err
    assert "Cross-validation" not in out and not model.exists()


def test_folds_that_a_budget_ended_are_told(tmp_path, capsys):
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(300, 3))
    z = 4 * rows[:, 0] + rng.logistic(size=300)
    np.savez(tmp_path / "rows.npz", X=rows, t=(z > np.median(z)).astype(int))  # balanced: no step at 1e-9
    options = ["--target", "t", "--model", tmp_path / "model.npz", "--cv", 3, "--C", "1e-9,1e4"]
    code, out, err = run("train", tmp_path / "rows.npz", *options, "--max-iter", 1, capsys=capsys)
    assert code == 0, err
    strong, weak = (line for line in out.splitlines() if "±" in line)
    assert "folds done" not in strong and "(0 of 3 folds done)" in weak


@pytest.mark.parametrize(
    "options, message",
    [
        (("--C", "auto"), "need --cv"),
        (("--C", "1,2"), "need --cv"),
        (("--one-se",), "need --cv"),
        (("--cv", 1), "at least 2 folds"),
        (("--cv", 3, "--C", "1,-1"), "not a positive number"),
    ],
    ids=str,
)
def test_options_that_do_not_go_together(train, options, message):
    code, _, err, model = train(*options)
    assert code == 2 and message in err and not model.exists()


@pytest.fixture
def patched(caplog):
    caplog.set_level("INFO", logger="logreg_accel")
    patch_sklearn()
    yield lambda: ["fitted by logreg_accel" in record.message for record in caplog.records]
    unpatch_sklearn()


NEW = {"use_legacy_attributes": False, "scoring": "neg_log_loss", "l1_ratios": (0,)}
SETTINGS = [{}, {"class_weight": "balanced"}, {"fit_intercept": False}, {"refit": False}]
ATTRIBUTES = ("Cs_", "scores_", "coefs_paths_", "coef_", "intercept_", "n_iter_", "l1_ratios_", "classes_")
modern = pytest.mark.skipif(
    "use_legacy_attributes" not in Peer().get_params(), reason="this scikit-learn has no new attributes"
)


@modern
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("data", [load_breast_cancer, load_iris])
def test_scikit_learns_class_under_the_patch(patched, settings, data):
    A, y = data(return_X_y=True)
    A = (A - A.mean(axis=0)) / A.std(axis=0)
    fit = Peer(Cs=[0.01, 1.0, 10.0], **NEW, **settings).fit(A, y)
    assert patched() == [True] and type(fit) is Peer
    unpatch_sklearn()
    own = Peer(Cs=[0.01, 1.0, 10.0], tol=1e-9, max_iter=10_000, **NEW, **settings).fit(A, y)
    for name in ("C_", "l1_ratio_"):
        assert getattr(fit, name) == getattr(own, name) and type(getattr(fit, name)) is float
    for name in ATTRIBUTES:
        a, b = getattr(fit, name), getattr(own, name)
        assert a.shape == b.shape and a.dtype.kind == b.dtype.kind, name
        if name != "n_iter_":
            np.testing.assert_allclose(a, b, atol=1e-4, err_msg=name)


@modern
@pytest.mark.parametrize("l1_ratio", [0, 1])
def test_liblinear_without_an_intercept_is_fitted_here(patched, l1_ratio):
    """With an intercept, liblinear penalises it; and several values of l1_ratio are an elastic net, which it
    refuses."""
    A, y = load_breast_cancer(return_X_y=True)
    A = (A - A.mean(axis=0)) / A.std(axis=0)
    settings = {
        "Cs": [0.01, 0.1],
        "cv": 3,
        **NEW,
        "l1_ratios": (l1_ratio,),
        "solver": "liblinear",
        "random_state": 0,
    }
    fit = Peer(fit_intercept=False, **settings).fit(A, y)
    Peer(**settings).fit(A, y)
    with pytest.raises(ValueError):
        Peer(fit_intercept=False, **{**settings, "l1_ratios": (0, 1)}).fit(A, y)
    with pytest.raises(ValueError):
        Peer(fit_intercept=False, **settings).fit(A, np.arange(len(y)) % 3)
    assert patched() == [True] + [False] * 3
    unpatch_sklearn()
    own = Peer(fit_intercept=False, tol=1e-7, max_iter=1000, **settings).fit(A, y)
    assert fit.C_ == own.C_
    for name in ATTRIBUTES:
        a, b = getattr(fit, name), getattr(own, name)
        assert a.shape == b.shape and a.dtype.kind == b.dtype.kind, name
        if name != "n_iter_":
            # liblinear stops with objectives a little above ours: correlated weights are then off by far more
            np.testing.assert_allclose(a, b, atol=1e-3, err_msg=name)


@modern
def test_what_means_something_else_is_left_to_scikit_learn(patched):
    A, y = load_iris(return_X_y=True)
    Peer(Cs=2, cv=2, use_legacy_attributes=True, scoring="accuracy", l1_ratios=(0,)).fit(A, y)
    with sklearn.config_context(enable_metadata_routing=True):
        Peer(Cs=2, cv=2, **NEW).fit(A, y)
    assert patched() == [False, False]


def test_a_choice_is_cloned_and_set_like_any_estimator():
    clf = sklearn.base.clone(LogisticRegressionCV(Cs=3, scoring="roc_auc"))
    assert clf.set_params(Cs=[1.0]).fit(X, Y).C_ == 1.0


def test_tiny_folds_whose_classes_have_no_curvature_warn_of_nothing_else():
    """A class that a split lacks has next to no curvature, which beside the others is rounding."""
    rng = np.random.default_rng(3)
    A, y = rng.normal(size=(24, 3)) * [0.1, 1, 10], np.repeat(np.arange(4), 6)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = LogisticRegressionCV(Cs=[1e-3, 1, 1e4, 1e8], cv=KFold(4), tol=1e-12).fit(A, y)
    strong = model.suboptimality_bound_[:, 0, :2]
    assert (strong <= 1e-8).all(), strong


@pytest.mark.parametrize("kind", ["Int64", "boolean", "text", "category"])
def test_missing_labels_of_a_frame(kind):
    """pandas has NA and NaT in its own dtypes, beside numbers and texts."""
    pandas = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 3))
    Y = (X[:, :2] + rng.standard_normal((60, 2)) > 0).astype(float)
    gone = np.arange(60) % 7 == 0
    Y[gone, 0] = np.nan
    if kind in ("Int64", "boolean"):
        frame = pandas.DataFrame(Y).astype(kind)
    else:
        frame = pandas.DataFrame(np.where(Y == 1, "yes", "no")).astype(object)
        frame.loc[gone, 0] = None
        frame = frame.astype("category") if kind == "category" else frame
    for found, expected in zip(fit_many(X, frame), fit_many(X, Y), strict=True):
        np.testing.assert_array_equal(found.coef_, expected.coef_)
    kinds = {"Int64": "iu", "boolean": "b"}.get(kind, "OU")
    assert len(found.classes_) == 2 and found.classes_.dtype.kind in kinds
