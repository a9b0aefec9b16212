"""The public API as a user with a type checker sees it: `mypy` checks this file, a test runs it."""

from typing import assert_type

import numpy as np

import logreg_accel
from logreg_accel import (
    LogisticRegression,
    Objective,
    TableEncoder,
    backends,
    firth,
    inference,
    load,
    solvers,
)
from logreg_accel.history import Record
from logreg_accel.inference import Inference


def fit_and_save(path: str) -> float:
    """Every public name once, with the types that are promised."""
    X, y = np.random.default_rng(0).random((50, 3)), np.arange(50) % 2
    model = LogisticRegression(C=0.5, solver=solvers.gd(step=0.1, momentum=0.5), max_iter=5, tol=1.0)
    assert_type(model.fit(X, y), LogisticRegression)
    assert_type(model.save(path), None)
    assert_type(model.status_, str)
    assert_type(model.history_, list[Record])
    assert_type(model.backend_.reason, str)
    assert_type(model.coef_, np.ndarray)
    assert_type(load(path), LogisticRegression)
    assert_type(backends(), dict[str, str | None])
    result = inference(LogisticRegression(C=np.inf).fit(X, y), X, y)
    assert_type(result, Inference)
    assert_type(result.bse, np.ndarray)
    assert_type(firth(X, y).model, LogisticRegression)
    encoder = TableEncoder(min_count=1).fit({"a": [1.0, 2.5], "b": ["x", "y"]})
    assert_type(encoder, TableEncoder)
    assert_type(encoder.get_feature_names_out(), np.ndarray)
    objective = Objective.from_arrays(X, y, n_threads=1)
    value, gradient = objective.value_and_gradient(np.zeros(objective.size))
    assert_type(value, float)
    assert_type(gradient, np.ndarray)
    assert_type(logreg_accel.read_bandwidth(X, repeats=1), float)
    assert_type(logreg_accel.plain_loss_gradient(X, y, np.zeros(3), 0.0), tuple[float, np.ndarray])
    return model.score(X, y)
