"""Many models on rows that are read from blocks: those in memory are the reference."""

import pickle
import warnings

import numpy as np
import pytest
import scipy.sparse
from sklearn.model_selection import GroupKFold, ShuffleSplit, StratifiedKFold, TimeSeriesSplit

from conftest import chunked, draw
from logreg_accel import LogisticRegressionCV, fit_many, logistic_regression_path, scan
from logreg_accel.data import packed
from logreg_accel.many import splits
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
    """Mean losses are summed block by block; other scores take as many reads as their margins need."""
    X, y, _ = problem("float64")
    for scoring, more in (("roc_auc", 5), ("neg_log_loss", 0)):
        clf = LogisticRegressionCV(Cs=4, cv=3, scoring=scoring)
        whole = dict(vars(clf.fit(chunked(X, y))))
        with monkeypatch.context() as patch:
            room = 2.5 * 8 * M / 3 / 200e6  # of two models and a half
            patch.setattr("logreg_accel.many.folds._MARGINS", room)
            clf.fit(chunked(X, y, memory="200MB"))
        np.testing.assert_array_equal(clf.scores_, whole["scores_"])
        assert clf.n_passes_ == pytest.approx(whole["n_passes_"] + more)


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("count", [2, 5, 11])
def test_folds_of_a_source_are_those_of_scikit_learn(count, shuffle):
    rng = np.random.default_rng(count)
    folds = StratifiedKFold(count, shuffle=shuffle, random_state=3 if shuffle else None)
    for m, n_classes in ((40, 2), (501, 4), (3000, 7)):
        codes = np.concatenate([rng.integers(n_classes, size=m - n_classes), np.arange(n_classes)])
        with warnings.catch_warnings(record=True) as ours:
            warnings.simplefilter("always")
            split = splits.stratified(folds, codes.astype(np.uint8), n_classes)
        with warnings.catch_warnings(record=True) as known:
            warnings.simplefilter("always")
            expected = splits.split_by(folds.split(codes, codes), m)
        assert [str(one.message) for one in ours] == [str(one.message) for one in known]
        np.testing.assert_array_equal(split.bits, expected.bits)
        assert split.sizes == expected.sizes and split.is_partition
        for i in range(count):
            np.testing.assert_array_equal(split.test(i), expected.test(i))
        cuts = [m // 3, 0, m - m // 3]
        for one, other in zip(split.of_blocks(cuts, [1, 0]), expected.of_blocks(cuts, [1, 0]), strict=True):
            for (i, places, rows), (j, others, theirs) in zip(one, other, strict=True):
                assert i == j
                np.testing.assert_array_equal(rows, theirs)
                np.testing.assert_array_equal(np.arange(split.sizes[i])[places], others)


def test_more_folds_than_rows_of_any_class():
    with pytest.raises(ValueError, match="`cv` makes 9 folds, and no class has more than 6 rows"):
        splits.stratified(StratifiedKFold(9), np.arange(12) % 2, 2)


def test_margins_that_memory_has_no_room_for_are_in_a_file(monkeypatch):
    X, y, _ = problem("classes")
    clf = LogisticRegressionCV(Cs=2, cv=3).fit(chunked(X, y))
    known = clf.oof_decision_function_
    assert type(known) is np.ndarray
    monkeypatch.setattr("logreg_accel.many.folds._MARGINS", 0.0)
    clf.fit(chunked(X, y))
    assert isinstance(clf.oof_decision_function_, np.memmap)
    np.testing.assert_array_equal(clf.oof_decision_function_, known)
    clf.oof_decision_function_[0] = 0.0  # it belongs to the user
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(clf)).oof_decision_function_[1:], known[1:])


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


def test_what_all_rows_take_in_memory_is_asked_for(monkeypatch):
    X, y, s = problem("weights")
    monkeypatch.setattr("logreg_accel.many.opened._LEAST", 200_000_000)
    with pytest.raises(MemoryError, match="of 3,000 rows take 0 MB.*is 200 MB; expected at least 200 MB"):
        LogisticRegressionCV().fit(chunked(X, y, s, memory="200MB"))


def test_blocks_that_have_to_leave_memory_are_written(monkeypatch):
    monkeypatch.setattr(cache, "RESIDENT", 0.5)
    X, y, _ = problem("float64")
    known = LogisticRegressionCV(Cs=2, cv=2).fit(chunked(X, y, memory="300MB"))
    monkeypatch.setattr("logreg_accel.many.opened._PROOF", 10**9)
    clf = LogisticRegressionCV(Cs=2, cv=2).fit(chunked(X, y, memory="300MB"))
    np.testing.assert_array_equal(clf.coef_, known.coef_)
    np.testing.assert_array_equal(clf.scores_, known.scores_)
