"""Sparse X: every backend gives what it gives for the same numbers in a dense array."""

import warnings

import numpy as np
import pytest
import scipy.sparse
from sklearn.linear_model import LogisticRegression as Peer

from conftest import (
    BACKENDS,
    CPU_BACKENDS,
    SPARSE,
    backends_and,
    block_of,
    check_all_passes,
    cpu_or_gpu,
    draw,
)
from logreg_accel import LogisticRegression, Objective
from logreg_accel.backends import passes
from logreg_accel.data import as_matrix
from logreg_accel.data.sparse import conversion
from logreg_accel.losses import Logistic, Multinomial
from logreg_accel.solvers import SOLVERS

DTYPES = ["float64", "float32", "int64", "int32", "int16", "uint8", "int8", "bool"]


def knows_l1(solver):
    return getattr(SOLVERS[solver], "for_l1", False)


def thin(m, n, dtype="float64", share=0.2, weighted=False):
    """A problem like `draw`'s of which only a share is not zero; some rows and columns are all zero."""
    X, y, s, W = draw(m, n, dtype, weighted=weighted)
    rng = np.random.default_rng([m, n])
    X = X * (rng.random((m, n)) < share).astype(X.dtype)
    X[::7] = 0
    X[:, ::5] = 0
    return X, y, s, W


def quietly(model, *arguments):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(*arguments)


@pytest.mark.parametrize("weighted", [False, True], ids=["unweighted", "weighted"])
@pytest.mark.parametrize("kind", SPARSE)
@pytest.mark.parametrize("name", BACKENDS)
def test_passes_of_every_format(name, kind, weighted):
    X, y, s, W = thin(1500, 23, weighted=weighted)
    check_all_passes(cpu_or_gpu(name), X, y, s, W, stored=as_matrix(SPARSE[kind](X)))


@pytest.mark.parametrize("name, dtype", backends_and(DTYPES))
def test_passes_of_every_dtype(name, dtype):
    X, y, s, W = thin(400, 17, dtype, weighted=True)
    check_all_passes(cpu_or_gpu(name), X, y, s, W, stored=as_matrix(scipy.sparse.csr_array(X)))


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (3, 1), (1023, 3), (1025, 16), (40, 3000), (2049, 300)])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", BACKENDS)
def test_passes_at_awkward_sizes(name, dtype, shape):
    X, y, s, W = thin(*shape, dtype, share=0.1)
    check_all_passes(
        cpu_or_gpu(name), X, y, s, W, hessian=shape[1] < 1000, stored=as_matrix(scipy.sparse.csr_array(X))
    )


@pytest.mark.parametrize("name", BACKENDS)
def test_nothing_but_zeros(name):
    X, y = np.zeros((50, 4)), np.arange(50, dtype=np.uint8) % 2
    check_all_passes(
        cpu_or_gpu(name), X, y, None, np.ones((5, 1)), stored=as_matrix(scipy.sparse.csr_array(X))
    )


@pytest.mark.parametrize("name", BACKENDS)
def test_passes_of_a_few_lanes(name):
    """There are entries for many lanes, and rows of very different length, whose number is no multiple of a
    tile."""
    X, y, s, W = thin(60_000, 40, "float32", share=0.4, weighted=True)
    X[: len(X) // 3] = 0
    check_all_passes(cpu_or_gpu(name), X, y, s, W, stored=as_matrix(scipy.sparse.csr_array(X)))


@pytest.mark.parametrize("name", BACKENDS)
def test_several_outputs_and_softmax(name):
    X, y, s, _ = thin(700, 12, weighted=True)
    y = (np.arange(len(X)) % 3).astype(np.uint8)
    backend, W = cpu_or_gpu(name), np.random.default_rng(1).standard_normal((13, 3))
    dense, stored = (backend.upload(block_of(A, y, s)) for A in (X, as_matrix(scipy.sparse.csr_array(X))))
    for loss in (Multinomial(3), Logistic()):
        one, other = (
            backend.run(passes.LossGradient(W, loss, keep_margins=True), block) for block in (dense, stored)
        )
        for a, b in ((one.value, other.value), (one.gradient, other.gradient)):
            np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-10)
        np.testing.assert_allclose(
            backend.to_host(one.margins), backend.to_host(other.margins), rtol=1e-12, atol=1e-12
        )
        V = np.random.default_rng(2).standard_normal(W.shape)
        asked = [
            passes.HessianVector(W, V, loss),
            passes.Diagonal(W, loss),
            passes.Hessian(W, loss),
            passes.MeanHessian(W, loss),
            passes.OwnHessians(W, loss),
        ]
        for pass_ in asked[: 2 if loss.n_outputs == 1 else 5]:
            a, b = (np.asarray(backend.to_host(backend.run(pass_, block))) for block in (dense, stored))
            np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-10)


@pytest.mark.parametrize(
    "dtype, weighted",
    [("float64", True), ("float32", False), pytest.param("uint8", True, marks=pytest.mark.slow)],
)
def test_several_classes_meet_an_entry_side_by_side(dtype, weighted):
    X, y, s, _ = thin(1100, 30, weighted=True)
    X = (20 * abs(X)).astype(np.uint8) if dtype == "uint8" else X.astype(dtype)
    X[:, 7], X[13], y = 0, 0, (np.arange(len(X)) % 5).astype(np.uint8)
    W, V = np.random.default_rng(1).standard_normal((2, 31, 5)).astype(np.float32)
    loss, stored, s = Multinomial(5), as_matrix(scipy.sparse.csr_array(X)), s if weighted else None
    backend, plain = cpu_or_gpu("numba"), cpu_or_gpu("numpy")
    assert all(backend.has_kernel(kind, loss, stored) for kind in (passes.LossGradient, passes.HessianVector))
    exact = plain.upload(block_of(as_matrix(X.astype(np.float64)), y, s))
    block = backend.upload(block_of(stored, y, s))
    one, other = (
        side.run(passes.LossGradient(W, loss, keep_margins=True, diagonal=True), rows)
        for side, rows in ((plain, exact), (backend, block))
    )
    tight = {"rtol": 1e-10, "atol": 1e-8} if dtype == "float64" else {"rtol": 2e-5, "atol": 2e-2}
    assert one.change is None and other.change is None
    for a, b in zip(one[:4], other[:4], strict=True):
        np.testing.assert_allclose(a, b, **tight)
    for known in (None, other.margins):
        product = passes.HessianVector(W, V, loss, known)
        of_rows = plain.run(passes.HessianVector(W, V, loss), exact)
        np.testing.assert_allclose(of_rows, backend.run(product, block), **tight)


def test_several_classes_where_there_is_no_room_for_a_copy(monkeypatch):
    X, y, s, _ = thin(700, 12, weighted=True)
    y, loss = (np.arange(len(X)) % 3).astype(np.uint8), Multinomial(3)
    W, stored = np.random.default_rng(1).standard_normal((13, 3)), as_matrix(scipy.sparse.csr_array(X))
    backend = cpu_or_gpu("numba")
    expected = backend.run(passes.LossGradient(W, loss), backend.upload(block_of(as_matrix(X), y, s)))
    monkeypatch.setattr(type(backend), "free_bytes", lambda self, X: 0)
    found = backend.run(passes.LossGradient(W, loss), backend.upload(block_of(stored, y, s)))
    np.testing.assert_allclose(found.gradient, expected.gradient, rtol=1e-11, atol=1e-10)
    assert not stored.has_columns


@pytest.mark.parametrize("shape", [(3000, 40), (200, 900)])
def test_several_classes_have_the_same_bits_at_any_number_of_threads(shape):
    X, _, s, _ = thin(*shape, "float32", weighted=True)
    y = np.arange(len(X)) % 6
    fits = [
        LogisticRegression(solver="newton-cg", backend="numba", n_threads=n)
        .fit(scipy.sparse.csr_array(X), y, s)
        .coef_.tobytes()
        for n in (1, 3)
    ]
    assert fits[0] == fits[1]


def test_the_same_bits_at_any_number_of_threads():
    X, y, s, _ = thin(60_000, 40, "float32", share=0.4, weighted=True)
    fits = [
        LogisticRegression(backend="numba", n_threads=n).fit(scipy.sparse.csr_array(X), y, s)
        for n in (1, 2, 3)
    ]
    assert all((fit.coef_ == fits[0].coef_).all() and fit.n_passes_ == fits[0].n_passes_ for fit in fits)


@pytest.mark.parametrize("solver", sorted(set(SOLVERS) - {"gd", "sgd"}))
@pytest.mark.parametrize("name", BACKENDS)
def test_every_solver_finds_the_dense_optimum(name, solver):
    X, y, _, W = thin(2000 if solver != "row-space" else 120, 30, share=0.3)
    y = (X @ W[:-1, 0] + np.random.default_rng(3).standard_normal(len(X)) > 0).astype(int)
    settings = dict(solver=solver, l1_ratio=0.5 if knows_l1(solver) else 0.0, C=0.1, tol=1e-9, backend=name)
    dense, sparse = (LogisticRegression(**settings).fit(A, y) for A in (X, scipy.sparse.csr_matrix(X)))
    np.testing.assert_allclose(sparse.coef_, dense.coef_, atol=1e-4)
    objective = Objective.from_arrays(X, y, C=0.1, backend="numpy")
    if not knows_l1(solver):
        a, b = (
            objective.value_and_gradient(np.append(fit.coef_, fit.intercept_))[0] for fit in (dense, sparse)
        )
        assert abs(a - b) < 1e-8 * a
    else:
        assert ((sparse.coef_ == 0) == (dense.coef_ == 0)).all()
    assert sparse.status_ == "converged" and sparse.suboptimality_bound_ < 1e-5
    assert (sparse.predict(scipy.sparse.csc_matrix(X)) == sparse.predict(X)).all()


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("name", CPU_BACKENDS)
def test_scikit_learns_optimum_on_words(name, classes):
    """There are more features than rows, as in texts."""
    rng = np.random.default_rng(0)
    X = scipy.sparse.random_array(
        (300, 2000), density=0.01, rng=rng, format="csr", data_sampler=lambda size: rng.integers(1, 4, size)
    )
    y = rng.integers(0, classes, 300)
    ours = LogisticRegression(backend=name, tol=1e-12).fit(X, y)
    peer = Peer(tol=1e-10, max_iter=10_000).fit(X.astype(np.float64), y)
    np.testing.assert_allclose(ours.coef_, peer.coef_, atol=1e-5)
    np.testing.assert_allclose(ours.predict_proba(X), peer.predict_proba(X), atol=1e-5)


@pytest.mark.parametrize("solver", ["newton-cholesky", "newton-cg", "lbfgs"])
@pytest.mark.parametrize("name", BACKENDS)
def test_a_weight_of_two_is_a_row_twice_and_of_zero_none(name, solver):
    X, y, _, _ = thin(300, 6)
    s = np.random.default_rng(0).integers(0, 3, len(X)).astype(float)
    kept = np.repeat(np.arange(len(X)), s.astype(int))
    settings = dict(solver=solver, tol=1e-14, backend=name, class_weight={0: 1.0, 1: 2.0})
    weighted = quietly(LogisticRegression(**settings), scipy.sparse.csr_array(X), y, s)
    repeated = quietly(LogisticRegression(**settings), scipy.sparse.csr_array(X[kept]), y[kept])
    np.testing.assert_allclose(weighted.coef_, repeated.coef_, atol=1e-7)
    a, b = (
        Objective.from_arrays(scipy.sparse.csr_array(A), codes, weights, backend=name)
        for A, codes, weights in ((X, y, s), (X[kept], y[kept], None))
    )
    w = np.random.default_rng(1).standard_normal(a.size)
    for one, other in zip(a.value_and_gradient(w), b.value_and_gradient(w), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-12)


def test_entries_are_read_where_they_are():
    X = scipy.sparse.csr_matrix(thin(100, 8)[0])
    kept = as_matrix(X)
    assert all(
        np.shares_memory(getattr(kept.stored, part), getattr(X, part))
        for part in ("data", "indices", "indptr")
    )
    assert conversion(X, kept.stored) is None
    part = kept.between(20, 60).stored
    assert np.shares_memory(part.data, X.data) and (part.toarray() == X.toarray()[20:60]).all()
    assert kept.nbytes == X.data.nbytes + X.indices.nbytes + X.indptr.nbytes


@pytest.mark.parametrize(
    "kind, told",
    [
        ("csc", "converted from csc to csr"),
        ("coo", "converted from coo to csr"),
        ("unsorted", "not sorted, or repeated"),
    ],
)
def test_a_conversion_is_told(kind, told, capsys):
    X, y, _, _ = thin(60, 6)
    given = SPARSE[kind](X)
    before = given.copy()
    LogisticRegression(verbose=1).fit(given, y)
    assert told in capsys.readouterr().err
    assert (abs(given - before)).nnz == 0 and given.format == before.format


def test_the_callers_matrix_is_left_alone():
    X, y, _, _ = thin(60, 6)
    given = SPARSE["repeated entries"](X)
    data, indices = given.data.copy(), given.indices.copy()
    LogisticRegression().fit(given, y).predict(given)
    assert (given.data == data).all() and (given.indices == indices).all()


def test_memory_mapped_entries(tmp_path):
    X, y, _, _ = thin(300, 9)
    X = scipy.sparse.csr_array(X)
    for part in ("data", "indices", "indptr"):
        np.save(tmp_path / f"{part}.npy", getattr(X, part))
    parts = [np.load(tmp_path / f"{part}.npy", mmap_mode="r") for part in ("data", "indices", "indptr")]
    mapped = scipy.sparse.csr_array(tuple(parts), shape=X.shape)
    for name in CPU_BACKENDS:
        assert (
            LogisticRegression(backend=name).fit(mapped, y).coef_
            == LogisticRegression(backend=name).fit(X, y).coef_
        ).all()


@pytest.mark.parametrize("bad, word", [(np.nan, "NaN"), (np.inf, "infinity")])
@pytest.mark.parametrize("name", BACKENDS)
def test_a_value_that_is_not_finite_is_named(name, bad, word):
    X, y, _, _ = thin(200, 8)
    X[150, 3] = bad
    stored = scipy.sparse.csr_array(X)
    with pytest.raises(ValueError, match=f"contains {word}: first at row 150, column 3"):
        LogisticRegression(backend=name).fit(stored, y)
    fitted = LogisticRegression(backend=name).fit(np.nan_to_num(X, posinf=0), y)
    with pytest.raises(ValueError, match=f"contains {word}: first at row 150, column 3"):
        fitted.predict(stored)


def test_huge_entries_still_give_probabilities():
    X, y = scipy.sparse.csr_array(np.array([[1e200, 0], [-1e200, 1.0], [0, 1.0], [0, -1.0]])), [1, 0, 1, 0]
    fitted = LogisticRegression().fit(X / 1e200, y)
    fitted.coef_ = fitted.coef_ * 1e200
    assert np.isfinite(fitted.predict_proba(X)).all() and (fitted.predict(X)[:2] == [1, 0]).all()


def test_what_cannot_be_read_is_refused():
    X, y, _, _ = thin(30, 4)
    outside = scipy.sparse.csr_array(X)
    outside.indices = outside.indices.copy()
    outside.indices[3] = 99
    for given, kind, told in [
        (outside, ValueError, "ind"),
        (scipy.sparse.csr_array(X * 1j), ValueError, "Complex data not supported"),
        (scipy.sparse.csr_array((0, 4)), ValueError, "0 sample"),
        (scipy.sparse.csr_array((30, 0)), ValueError, "0 feature"),
        (scipy.sparse.csr_array(X[:20]), ValueError, "20 rows"),
        (scipy.sparse.coo_array(X[:, 0]), ValueError, "1-dimensional|1D|2D"),
    ]:
        with pytest.raises(kind, match=told):
            LogisticRegression().fit(given, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted = LogisticRegression().fit(scipy.sparse.csr_array(X), y)
    with pytest.raises(ValueError, match="5 features"):
        fitted.predict(scipy.sparse.csr_array(np.ones((3, 5))))


@pytest.mark.slow
@pytest.mark.parametrize("name", CPU_BACKENDS)
def test_more_entries_than_32_bits_count(name):
    """2³¹ + 50 entries are zeros that nobody has written, which take no memory when they are read.

    The last row has to be found behind them. They lie all in one column: as repeated entries they would be
    summed up first.
    """
    rows, count = 2**11, 2**31 + 50
    data, indices = np.zeros(count, dtype=np.int8), np.zeros(count, dtype=np.int64)
    data[-2:], indices[-2:] = [3, 5], [1, 2]
    X = scipy.sparse.csr_array((rows + 2, 4), dtype=np.int8)
    X.data, X.indices = data, indices
    X.indptr = np.array([*(i << 20 for i in range(rows + 1)), count - 2, count])
    X.checked = True
    W = np.array([[0.0], [0.5], [0.25], [9.0], [0.125]])
    backend, block = cpu_or_gpu(name), block_of(X, np.arange(rows + 2, dtype=np.uint8) % 2)
    got = backend.run(passes.LossGradient(W, Logistic(), keep_margins=True), block)
    z = np.full(rows + 2, 0.125)
    z[-1] += 3 * 0.5 + 5 * 0.25
    np.testing.assert_allclose(got.margins[:, 0], z, rtol=1e-6)
    residual = 1 / (1 + np.exp(-z)) - np.arange(rows + 2) % 2
    np.testing.assert_allclose(
        got.gradient[:, 0], [0, 3 * residual[-1], 5 * residual[-1], 0, residual.sum()], rtol=1e-5, atol=1e-4
    )


def test_tags_and_published_checks():
    assert LogisticRegression().__sklearn_tags__().input_tags.sparse


@pytest.mark.parametrize("dtype", [np.int64, np.float32, np.float64])
def test_a_tile_is_a_view(dtype):
    """Rows of a sparse X, their transpose and their squares copy no index and compute what NumPy computes."""
    rng = np.random.default_rng(5)
    dense = rng.integers(-9, 9, (60, 8)) * (rng.random((60, 8)) < 0.3)
    X = as_matrix(scipy.sparse.csr_array(dense.astype(dtype)))
    tile, part = X.between(7, 19), dense[7:19]
    R = rng.standard_normal((12, 2))
    real = tile.astype(np.dtype(np.float64))
    for matrix in (tile, real, real.squared()):
        assert np.shares_memory(matrix.stored.indices, X.stored.indices)
        assert np.shares_memory(matrix.T.indices, X.stored.indices)
    for matrix, expected in ((real, part), (real.squared(), part**2)):
        np.testing.assert_allclose(matrix.transposed_product(R), expected.T @ R, rtol=1e-13, atol=1e-12)
        np.testing.assert_allclose(
            matrix.weighted_sum(R[:, :1]), expected.T @ R[:, 0], rtol=1e-13, atol=1e-12
        )
    np.testing.assert_allclose(real.weighted_gram(R[:, :1], False), (part * R[:, :1]).T @ part, atol=1e-11)


def test_numpy_keeps_a_dense_copy_of_what_is_half_dense():
    """BLAS on all places is faster there, and the copy takes at most twice the memory of X."""
    for share, dense in ((0.6, True), (0.05, False)):
        X, y, _, _ = thin(600, 20, "float32", share)
        sparse = Objective.from_arrays(scipy.sparse.csr_array(X), y, backend="numpy")
        kept = sparse.rows._blocks[0].X
        assert kept.compressed is not dense and kept.nbytes <= 2 * as_matrix(scipy.sparse.csr_array(X)).nbytes
        w = np.random.default_rng(0).standard_normal(21)
        expected = Objective.from_arrays(X.astype(np.float64), y, backend="numpy").value_and_gradient(w)
        for found, exact in zip(sparse.value_and_gradient(w), expected, strict=True):
            np.testing.assert_allclose(found, exact, rtol=1e-5, atol=1e-6)
    rows = Objective.from_arrays(scipy.sparse.csr_array(X + 1), y, backend="numba").rows
    assert rows._blocks[0].X.compressed  # whose loops read compressed rows


def test_auto_chooses_for_sparse_rows_that_are_kept_dense_as_for_an_array():
    X, y, _, _ = draw(8000, 10)
    X[np.random.default_rng(2).random(X.shape) < 0.1] = 0
    of_array, of_rows = (LogisticRegression(max_iter=50).fit(A, y) for A in (X, scipy.sparse.csr_array(X)))
    assert of_rows.solver_ == of_array.solver_ == "newton-cholesky"
