"""Seconds of whole fits, over backends, solvers and shapes."""

import warnings

import numpy as np
import pytest

from conftest import BACKENDS, FIT_SHAPE_PARAMS, backend_and_block, report
from logreg_accel import LogisticRegression


def fit(name, solver, X, y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return LogisticRegression(backend=name, solver=solver, tol=1e-6).fit(X, y)


@pytest.mark.parametrize("dtype", ["float32"])
@pytest.mark.parametrize("shape", FIT_SHAPE_PARAMS)
@pytest.mark.parametrize("solver", ["newton-cholesky", "newton-cg", "lbfgs"])
@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.benchmark(group="fit")
def test_fit(benchmark, name, solver, problem):
    _, block, where = backend_and_block(name, problem)
    model = fit(name, solver, block.X, problem.y)
    expected = fit("numpy", "newton-cholesky", problem.X, problem.y)
    assert (model.history_[-1].value - expected.history_[-1].value) / expected.history_[-1].value <= 2e-6
    assert np.abs(model.coef_ - expected.coef_).max() <= 0.02 * np.abs(expected.coef_).max()
    benchmark.pedantic(lambda: fit(name, solver, block.X, problem.y), rounds=3, iterations=1)
    benchmark.extra_info.update(passes=model.n_passes_, suboptimality=model.suboptimality_)
    report(benchmark, problem, where, reads=model.n_passes_)
