"""Problems of more than two classes."""

import numpy as np

from conftest import draw


def scaled(load):
    X, y = load(return_X_y=True)
    return (X - X.mean(axis=0)) / np.where(X.std(axis=0) > 0, X.std(axis=0), 1), y


def problem(m=200, n=5, k=4, dtype="float64", weighted=True, seed=0):
    X, _, s, _ = draw(m, n, dtype, weighted=weighted, seed=seed)
    y = np.random.default_rng(seed).integers(0, k, m)
    y[:k] = np.arange(k)
    return X, y, s
