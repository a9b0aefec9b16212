"""Intervals cover what they say: simulations of independent rows, of clusters, and of rare events."""

import numpy as np
import pytest

from logreg_accel import LogisticRegression, firth, inference

TIMES = 2000
TRUTH = np.array([-0.5, 0.6, -0.4])


def draw(rng, m, groups=None):
    """Rows of a marginal logistic model; of clusters, whose rows have a column and their luck in common."""
    X = rng.normal(size=(m, 2))
    uniform = rng.random(m)
    if groups is not None:
        X[:, 1] = rng.normal(size=groups.max() + 1)[groups]
        shared = rng.random(groups.max() + 1)[groups]
        uniform = np.where(rng.random(m) < 0.4, shared, uniform)  # each row alone is as likely as without
    return X, (uniform < 1 / (1 + np.exp(-(TRUTH[0] + X @ TRUTH[1:])))).astype(int)


def share_covered(intervals):
    """How often the truth lies in the intervals of a generator, parameter by parameter."""
    inside = [(low <= TRUTH) & (high >= TRUTH) for low, high in (each.T for each in intervals)]
    assert len(inside) == TIMES
    return np.mean(inside, axis=0)


@pytest.mark.slow
@pytest.mark.parametrize("vcov", ["iid", "HC1"])
def test_intervals_of_independent_rows_cover(vcov):
    def intervals():
        for seed in range(TIMES):
            X, y = draw(np.random.default_rng(seed), 500)
            clf = LogisticRegression(C=np.inf, backend="numpy").fit(X, y)
            yield inference(clf, X, y, vcov=vcov).conf_int()

    assert (abs(share_covered(intervals()) - 0.95) <= 0.015).all()


@pytest.mark.slow
def test_clustered_intervals_cover():
    """Clustered errors cover where errors for independent rows do not."""
    groups, plain = np.repeat(np.arange(120), 8), []

    def intervals():
        for seed in range(TIMES):
            X, y = draw(np.random.default_rng(seed), len(groups), groups)
            clf = LogisticRegression(C=np.inf, backend="numpy").fit(X, y)
            plain.append(inference(clf, X, y).conf_int())
            yield inference(clf, X, y, vcov={"CRV1": groups}).conf_int()

    assert (abs(share_covered(intervals()) - 0.95) <= 0.015).all()
    assert share_covered(plain)[[0, 2]].max() < 0.9


@pytest.mark.slow
def test_profile_intervals_of_small_samples_cover():
    def intervals():
        for seed in range(TIMES):
            X, y = draw(np.random.default_rng(seed), 60)
            yield firth(X, y, backend="numpy").conf_int()

    assert (abs(share_covered(intervals()) - 0.95) <= 0.02).all()
