"""Throughput of every pass, over backends, dtypes and shapes."""

import numpy as np
import pytest

from conftest import BACKENDS, DTYPES, SHAPE_PARAMS, backend_and_block, report
from logreg_accel import plain_loss_gradient
from logreg_accel.backends import get_backend, passes
from logreg_accel.losses import Logistic

LOSS = Logistic()


def reference(problem):
    return get_backend("numpy", 0)[0].run(passes.LossGradient(problem.W, LOSS), problem.block)


def limit(problem):
    return float(64 * np.finfo(problem.X.dtype).eps)


def assert_same(actual, expected, problem):
    """To the rounding of the arithmetic, relative to the largest component."""
    assert (
        np.abs(actual - expected).max() <= limit(problem) * np.sqrt(len(problem.X)) * np.abs(expected).max()
    )


def run(benchmark, function):
    benchmark.pedantic(function, rounds=7, iterations=1, warmup_rounds=1)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPE_PARAMS)
@pytest.mark.benchmark(group="loss_gradient")
def test_plain_way(benchmark, problem):
    value, gradient = plain_loss_gradient(problem.X, problem.y, problem.W[:-1, 0], problem.W[-1, 0])
    expected = reference(problem)
    assert value == pytest.approx(expected.value[0], rel=limit(problem) * 10)
    assert_same(gradient, expected.gradient[:, 0], problem)
    run(benchmark, lambda: plain_loss_gradient(problem.X, problem.y, problem.W[:-1, 0], problem.W[-1, 0]))
    report(benchmark, problem, "cpu")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPE_PARAMS)
@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.benchmark(group="loss_gradient")
def test_loss_gradient(benchmark, name, problem):
    backend, block, where = backend_and_block(name, problem)
    got, expected = backend.run(passes.LossGradient(problem.W, LOSS), block), reference(problem)
    assert got.value[0] == pytest.approx(expected.value[0], rel=limit(problem))
    assert_same(got.gradient, expected.gradient, problem)
    run(benchmark, lambda: backend.run(passes.LossGradient(problem.W, LOSS), block))
    report(benchmark, problem, where)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPE_PARAMS)
@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.benchmark(group="hessian_vector")
def test_hessian_vector(benchmark, name, problem):
    backend, block, where = backend_and_block(name, problem)
    V = np.random.default_rng(1).standard_normal(problem.W.shape)
    expected = get_backend("numpy", 0)[0].run(passes.HessianVector(problem.W, V, LOSS), problem.block)
    assert_same(backend.run(passes.HessianVector(problem.W, V, LOSS), block), expected, problem)
    run(benchmark, lambda: backend.run(passes.HessianVector(problem.W, V, LOSS), block))
    report(benchmark, problem, where)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPE_PARAMS)
@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.benchmark(group="margins")
def test_margins(benchmark, name, problem):
    backend, block, where = backend_and_block(name, problem)
    expected = get_backend("numpy", 0)[0].run(passes.Margins(problem.W), problem.block)
    assert_same(backend.to_host(backend.run(passes.Margins(problem.W), block)), expected, problem)
    run(benchmark, lambda: backend.to_host(backend.run(passes.Margins(problem.W), block)))
    report(benchmark, problem, where)


@pytest.mark.parametrize("dtype", ["float32"])
@pytest.mark.parametrize("shape", SHAPE_PARAMS[:3])
@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.benchmark(group="hessian")
def test_hessian(benchmark, name, problem):
    backend, block, where = backend_and_block(name, problem)
    expected = get_backend("numpy", 0)[0].run(passes.Hessian(problem.W, LOSS), problem.block)
    assert_same(backend.to_host(backend.run(passes.Hessian(problem.W, LOSS), block)), expected, problem)
    benchmark.pedantic(
        lambda: backend.to_host(backend.run(passes.Hessian(problem.W, LOSS), block)), rounds=3, iterations=1
    )
    report(benchmark, problem, where)
