"""Passes of several classes by cuBLAS and kernels of ours: what the generic bodies give, tile by tile."""

import numpy as np
import pytest
import scipy.sparse

from conftest import block_of, cpu_or_gpu
from logreg_accel.backends import moments, passes
from logreg_accel.data import centred, compute_dtype
from logreg_accel.losses import Multinomial, loss_of

pytestmark = pytest.mark.gpu
M, N, K = 400, 7, 5


def blocks(cupy, dtype, centre, weighted=True):
    """The rows on the host in float64 and on the device in a type, and weights of the classes."""
    rng = np.random.default_rng(3)
    X = rng.integers(0, 9, (M, N)).astype(dtype)
    # weights that float32 has, as the device gets them
    s = rng.integers(0, 100, M) / 64 if weighted else None
    y = rng.integers(0, K, M).astype(np.uint8)
    here, there = block_of(X.astype(np.float64), y, s), cupy.upload(block_of(X, y, s))
    if centre:
        c = rng.standard_normal(N)
        here = here._replace(X=centred(here.X, c))
        there = there._replace(X=centred(there.X, cupy.xp.asarray(c)))
    return here, there, rng.standard_normal((2, N + 1, K)) / 3


@pytest.mark.parametrize("tiles", [1, 3])
@pytest.mark.parametrize(
    "dtype, centre",
    [
        ("float32", False),
        ("float32", True),
        pytest.param("float64", False, marks=pytest.mark.slow),
        ("uint8", True),
        pytest.param("uint8", False, marks=pytest.mark.slow),
    ],
)
def test_all_passes_are_those_of_the_generic_bodies(cupy, monkeypatch, dtype, centre, tiles):
    here, there, (W, V) = blocks(cupy, dtype, centre)
    if tiles > 1:
        monkeypatch.setattr(cupy, "tile_bytes", 8 * 8 * M // 2)
    reference, loss = cpu_or_gpu("numpy"), Multinomial(K)
    margins = reference.run(passes.Margins(W), here)
    at = cupy.xp.asarray(margins.astype(np.float64 if centre else compute_dtype(np.dtype(dtype))))
    eps = np.finfo(at.dtype).eps
    np.testing.assert_allclose(
        cupy.to_host(cupy.generic(passes.Margins(W), there)), margins, atol=50 * N * eps, rtol=0
    )
    for make in (
        lambda Z: passes.HessianVector(W, V, loss, margins=Z),
        lambda Z: passes.Hessian(W, loss, None, Z),
        lambda Z: passes.MeanHessian(W, loss, None, Z),
        lambda Z: passes.OwnHessians(W, loss, None, Z),
        lambda Z: passes.Diagonal(W, loss, None, Z),
    ):
        expected = reference.run(make(None), here)
        for known in (None, at):
            got = cupy.to_host(cupy.generic(make(known), there))
            np.testing.assert_allclose(got, expected, rtol=0, atol=100 * N * eps * abs(expected).max())


@pytest.mark.parametrize(
    "dtype, classes, centre", [("float32", 5, False), ("int8", 2, True), ("float64", 5, True)]
)
def test_sparse_rows_give_the_same(cupy, monkeypatch, dtype, classes, centre):
    """Rows are read in tiles; proofs read them in float64 by subtracting a centre of zeros."""
    here, _, (W, V) = blocks(cupy, dtype, False)
    loss, k = loss_of(classes), 1 if classes == 2 else classes
    W, V, y = W[:, :k], V[:, :k], here.y % classes
    dense = here.X.stored * (np.random.default_rng(1).random((M, N)) < 0.4)
    here = block_of(dense, y, here.sample_weight)
    there = cupy.upload(block_of(scipy.sparse.csr_array(dense.astype(dtype)), y, here.sample_weight))
    if centre:
        there = there._replace(X=centred(there.X, cupy.xp.zeros(N)))
    monkeypatch.setattr(cupy, "tile_bytes", 8 * -(-there.X.row_bytes // 8) * M // 2)
    reference, eps = (
        cpu_or_gpu("numpy"),
        np.finfo(np.float64 if centre else compute_dtype(np.dtype(dtype))).eps,
    )
    for pass_ in (
        passes.LossGradient(W, loss, diagonal=True),
        passes.HessianVector(W, V, loss),
        passes.Hessian(W, loss),
        passes.MeanHessian(W, loss) if k > 1 else passes.Diagonal(W, loss),
        passes.OwnHessians(W, loss) if k > 1 else passes.Diagonal(W, loss),
    ):
        got, expected = cupy.generic(pass_, there), reference.run(pass_, here)
        pairs = [(got, expected)]
        if isinstance(expected, passes.Sums):
            pairs = [
                (getattr(got, name), getattr(expected, name)) for name in ("value", "gradient", "diagonal")
            ]
        for told, wanted in pairs:
            close = 100 * N * eps * abs(wanted).max()
            np.testing.assert_allclose(cupy.to_host(told), wanted, rtol=0, atol=close)


@pytest.mark.parametrize("tiles", [1, 3])
@pytest.mark.parametrize("centre", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_loss_gradient_and_diagonal_come_together(cupy, monkeypatch, centre, weighted, tiles):
    here, there, (W, _) = blocks(cupy, "float32", centre, weighted)
    if tiles > 1:
        monkeypatch.setattr(cupy, "tile_bytes", 8 * 8 * M // 2)
    pass_ = passes.LossGradient(W, Multinomial(K), keep_margins=True, diagonal=True)
    got, expected = cupy.generic(pass_, there), cpu_or_gpu("numpy").run(pass_, here)
    eps = np.finfo(np.float64 if centre else np.float32).eps
    for name in ("value", "gradient", "diagonal", "margins"):
        told, wanted = cupy.to_host(getattr(got, name)), getattr(expected, name)
        np.testing.assert_allclose(told, wanted, rtol=0, atol=100 * N * eps * abs(wanted).max())


@pytest.mark.parametrize("tiles", [1, 3])
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize(
    "classes, centre, dtype", [(2, True, "float32"), (2, False, "float64"), (5, True, "uint8")]
)
def test_an_offset_is_added_to_the_margins_alone(cupy, monkeypatch, classes, centre, dtype, sparse, tiles):
    """Kept margins contain the offset already, and products with vectors must not contain it."""
    here, _, (W, V) = blocks(cupy, dtype, False)
    loss, k = loss_of(classes), 1 if classes == 2 else classes
    W, V, X, y, s = W[:, :k], V[:, :k], here.X.stored.astype(dtype), here.y % classes, here.sample_weight
    offset = np.random.default_rng(2).standard_normal((M, k))
    here = block_of(X.astype(np.float64), y, s)._replace(offset=offset)
    there = cupy.upload(block_of(scipy.sparse.csr_array(X) if sparse else X, y, s)._replace(offset=offset))
    if centre:
        there = there._replace(X=centred(there.X, cupy.xp.zeros(N)))
    if tiles > 1:
        monkeypatch.setattr(cupy, "tile_bytes", 8 * (16 if sparse else 8) * M // 2)
    reference, eps = cpu_or_gpu("numpy"), np.finfo(np.float64).eps
    margins = reference.run(passes.Margins(W), here)
    for make in (
        lambda Z: passes.LossGradient(W, loss, diagonal=True, keep_margins=True),
        lambda Z: passes.HessianVector(W, V, loss, margins=Z),
        lambda Z: passes.Hessian(W, loss, None, Z),
        lambda Z: passes.Diagonal(W, loss, None, Z),
        lambda Z: passes.Margins(W),
    ):
        expected = reference.run(make(None), here)
        for known in (None, cupy.xp.asarray(margins)):
            got = cupy.run(make(known), there)
            sums = isinstance(got, passes.Sums)
            for told, wanted in zip(
                got[:4] if sums else [got], expected[:4] if sums else [expected], strict=True
            ):
                close = 100 * N * eps * abs(wanted).max()
                np.testing.assert_allclose(cupy.to_host(told), wanted, rtol=0, atol=close)


def test_rows_of_an_offset_that_lie_apart(cupy):
    """A mini-batch has such rows."""
    here, there, (W, _) = blocks(cupy, "float32", True)
    offset = np.random.default_rng(2).standard_normal((M, K))
    here, there = here._replace(offset=offset), there._replace(offset=cupy.xp.asarray(offset))
    batch = slice(1, M, 3)
    got = cupy.run(passes.Margins(W), cupy.rows(there, batch))
    expected = cpu_or_gpu("numpy").run(passes.Margins(W), here)[batch]
    np.testing.assert_allclose(cupy.to_host(got), expected, atol=1e-12)


@pytest.mark.parametrize("tiles", [1, 3])
def test_sums_over_centred_rows(cupy, monkeypatch, tiles):
    here, there, (W, _) = blocks(cupy, "float32", True)
    if tiles > 1:
        monkeypatch.setattr(cupy, "tile_bytes", 8 * 8 * M // 2)
    reference, a = cpu_or_gpu("numpy"), np.random.default_rng(0).standard_normal((M, K))
    for pass_ in (passes.ColumnSquares(), passes.RowSquares(), passes.RowSquares(np.linspace(0.5, 2, N))):
        got, expected = cupy.to_host(cupy.run(pass_, there)), reference.run(pass_, here)
        np.testing.assert_allclose(got, expected, rtol=1e-12)
    got, expected = (backend.combination(b.X, a) for backend, b in ((cupy, there), (reference, here)))
    np.testing.assert_allclose(got, expected, atol=1e-11)
    written = cupy.written_out(there.X)
    assert written.centre is None and cupy.written_out(written) is written
    np.testing.assert_allclose(cupy.to_host(written.stored), here.X.to_dense(), atol=1e-14)


@pytest.mark.parametrize("tiles", [1, 3])
@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("weighted", [False, True])
def test_sums_of_inference(cupy, monkeypatch, classes, weighted, tiles):
    here, there, (W, _) = blocks(cupy, "float32", True, weighted)
    loss, W, y = loss_of(classes), W[:, : 1 if classes == 2 else classes], here.y % classes
    here, there = here._replace(y=y), there._replace(y=cupy.xp.asarray(y))
    there = there._replace(sample_weight=cupy.xp.asarray(here.sample_weight) if weighted else None)
    if tiles > 1:
        monkeypatch.setattr(cupy, "tile_bytes", 8 * 8 * M // 2)
    reference, groups = cpu_or_gpu("numpy"), np.random.default_rng(0).integers(0, 300, M)
    for make in (
        lambda codes: moments.Moments(W, loss, meat=True),
        lambda codes: moments.GroupScores(W, loss, codes, 300),
        lambda codes: moments.ClassTotals(classes),
        lambda codes: moments.ClassTotals(300, codes),
    ):
        got, expected = cupy.run(make(cupy.xp.asarray(groups)), there), reference.run(make(groups), here)
        pairs = zip(got, expected, strict=True) if isinstance(expected, tuple) else [(got, expected)]
        for told, wanted in pairs:
            np.testing.assert_allclose(told, wanted, rtol=0, atol=1e-11 * abs(wanted).max())
