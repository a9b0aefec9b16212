"""Many models on rows that are read from blocks: those in memory are the reference."""

import warnings

import numpy as np
import pytest
import scipy.sparse
from sklearn.model_selection import GroupKFold, ShuffleSplit, TimeSeriesSplit

from conftest import chunked, draw
from logreg_accel import LogisticRegressionCV, fit_many, logistic_regression_path, scan
from logreg_accel.data import packed
from logreg_accel.rows import cache, stream

M, N = 3000, 5


@pytest.fixture(autouse=True)
def short_of_memory(monkeypatch):
    """Many blocks, none of which stays in memory; nor do row vectors."""
    monkeypatch.setattr(packed, "BLOCK", 1 << 15)
    monkeypatch.setattr(cache, "RESIDENT", 0.0)
    monkeypatch.setattr(stream, "VECTORS", 0.0)


def problem(kind):
    X, _, s, _ = draw(M, N, weighted=True)
    rng = np.random.default_rng(3)
    y = (X @ rng.standard_normal(N) + rng.standard_normal(M) > 0.5).astype(int)
    if kind == "float32":
        X = X.astype(np.float32)
    if kind == "sparse":
        X = scipy.sparse.csr_array(np.where(abs(X) > 1, X, 0))
    if kind == "far":
        X = X + 1e6 * np.arange(N)
    if kind == "classes":
        y = np.array(["low", "mid", "top"])[y + (X[:, 0] > 0.3)]
    return X, y, s if kind in ("weights", "classes") else None


SETTINGS = {
    "float64": {"refit": "1se", "solver": "newton-cholesky"},
    "float32": {"cv": TimeSeriesSplit(3), "solver": "newton-subsampled"},
    "sparse": {"cv": ShuffleSplit(3, random_state=0)},
    "far": {"solver": "newton-subsampled"},
    "classes": {"class_weight": "balanced", "cv": 3},
    "weights": {"class_weight": "balanced", "scoring": "roc_auc", "refit": False},
    "l1": {"l1_ratios": (0.0, 1.0), "cv": 3},
    "newton-cg": {
        "solver": "newton-cg",
        "fit_intercept": False,
        "scoring": lambda fit, X, y: (fit.predict(X) == y).mean(),
    },
}


@pytest.mark.parametrize("kind", SETTINGS)
def test_a_choice_is_that_in_memory(kind):
    X, y, s = problem(kind)
    clf = LogisticRegressionCV(
        Cs=[1e-3, 0.1, 10.0], tol=1e-13 if kind != "float32" else 1e-9, **SETTINGS[kind]
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clf.fit(X, y, s)
        known, score = dict(vars(clf)), clf.score(X, y, s)
        clf.fit(chunked(X, y, s))
    assert clf.C_ == known["C_"] and clf.C_1se_ == known["C_1se_"] and clf.l1_ratio_ == known["l1_ratio_"]
    scale = abs(known["coef_"]).max()
    np.testing.assert_allclose(clf.coef_, known["coef_"], rtol=0, atol=1e-6 * scale)
    np.testing.assert_allclose(clf.coefs_paths_[..., :N], known["coefs_paths_"][..., :N], atol=1e-5 * scale)
    np.testing.assert_allclose(clf.scores_, known["scores_"], rtol=1e-6)
    assert (clf.suboptimality_bound_ <= clf.tol).all() and list(clf.classes_) == list(np.unique(y))
    assert hasattr(clf, "oof_decision_function_") == ("oof_decision_function_" in known)
    if "oof_decision_function_" in known:
        np.testing.assert_allclose(clf.oof_decision_function_, known["oof_decision_function_"], atol=1e-4)
    assert clf.score(chunked(X, y, s)) == pytest.approx(score, rel=1e-6)


def test_held_out_margins_that_memory_has_no_room_for(monkeypatch):
    X, y, _ = problem("float64")
    whole = LogisticRegressionCV(Cs=4, cv=3).fit(chunked(X, y))
    monkeypatch.setattr(
        "logreg_accel.many.folds._MARGINS", 2.5 * 8 * M / 3 / 200e6
    )  # of two models and a half
    parts = LogisticRegressionCV(Cs=4, cv=3).fit(chunked(X, y, memory="200MB"))
    np.testing.assert_array_equal(parts.scores_, whole.scores_)
    assert parts.n_passes_ == pytest.approx(whole.n_passes_ + 5)


def test_groups_split_a_source():
    X, y, _ = problem("float64")
    groups, clf = np.arange(M) // 100 % 7, LogisticRegressionCV(Cs=2, cv=GroupKFold(3), tol=1e-12)
    known = clf.fit(X, y, groups=groups).scores_
    np.testing.assert_allclose(clf.fit(chunked(X, y), groups=groups).scores_, known, rtol=1e-6)


def test_paths_and_targets_are_those_in_memory():
    X, y, s = problem("weights")
    Y = np.stack([y, X[:, 0] > 0.2, 1 - y], axis=1).astype(float)
    Y[::7, 1] = np.nan
    ours = logistic_regression_path(chunked(X, y, s), Cs=3, tol=1e-12)
    known = logistic_regression_path(X, y, Cs=3, sample_weight=s, tol=1e-12)
    np.testing.assert_allclose(ours.coef, known.coef, rtol=1e-4, atol=1e-7)
    for settings in ({"class_weight": "balanced"}, {"l1_ratio": 1.0}):
        several = fit_many(chunked(X, y, s), Y, C=[0.01, 1.0], tol=1e-12, **settings)
        expected = fit_many(X, Y, C=[0.01, 1.0], tol=1e-12, sample_weight=s, **settings)
        for fit, other in zip(several, expected, strict=True):
            np.testing.assert_allclose(fit.coef_, other.coef_, atol=1e-5)
    (alone,) = fit_many(chunked(X, y, s))
    np.testing.assert_allclose(alone.class_shares_[0] @ [0, 1], np.average(y, weights=s))


@pytest.mark.parametrize(
    "settings, given, error, message",
    [
        ({"standardize": True}, {}, TypeError, "`standardize` is not offered"),
        ({}, {"y": np.ones(M)}, TypeError, "`y` is given beside a source"),
        ({}, {"sample_weight": np.ones(M)}, TypeError, "`sample_weight` is given beside a source"),
        ({}, {"offset": np.ones(M)}, TypeError, "`offset` is given beside a source"),
        ({"solver": "sgd"}, {}, ValueError, "`solver` is 'sgd'"),
        ({"Cs": [-1.0]}, {}, ValueError, "`Cs` is"),
        ({"refit": "best"}, {}, ValueError, "`refit` is 'best'"),
    ],
)
def test_what_a_source_cannot_be_fitted_with_costs_no_read(settings, given, error, message):
    def chunks():
        raise AssertionError("it was read")

    with pytest.raises(error, match=message):
        LogisticRegressionCV(**settings).fit(scan(chunks), **given)


def test_workers_share_no_models():
    X, y, _ = problem("float64")
    with pytest.raises(TypeError, match="the rows of one machine"):
        LogisticRegressionCV().fit(chunked(X, y, client=2))


def test_what_many_models_need_beside_the_blocks_is_asked_for():
    X = np.random.default_rng(0).standard_normal((400, 300))
    Y = np.tile(X[:, :80] > 0, 3).astype(int)
    with pytest.raises(MemoryError, match="Raise it to"):
        fit_many(chunked(X, Y[:, 0], memory="96MB"), Y, solver="newton-subsampled")
