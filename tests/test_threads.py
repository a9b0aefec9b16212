"""Threads: the same bits at any number of them, many fits at once, and life after fork."""

import multiprocessing
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import threadpoolctl

from conftest import FLOATS, block_of, draw
from logreg_accel import LogisticRegression
from logreg_accel.backends import get_backend, passes
from logreg_accel.backends.threads import available_threads, blas_limit, run_lanes, usable_threads
from logreg_accel.losses import Multinomial


def every_second(X):
    """A layout without a loop of its own: the generic bodies run."""
    wide = np.zeros((X.shape[0], 2 * X.shape[1]), dtype=X.dtype)
    wide[:, ::2] = X
    return wide[:, ::2]


@pytest.mark.parametrize(
    "layout", [np.ascontiguousarray, np.asfortranarray, every_second], ids=["C", "F", "strided"]
)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", FLOATS)
def test_the_same_bits_at_any_number_of_threads(dtype, weighted, layout, loss):
    X, y, s, W = draw(40_000, 100, dtype, weighted=weighted)  # 16 or 32 MB: many lanes
    X = layout(X)
    block = block_of(X, y, s)
    results = []
    for n_threads in (1, 2, 3):
        backend, _ = get_backend("numba", X.nbytes, n_threads=n_threads)
        sums = backend.run(passes.LossGradient(W, loss, keep_margins=True), block)
        results.append(
            (
                sums.value,
                sums.gradient,
                sums.margins,
                backend.run(passes.HessianVector(W, W, loss), block),
                backend.run(passes.Diagonal(W, loss), block),
                backend.run(passes.Hessian(W, loss), block),
                backend.run(passes.Margins(W), block),
                backend.run(passes.Line(sums.margins, sums.margins * 2, 0.7, loss), block),
            )
        )
    for other in results[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(results[0], other, strict=True))


@pytest.mark.parametrize("dtype", FLOATS)
def test_the_same_bits_with_many_classes(dtype):
    X, y, s, _ = draw(40_000, 100, dtype, weighted=True)
    block, loss = block_of(X, y + 2 * np.arange(len(y), dtype=np.uint8) % 6, s), Multinomial(6)
    W, V = np.random.default_rng(0).standard_normal((2, 101, 6))
    results = []
    for n_threads in (1, 2, 3):
        backend, _ = get_backend("numba", X.nbytes, n_threads=n_threads)
        sums = backend.run(passes.LossGradient(W, loss, keep_margins=True), block)
        taken = backend.take(block, np.arange(0, 40_000, 2), np.ones(20_000))
        results.append(
            (
                sums.value,
                sums.gradient,
                sums.margins,
                taken.X.stored,
                backend.run(passes.HessianVector(W, V, loss), block),
                backend.run(passes.HessianVector(W, V, loss, sums.margins), block),
                backend.run(passes.ColumnSquares(), block),
                backend.run(passes.RowSquares(np.ones(100)), block),
            )
        )
        assert np.array_equal(*results[-1][4:6])
        assert (
            np.array_equal(taken.X.stored, X[::2])
            and np.array_equal(taken.y, block.y[::2])
            and (taken.sample_weight == 1).all()
        )
    for other in results[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(results[0], other, strict=True))


@pytest.mark.parametrize("name", ["numpy", "numba"])
def test_eight_fits_at_once(name):
    problems = [draw(5000, 30, "float32", seed=seed) for seed in range(8)]

    def fit(problem):
        return (
            LogisticRegression(backend=name, solver="lbfgs", n_threads=2 if name == "numba" else 1)
            .fit(*problem[:2])
            .coef_
        )

    before = usable_threads()
    alone = [fit(problem) for problem in problems]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(fit, problems))
    for a, b in zip(alone, together, strict=True):
        assert np.array_equal(a, b)
    assert usable_threads() == before


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

    for n_threads in (1, 2):
        with pytest.raises(RuntimeError, match="lane 7"):
            run_lanes(fail, 20, n_threads)


def test_an_error_leaves_no_lane_running():
    running, main = [], threading.get_ident()

    def work(lane):
        if threading.get_ident() == main:
            raise KeyboardInterrupt
        running.append(lane)
        time.sleep(0.05)
        running.remove(lane)

    with pytest.raises(KeyboardInterrupt):
        run_lanes(work, 50, 2)
    assert not running


def test_limits_of_others_are_kept():
    """Inside threadpool_limits, as workers of joblib and Dask set it, a fit takes no more threads."""
    usable_threads()
    with threadpoolctl.threadpool_limits(1, user_api="blas"):
        assert usable_threads() == 1
    assert 1 <= usable_threads() <= available_threads()


def test_blas_has_one_thread_in_lanes_and_gets_them_back():
    def blas_threads():
        return {pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"}

    before, usable = blas_threads(), usable_threads()
    with blas_limit(1):
        with blas_limit(2):
            assert blas_threads() == {1} and usable_threads() == usable
        assert blas_threads() == {1}
    assert blas_threads() == before


def test_a_limit_holds_in_whatever_thread_it_is_set():
    """Also after another thread, which lives on, has set one: as of many fits at once, or of a server's."""
    found = []

    def blas_threads():
        return {pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"}

    def work():
        with blas_limit(1):
            found.append(blas_threads())
        found.append(blas_threads())

    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        before = blas_threads()
        for _ in range(2):
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
        assert found == [{1}, before] * 2


def test_a_limit_of_one_thread_reaches_the_lanes(monkeypatch, loss):
    X, y, _, W = draw(40_000, 100, "float32")
    asked = []
    monkeypatch.setattr(
        "logreg_accel.backends.numba.run_lanes",
        lambda work, n_lanes, n_threads: asked.append(n_threads) or [work(i) for i in range(n_lanes)],
    )
    with threadpoolctl.threadpool_limits(1, user_api="blas"):
        get_backend("numba", X.nbytes)[0].run(passes.LossGradient(W, loss), block_of(X, y))
    get_backend("numba", X.nbytes, n_threads=3)[0].run(passes.LossGradient(W, loss), block_of(X, y))
    assert asked == [1, 3]
