"""Fits for the tests of inference, and their covariances by the formulas of a textbook."""

import numpy as np

from logreg_accel import LogisticRegression

KINDS = ["iid", "HC0", "HC1", "CRV1"]


def fitted(X, y, s=None, tol=1e-13, **settings):
    return LogisticRegression(**{"C": np.inf, "tol": tol, **settings}).fit(X, y, sample_weight=s)


def problem(m=300, classes=2, seed=0):
    """Columns of several scales, one of zeros and ones, and groups of rows."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(m, 4)) * [1, 30, 0.01, 1] + [0, 500, 0, 0]
    X[:, 3] = X[:, 3] > 0
    z = X[:, :1] + (X[:, 1:2] - 500) / 30 * np.arange(classes) + rng.gumbel(size=(m, classes))
    groups = rng.integers(0, 25, m)
    return X, z.argmax(axis=1), groups, rng.random(m) + 0.5


def longhand(clf, X, y, s, kind, groups):
    """Parameters against classes_[0] and their covariance, row by row from the textbook's formulas."""
    A = np.hstack([np.ones((len(X), 1)), X])
    K = len(clf.classes_)
    W = np.vstack([clf.intercept_, clf.coef_.T]).astype(float)
    theta = W if K == 2 else W[:, 1:] - W[:, :1]
    e = np.exp(np.hstack([np.zeros((len(X), 1)), A @ theta]))
    P = (e / e.sum(axis=1, keepdims=True))[:, 1:]
    R = s[:, None] * (P - (y[:, None] == np.arange(1, K)))
    scores = (R[:, :, None] * A[:, None, :]).reshape(len(X), -1)
    H = np.zeros((scores.shape[1],) * 2)
    for a, p, weight in zip(A, P, s, strict=True):
        H += weight * np.kron(np.diag(p) - np.outer(p, p), np.outer(a, a))
    bread, (n, q), G = np.linalg.inv(H), scores.shape, len(np.unique(groups))
    summed = np.array([scores[groups == g].sum(axis=0) for g in np.unique(groups)])
    V = {
        "iid": bread,
        "HC0": bread @ scores.T @ scores @ bread,
        "HC1": n / (n - q) * bread @ scores.T @ scores @ bread,
        "CRV1": G / (G - 1) * (n - 1) / (n - q) * bread @ summed.T @ summed @ bread,
    }[kind]
    return theta, V


def vcov_of(kind, groups):
    return {"CRV1": groups} if kind == "CRV1" else kind
