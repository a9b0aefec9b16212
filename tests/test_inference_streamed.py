"""Error bars of rows that are read block by block: those of the same rows in memory."""

import gc

import numpy as np
import pytest

from logreg_accel import LogisticRegression, inference, scan
from logreg_accel.data import packed

KINDS = ["iid", "HC0", "HC1", "CRV1"]


def draw(classes, m=900):
    rng = np.random.default_rng(classes)
    X = rng.standard_normal((m, 4)) + [0, 100, 0, 0]
    X[:, 3] = X[:, 3] > 0
    z = X @ rng.standard_normal((4, classes)) * 0.5 + rng.gumbel(size=(m, classes))
    return X, (z - z.mean(axis=0)).argmax(axis=1), rng.random(m) + 0.5, rng.integers(0, 60, m)


def rows(X, y, s=None):
    def chunks():
        for part in np.array_split(np.arange(len(y)), 5):
            yield (X[part], y[part]) if s is None else (X[part], y[part], s[part])

    return scan(chunks, memory="100MB")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("classes", [2, 3])
def test_errors_of_a_source_are_those_in_memory(monkeypatch, classes, kind):
    monkeypatch.setattr(packed, "BLOCK", 1 << 12)
    X, y, s, groups = draw(classes)
    s = None if kind == "iid" else s
    clf = LogisticRegression(C=np.inf, tol=1e-12).fit(X, y, s)
    vcov = {"CRV1": groups} if kind == "CRV1" else kind
    expected, found = inference(clf, X, y, s, vcov=vcov), inference(clf, rows(X, y, s), vcov=vcov)
    covariance = expected.cov_params()  # small entries are what large ones leave, with their rounding
    np.testing.assert_allclose(found.cov_params(), covariance, rtol=1e-9, atol=1e-12 * abs(covariance).max())
    for name in ("llf", "llnull", "aic", "bic", "nobs"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name), rel=1e-11)
    gc.collect()  # the blocks are there for as long as the result is
    effects, known = found.get_margeff(), expected.get_margeff()
    np.testing.assert_allclose(effects.margeff, known.margeff, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(effects.margeff_se, known.margeff_se, rtol=1e-7)


@pytest.mark.parametrize("streamed", [False, True], ids=["memory", "streamed"])
def test_groups_without_weight_are_no_groups(monkeypatch, streamed):
    """Rows of weight 0 count like absent ones, and so do groups of such rows in the factor for small
    samples."""
    monkeypatch.setattr(packed, "BLOCK", 1 << 12)
    X, y, s, groups = draw(2)
    s[groups % 3 == 1] = 0
    kept = s > 0
    settings = {"C": np.inf, "tol": 1e-12}
    clf = LogisticRegression(**settings).fit(X, y, s)
    less = LogisticRegression(**settings).fit(X[kept], y[kept], s[kept])
    given = (rows(X, y, s),) if streamed else (X, y, s)
    found = inference(clf, *given, vcov={"CRV1": groups})
    expected = inference(less, X[kept], y[kept], s[kept], vcov={"CRV1": groups[kept]})
    assert found.n_groups == expected.n_groups == len(np.unique(groups[kept])) < 60
    np.testing.assert_allclose(found.bse, expected.bse, rtol=1e-7)
    with pytest.raises(ValueError, match="a single group of positive weight, False: clustered"):
        inference(clf, *given, vcov={"CRV1": ~kept})


def test_other_data_than_those_of_the_fit():
    X, y, s, _ = draw(2)
    clf = LogisticRegression(C=np.inf).fit(X, y)
    for source, message in (
        (rows(X[:-1], y[:-1]), "899 rows"),
        (rows(X[:, :3], y), "other columns than the fit"),
        (rows(X, np.where(y == 1, "b", "a")), "the classes"),
        (rows(X, y, s), "The weights add up to"),
    ):
        with pytest.raises(ValueError, match=message):
            inference(clf, source)
    with pytest.raises(TypeError, match="`y` is given beside a source"):
        inference(clf, rows(X, y), y)
