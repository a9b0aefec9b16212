"""Scores that are computed without scikit-learn have its values."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, roc_auc_score

from logreg_accel import LogisticRegressionCV
from logreg_accel.many.rates import accuracy, roc_auc


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("digits", [1, 6])
def test_rates_are_those_of_scikit_learn(weighted, dtype, digits, monkeypatch):
    """Margins may be equal and weights zero; a sum of m weights is rounded by up to m units in the last
    place."""
    monkeypatch.setattr("logreg_accel.many.rates._AT_ONCE", 30)
    rng = np.random.default_rng(digits)
    for m in (2, 3, 50, 400):
        z, y = rng.standard_normal(m).astype(dtype).round(digits), rng.permutation(np.arange(m) % 2)
        s = rng.random(m) * (rng.random(m) > 0.2) + (np.arange(m) == 0) if weighted else None
        if weighted and min(s[y == 0].sum(), s[y == 1].sum()) == 0:
            continue
        expected, rounding = roc_auc_score(y, z, sample_weight=s), 4 * m * np.finfo(np.float64).eps
        assert abs(roc_auc(z[:, None], y, s) - expected) <= rounding
        assert accuracy(z[:, None], y, s) == accuracy_score(y, z > 0, sample_weight=s)
        margins, y = rng.standard_normal((m, 4)), rng.integers(0, 4, m)
        assert accuracy(margins, y, s) == accuracy_score(y, margins.argmax(axis=1), sample_weight=s)


def test_areas_that_are_undefined_are_left_to_scikit_learn():
    z, y = np.zeros((3, 1)), np.array([0, 1, 1])
    assert roc_auc(z, np.ones(3, dtype=int), None) is None
    assert roc_auc(z, y, np.array([0.0, 1.0, 1.0])) is None
    assert roc_auc(np.full((3, 1), -np.inf), y, None) is None
    assert roc_auc(np.zeros((3, 3)), np.arange(3), None) is None
    X = np.random.default_rng(0).standard_normal((60, 2))
    with pytest.raises(ValueError, match="multi_class"):
        LogisticRegressionCV(Cs=2, cv=2, scoring="roc_auc").fit(X, np.arange(60) % 3)
