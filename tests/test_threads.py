"""Threads: the same bits at any number of them, many fits at once, and life after fork."""

import multiprocessing
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from conftest import FLOATS, block_of, draw
from logreg_accel import LogisticRegression
from logreg_accel.backends import get_backend
from logreg_accel.backends.threads import run_lanes


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", FLOATS)
def test_the_same_bits_at_any_number_of_threads(dtype, weighted, loss):
    X, y, s, W = draw(40_000, 100, dtype, weighted=weighted)  # 16 or 32 MB: many lanes
    block = block_of(X, y, s)
    results = []
    for n_threads in (1, 2, 3):
        backend, _ = get_backend("numba", X.nbytes, n_threads=n_threads)
        sums = backend.loss_gradient(block, W, loss, keep_margins=True)
        results.append((sums.value, sums.gradient, sums.margins, backend.hessian_vector(block, W, W, loss)))
    for other in results[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(results[0], other, strict=True))


@pytest.mark.parametrize("name", ["numpy", "numba"])
def test_eight_fits_at_once(name):
    problems = [draw(5000, 30, "float32", seed=seed) for seed in range(8)]

    def fit(problem):
        return LogisticRegression(backend=name, solver="lbfgs", n_threads=2 if name == "numba" else 1).fit(*problem[:2]).coef_

    alone = [fit(problem) for problem in problems]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(fit, problems))
    for a, b in zip(alone, together, strict=True):
        assert np.array_equal(a, b)


def _fit_in_child(queue):
    X, y, _, _ = draw(40_000, 50, "float32")
    queue.put(LogisticRegression(backend="numba", solver="lbfgs", n_threads=2).fit(X, y).coef_)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_fork_after_a_fit():
    X, y, _, _ = draw(40_000, 50, "float32")
    parent = LogisticRegression(backend="numba", solver="lbfgs", n_threads=2).fit(X, y).coef_
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_fit_in_child, args=(queue,))
    child.start()
    try:
        assert np.array_equal(queue.get(timeout=60), parent)
    finally:
        child.join(10)
        child.kill()


def test_lanes_run_once_each_and_errors_come_back():
    ran = []
    run_lanes(ran.append, 50, 3)
    assert sorted(ran) == list(range(50))

    def fail(lane):
        if lane == 7:
            raise RuntimeError("lane 7")

    with pytest.raises(RuntimeError, match="lane 7"):
        run_lanes(fail, 20, 1)
