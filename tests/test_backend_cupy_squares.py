"""Sums of squares on a GPU by kernels of ours, and what else fits were given by templates of CuPy's."""

import contextlib

import numpy as np
import pytest
from cuda_kernels import INTEGERS, STORED
from cuda_on_cpu import fake_cupy
from cuda_on_cpu.emulator import why_not

from conftest import EMULATED, block_of, cpu_or_gpu, draw
from logreg_accel.backends import passes
from logreg_accel.data import compute_dtype
from logreg_accel.kernels import cuda

pytestmark = pytest.mark.gpu


@pytest.fixture
def backend(emulated_kernels):
    with fake_cupy.in_place_of_cupy(emulated_kernels) if EMULATED else contextlib.nullcontext():
        yield cpu_or_gpu("cupy")


def check_squares(backend, m, n, dtype):
    X, y, _, _ = draw(m, n, dtype)
    X[:, n // 2] = 0  # a column that has no scale
    block, wide = backend.upload(block_of(X, y)), block_of(X.astype(np.float64), y)
    exact, close = cpu_or_gpu("numpy"), 30 * np.finfo(compute_dtype(X.dtype)).eps
    scale = np.linspace(0.5, 2, n)
    for asked in (passes.ColumnSquares(), passes.RowSquares(), passes.RowSquares(scale)):
        got, expected = backend.run(asked, block), exact.run(asked, wide)
        np.testing.assert_allclose(backend.to_host(got), expected, rtol=close * np.sqrt(m), atol=close)


@pytest.mark.parametrize("dtype", [*STORED, *INTEGERS])
def test_sums_of_squares(backend, dtype):
    sizes = [(1, 1), (33, 17), (600, 5)] + [(300, 257)] * (dtype == "float32")
    for m, n in sizes:
        check_squares(backend, m, n, dtype)


@pytest.mark.skipif(not EMULATED, reason="launches are looked at on the stand-in for CuPy")
def test_a_grid_has_one_dimension_whatever_the_number_of_columns(backend, emulated_kernels):
    """The other two dimensions end at 65,535 blocks, which 17 million columns would exceed."""
    begun = len(emulated_kernels.launched)
    check_squares(backend, 300, 513, "float32")
    squares = [one for one in emulated_kernels.launched[begun:] if one.kernel.startswith("column_squares")]
    assert {one.grid for one in squares} == {(2 * 3,)}


def check_by_group(backend):
    """More groups than rows, so that some are empty."""
    from logreg_accel.backends.cupy import squares

    X, _, _, _ = draw(70, 21, "float64")
    rng = np.random.default_rng(0)
    R, codes = rng.standard_normal((70, 3)), rng.integers(0, 90, 70)
    there = backend.upload(block_of(X, np.zeros(70, np.uint8))).X
    out = backend.xp.zeros((90, 22, 3), dtype=np.float64)
    for _ in range(2):
        squares.add_by_group(there, backend.xp.asarray(R), codes, out)
    expected = np.zeros((90, 22, 3))
    np.add.at(expected, codes, 2 * np.c_[X, np.ones(70)][:, :, None] * R[:, None, :])
    np.testing.assert_allclose(backend.to_host(out), expected, atol=1e-13)


def test_sums_by_group(backend):
    check_by_group(backend)


@pytest.mark.skipif(why_not() is not None, reason=str(why_not()))
@pytest.mark.parametrize("sanitizer", ["address", pytest.param("thread", marks=pytest.mark.slow)])
def test_squares_under_sanitizers(sanitizer):
    kernels = fake_cupy.Kernels(sanitizer)
    names = ["column_squares<float, float>", "row_squares<float, float>", "inverse_means<float>"]
    names += ["group_sums<double>"]
    kernels.foresee(cuda.source("squares.cu"), names)
    kernels.foresee(cuda.source("dense.cu"), ["sum_slices<float>"], None)
    with fake_cupy.in_place_of_cupy(kernels):
        check_squares(cpu_or_gpu("cupy"), 5, 3, "float32")
        check_by_group(cpu_or_gpu("cupy"))


@pytest.mark.parametrize("weighted", [None, "float32", "float64"])
def test_numbers_of_classes(backend, weighted):
    xp, rng = backend.xp, np.random.default_rng(0)
    y, each = rng.integers(0, 3, 5000).astype(np.uint8), np.array([0.3, 2.0, 1 / 7])
    s = None if weighted is None else rng.random(5000).astype(weighted)
    there, s_there = xp.asarray(y), None if s is None else xp.asarray(s)
    got = backend.to_host(backend.of_classes(each, there, s_there))
    expected = cpu_or_gpu("numpy").of_classes(each, y, s)
    assert got.dtype == expected.dtype
    np.testing.assert_array_equal(got, expected)
    counts, weights = backend.class_totals(there, s_there, 3)
    np.testing.assert_array_equal(counts, np.bincount(y))
    np.testing.assert_allclose(weights, np.bincount(y, s), rtol=1e-12)
    assert [a.dtype for a in (counts, weights)] in ([np.int64, np.float64], [np.int64, np.int64])


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8", "uint64"])
@pytest.mark.parametrize("shape", [(500,), (500, 3)])
def test_some_rows_of_a_vector_or_matrix(backend, dtype, shape):
    array = np.random.default_rng(0).integers(0, 200, shape).astype(dtype)
    rows = np.array([3, 3, 499, 0, 17])
    np.testing.assert_array_equal(
        backend.to_host(backend.picked(backend.xp.asarray(array), rows)), array[rows]
    )
    assert backend.picked(backend.xp.asarray(array), rows[:0]).shape == (0, *shape[1:])


def test_a_product_of_three(backend):
    rng, xp = np.random.default_rng(0), backend.xp
    weights, mass, norms = rng.random(300), rng.random(300).astype(np.float32), rng.random(300)
    for kind in ("float32", "float64"):
        got = backend.product(weights, xp.asarray(mass), xp.asarray(norms.astype(kind)))
        np.testing.assert_array_equal(backend.to_host(got), weights * mass * norms.astype(kind))
