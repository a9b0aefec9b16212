"""Probabilities for classes as frequent as a prior says."""

import numpy as np
import pytest

from logreg_accel import LogisticRegression, load


def problem(classes, m=4000, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(m, 3))
    z = X[:, :1] * np.arange(classes) - 1.2 * np.arange(classes) + rng.gumbel(size=(m, classes))
    return X, np.array(["no", "some", "yes"])[z.argmax(axis=1)]


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("sample_weight", [False, True])
def test_the_prior_moves_margins_by_its_formula(classes, sample_weight, tmp_path):
    X, y = problem(classes)
    s = np.random.default_rng(1).random(len(y)) + 0.5 if sample_weight else None
    clf = LogisticRegression(class_weight="balanced", C=np.inf).fit(X, y, s)
    weights = np.ones(len(y)) if s is None else s
    data = np.array([weights[y == label].sum() for label in clf.classes_]) / weights.sum()
    np.testing.assert_allclose(clf.class_shares_, [np.full(classes, 1 / classes), data], rtol=1e-12)
    odds = clf.predict_proba(X) * data * classes
    expected = odds / odds.sum(axis=1, keepdims=True)
    clf.save(tmp_path / "model.npz")
    for model in (clf, load(tmp_path / "model.npz")):
        for prior in ("data", data, data.tolist(), *([data[1]] if classes == 2 else [])):
            np.testing.assert_allclose(model.predict_proba(X, prior=prior), expected, rtol=1e-9)
        np.testing.assert_allclose(
            model.predict_log_proba(X, prior="data"), np.log(expected), rtol=1e-7, atol=1e-12
        )
    np.testing.assert_allclose(
        clf.predict_proba(X, prior=np.full(classes, 1 / classes)), clf.predict_proba(X), rtol=1e-9
    )


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_class_weights_are_undone(classes, dtype):
    """With a true model, corrected probabilities are about those of a fit without class weights."""
    X, y = problem(classes, m=40_000)
    X = X.astype(dtype)
    plain = LogisticRegression(C=np.inf).fit(X, y)
    weighted = LogisticRegression(C=np.inf, class_weight="balanced").fit(X, y)
    corrected = weighted.predict_proba(X, prior="data")
    assert abs(weighted.predict_proba(X) - plain.predict_proba(X)).max() > 0.1
    assert abs(corrected - plain.predict_proba(X)).max() < 0.02
    assert abs(corrected.mean(axis=0) - weighted.class_shares_[1]).max() < 0.005


def test_extreme_priors_keep_their_digits():
    X, y = problem(2)
    clf = LogisticRegression().fit(X, y)
    p = clf.predict_proba(X, prior=1e-12)
    assert ((0 < p[:, 1]) & (p[:, 1] < 1e-8)).all()
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-15)


def test_priors_that_are_refused():
    X, y = problem(2)
    clf = LogisticRegression().fit(X, y)
    for prior in ([0.5], [0.5, 0.6], 0.0, 1.0, -0.2, [np.nan, 0.5], "balanced", [[0.5, 0.5]], {"no": 0.5}):
        with pytest.raises(ValueError, match="`prior` is .*expected"):
            clf.predict_proba(X, prior=prior)
    clf = LogisticRegression(solver="sgd").partial_fit(X, y, classes=["no", "some"])
    with pytest.raises(ValueError, match="`prior` needs the shares of the classes"):
        clf.predict_proba(X, prior="data")
