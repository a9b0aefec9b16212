"""Threads: the same bits at any number of them, many fits at once, and life after fork."""

import gc
import multiprocessing
import os
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import scipy.sparse
import threadpoolctl

from conftest import FLOATS, block_of, draw
from logreg_accel import LogisticRegression
from logreg_accel.backends import get_backend, passes, threads
from logreg_accel.backends.threads import available_threads, blas_limit, looked_up, run_lanes, usable_threads
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


def _sparse(m, n):
    return scipy.sparse.random_array((m, n), density=8 / n, rng=np.random.default_rng(0), format="csr")


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    "name, X, k, solvers",
    [
        ("numba", _sparse(300, 12_000), 2, ["lbfgs", "newton-cg", "fista"]),
        ("numpy", _sparse(300, 12_000), 2, ["lbfgs", "newton-cg", "fista"]),
        ("numba", draw(60, 12_000)[0], 2, ["lbfgs", "newton-cg", "gd", "sgd", "fista"]),
        ("numba", draw(300, 2500, "float32")[0], 6, ["newton-cg", "lbfgs", "row-space"]),
        ("numba", draw(600, 120)[0], 2, ["newton-cholesky", "newton-subsampled", "row-space", "prox-newton"]),
    ],
    ids=["sparse", "sparse-numpy", "wide", "softmax", "small"],
)
def test_fits_have_the_same_bits_at_any_number_of_threads(name, X, k, solvers):
    """BLAS sums long vectors in an order that depends on its threads; SciPy's sparse products do not."""
    y = np.random.default_rng(1).integers(0, k, X.shape[0])
    for solver in solvers:
        penalty = {"l1_ratio": 0.5} if solver in ("fista", "prox-newton") else {}
        one, two = (
            LogisticRegression(solver=solver, backend=name, n_threads=n, max_iter=8, **penalty).fit(X, y)
            for n in (1, 2)
        )
        assert [r.value for r in one.history_] == [r.value for r in two.history_], solver
        assert np.array_equal(one.coef_, two.coef_) and np.array_equal(one.intercept_, two.intercept_)
        assert one.suboptimality_bound_ == two.suboptimality_bound_, solver


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


@pytest.mark.parametrize("name", ["numpy", "numba"])
def test_eight_threads_predict_with_one_model(name):
    X, y, _, _ = draw(5000, 30, "float32")
    model = LogisticRegression(backend=name, n_threads=2).fit(X, y)
    parts = np.array_split(X, 16)
    alone = [model.predict_proba(part) for part in parts]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(model.predict_proba, parts))
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


def test_helpers_that_come_too_late_keep_nothing():
    """Helpers that wait in the pool behind the lanes of other fits kept the data of their lanes alive."""
    free, rows = threading.Event(), np.ones(3)
    known = weakref.ref(rows)
    others = [threads._shared_pool().submit(free.wait, 60) for _ in range(available_threads())]
    try:
        run_lanes(lambda lane, rows=rows: rows.sum(), 4, 3)
        del rows
        gc.collect()
        assert known() is None and not any(other.done() for other in others)
    finally:
        free.set()


def test_limits_of_others_are_kept():
    """Inside threadpool_limits, as in workers of joblib and Dask, a fit takes no more threads than
    allowed."""
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


def test_limits_hold_in_every_thread_of_python():
    """With threadpoolctl 3.8, only the first Python thread that limits OpenBLAS can do so."""

    def blas_threads():
        return {pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"}

    def limited():
        with blas_limit(1):
            return blas_threads()

    before = blas_threads()
    assert limited() == {1}
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(limited).result() == {1}
        assert limited() == {1} and blas_threads() == before


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


@pytest.mark.parametrize("labels", [[3, 7], [-1.5, 2.0, 9.0], ["no", "yes"], [False, True]])
def test_many_labels_are_looked_up_as_few_are(labels):
    places = np.random.default_rng(0).integers(0, len(labels), 150_001).astype(np.uint8)
    for table in (np.array(labels), np.array(labels, dtype=object)):
        for some in (places, places[:5], places[:0]):
            for n_threads in (1, 3, None):
                found = looked_up(table, some, n_threads)
                assert found.dtype == table.dtype and np.array_equal(found, table[some])
