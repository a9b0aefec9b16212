"""Memory is asked for before it is taken: every solver says what it needs, before the first read."""

import gc
import tracemalloc
import weakref

import numpy as np
import pytest
import scipy.sparse

from conftest import block_of, draw
from logreg_accel import LogisticRegression, LogisticRegressionCV, fit_many, logistic_regression_path, solvers
from logreg_accel.backends import get_backend, host
from logreg_accel.backends.base import Backend
from logreg_accel.backends.numba import lanes
from logreg_accel.backends.passes import Hessian
from logreg_accel.data import as_matrix
from logreg_accel.losses import Logistic
from logreg_accel.solvers import SOLVERS, resolve_solver
from logreg_accel.solvers.memory import Shape, needed


@pytest.mark.parametrize(
    "what", ["auto", *sorted(SOLVERS), "several classes", "sparse", "many", "path", "cv"]
)
@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_a_fit_keeps_nothing_of_x(backend, what):
    """Its memory is free as soon as the caller drops X, before Python collects circular references."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((2000, 6))
    X = scipy.sparse.csr_array(X * (X > 0)) if what == "sparse" else X
    y = np.arange(2000) % (3 if what == "several classes" else 2)
    l1_ratio = 0.5 if what in ("fista", "prox-newton") else 0.0
    solver = what if what in SOLVERS else "auto"
    fits = {
        "many": lambda X: fit_many(X, np.column_stack([y, 1 - y]), backend=backend),
        "path": lambda X: logistic_regression_path(X, y, Cs=3, l1_ratio=1.0, backend=backend),
        "cv": lambda X: LogisticRegressionCV(Cs=3, cv=3, backend=backend).fit(X, y),
    }
    one = LogisticRegression(solver=solver, l1_ratio=l1_ratio, backend=backend, tol=1e-3)
    fit = fits.get(what, lambda X: one.fit(X, y))
    gc.disable()
    try:
        found, seen = fit(X), weakref.ref(X)
        del X
        assert found is not None and seen() is None
    finally:
        gc.enable()


def with_bytes(monkeypatch, n_bytes):
    monkeypatch.setattr(Backend, "free_bytes", lambda self, X: n_bytes)


@pytest.mark.parametrize("name", sorted(SOLVERS))
def test_every_solver_says_what_it_needs(name):
    small, large = (needed(SOLVERS[name](), Shape(m, 50, 3, 4 * m * 50)) for m in (1000, 100_000))
    assert 0 < small < large


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("m, n", [(20_000, 400), (6000, 600)])
def test_what_a_hessian_needs_counts_the_weighted_rows_of_every_thread(m, n, threads):
    """A pass has no factor and no copy of the Hessian, which are two of the three matrices."""
    X = np.random.default_rng(0).standard_normal((m, n), dtype=np.float32)
    backend, _ = get_backend("numba", 0)
    backend.n_threads = threads
    block, pass_ = backend.upload(block_of(X, np.arange(m) % 2)), Hessian(np.zeros((n + 1, 1)), Logistic())
    backend.run(pass_, block)
    tracemalloc.start()
    try:
        backend.run(pass_, block)
        taken = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    shape = Shape(m, n, 1, X.nbytes, threads=threads)
    assert taken <= 1.02 * (shape.hessian(n + 1) - shape.matrices(2, n + 1))


def test_a_hessian_that_does_not_fit_is_refused_by_its_size(monkeypatch):
    """A Hessian of 4,200 parameters takes 141 MB three times, and 100 MB are available."""
    with_bytes(monkeypatch, 10**8)
    X, _, _, _ = draw(300, 20)
    y = np.arange(300) % 200
    with pytest.raises(
        MemoryError, match=r"newton-cholesky needs .* MB beside X for 20 features × 200 classes"
    ):
        LogisticRegression(solver="newton-cholesky").fit(X, y)
    with pytest.raises(MemoryError, match="100 MB are available; use solver='lbfgs'"):
        LogisticRegression(solver="newton-cholesky").fit(X, y)


def test_auto_takes_what_fits():
    """A Hessian of 4,550 parameters takes half a gigabyte, whereas products take vectors."""
    sizes = {"n_features": 90, "n_rows": 500_000, "nbytes": 4 * 90 * 500_000, "n_outputs": 50}
    shape = Shape(500_000, 90, 50, sizes["nbytes"])
    _, roomy, _ = resolve_solver("auto", **sizes)
    there = needed(SOLVERS["newton-cg"].for_shape(*shape[:3]), shape)
    assert needed(SOLVERS[roomy](), shape) > there
    made, name, reason = resolve_solver("auto", **sizes, available=lambda: there)
    assert name != roomy and needed(made, shape) <= there and f"{roomy} needs" in reason


def test_nothing_is_asked_where_nobody_knows(monkeypatch):
    with_bytes(monkeypatch, None)
    X, y, _, _ = draw(200, 4)
    assert LogisticRegression(solver="newton-cholesky").fit(X, y).status_ == "converged"


@pytest.mark.parametrize("l1_ratio", [0.0, 0.5])
def test_a_look_at_very_many_columns_is_asked_for(monkeypatch, l1_ratio):
    """A wrong index of 2e9 in a file led to a vector of 16 GB before memory was checked."""
    with_bytes(monkeypatch, 10**8)
    X = scipy.sparse.csr_array((np.ones(3), ([0, 1, 2], [0, 19_999_999, 1])), shape=(3, 20_000_000))
    monkeypatch.setattr("logreg_accel.fitting.seen_of", lambda *_: pytest.fail("X was looked at"))
    with pytest.raises(MemoryError, match="needs .* GB beside X for 20000000 features and 100 MB are"):
        LogisticRegression(l1_ratio=l1_ratio).fit(X, [0, 1, 0])


def test_samples_of_sparse_rows_are_asked_for(monkeypatch):
    """The metric is a square matrix of the features, however few entries there are."""
    shape = Shape(25_000, 9_000, 1, 40_000_000)
    assert needed(solvers.newton_cholesky(), shape) > 8 * 9_000**2
    with_bytes(monkeypatch, 10**8)
    X = scipy.sparse.random_array((2000, 9000), density=0.001, rng=np.random.default_rng(0), format="csr")
    with pytest.raises(MemoryError, match="newton-cholesky needs"):
        LogisticRegression(solver="newton-cholesky").fit(X, np.arange(2000) % 2)


@pytest.mark.parametrize("bytes_of_row, up_to", [(4 * 1000, 1000), (200, 400)], ids=["dense", "sparse"])
def test_working_sets_need_a_second_copy_where_columns_are_walked(bytes_of_row, up_to):
    """Of a sparse X, these are models of fewer weights."""
    matrix, walked = (
        needed(SOLVERS["working-set"](), Shape(100_000, n, 1, 100_000 * bytes_of_row))
        for n in (up_to - 1, up_to)
    )
    assert walked - matrix > 100_000 * bytes_of_row


def groups(folder, most, used):
    """The files that Linux shows of a control group of version 2."""
    (folder / "proc" / "self").mkdir(parents=True)
    (folder / "proc" / "meminfo").write_text("MemTotal: 9000 kB\nMemAvailable: 8000 kB\n")
    (folder / "proc" / "self" / "cgroup").write_text("0::/box\n")
    (folder / "groups" / "box").mkdir(parents=True)
    (folder / "groups" / "box" / "memory.max").write_text(f"{most}\n")
    (folder / "groups" / "box" / "memory.current").write_text(f"{used}\n")
    (folder / "groups" / "box" / "memory.stat").write_text("inactive_file 100\nactive_file 50\n")
    return host.available_memory(folder / "proc", folder / "groups")


@pytest.mark.parametrize(
    "most, used, there", [("max", 10, 8000 * 1024), (5000, 2000, 5000 - 2000 + 150), (1000, 5000, 0)]
)
def test_the_limit_of_a_container_counts(tmp_path, most, used, there):
    assert groups(tmp_path, most, used) == there


def test_sums_of_lanes_take_a_part_of_x():
    """They took 2.1 GB beside 763 MB for a hundred rows of two million numbers."""
    for m, n, k in ((100, 200_000, 1), (4000, 30_000, 5), (1_000_000, 20, 1)):
        X = as_matrix(np.broadcast_to(np.float32(0), (m, n)))
        assert lanes.count(X, k) == 1 or lanes.count(X, k) * 8 * n * k <= X.nbytes / 2


@pytest.mark.parametrize("name", ["numpy", "numba"])
def test_a_hessian_of_wide_rows_weights_some_at_a_time(name):
    """Beside the sums of two threads, it takes a weighted copy of 32 MB for each, not one of all rows."""
    rng, (m, n) = np.random.default_rng(0), (10_000, 1500)
    X, W = rng.standard_normal((m, n)), np.append(np.zeros(n), 0.5)[:, None]
    backend, _ = get_backend(name, X.nbytes, n_threads=2)
    block, threads = block_of(X, np.zeros(m, dtype=np.uint8)), 1 + (name == "numba")
    backend.run(Hessian(W[:3], Logistic()), block_of(X[:9, :2], block.y[:9]))  # whatever is loaded once
    tracemalloc.start()
    try:
        H = backend.run(Hessian(W, Logistic()), block)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    sums, part = 8 * (n + 1) ** 2, 8 * 512 * n
    assert peak <= 1.05 * ((threads + 1) * sums + threads * ((1 << 25) + part))
    p = 1 / (1 + np.exp(-0.5))
    rounding = 8 * np.finfo(np.float64).eps * np.sqrt(m) * p * (1 - p)
    np.testing.assert_allclose(
        H[:n, :n], p * (1 - p) * X.T @ X, rtol=0, atol=rounding * (X * X).sum(axis=0).max()
    )
