"""Whole numbers of 16 bits and more: read where they lie, in the arithmetic of float64."""

import numpy as np
import nvrtc
import pytest
from cuda_kernels import INTEGERS, kernels_of
from cuda_on_cpu import fake_cupy

from conftest import EMULATED, block_of, check_all_passes, cpu_or_gpu, draw, early
from logreg_accel import LogisticRegression
from logreg_accel.kernels import cuda
from logreg_accel.kernels.cuda import shapes

SOURCE = cuda.source("dense.cu")
COMPILED = [("int16", 1024), ("uint16", 16), ("int16", 8192), ("int32", 1024), ("int64", 100)]


def compile_some():
    names = kernels_of([], [])
    for dtype, n in COMPILED:
        names |= kernels_of([dtype], [n], ["LossGradient", "HessianVector", "Diagonal"])
    return nvrtc.compile(SOURCE, sorted(names), "sm_90")


EARLY = {"integers": compile_some}


@pytest.fixture
def integers():
    return early("integers")


@pytest.mark.skipif(nvrtc.why_not() is not None, reason=str(nvrtc.why_not()))
def test_next_to_nothing_spills(integers):
    assert len(integers) == 3 * len(COMPILED)
    assert max(resources.spilled for resources in integers.values()) <= 64, integers


def in_wide(X, extremes):
    """With the least and the greatest number of its type, which float64 rounds if they have 64 bits."""
    if extremes:
        X[0, 0], X[1, 0] = np.iinfo(X.dtype).min, np.iinfo(X.dtype).max
    return X


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", INTEGERS)
def test_passes(emulated_kernels, dtype):
    if not EMULATED:
        check(dtype)
        return
    with fake_cupy.in_place_of_cupy(emulated_kernels):
        check(dtype)


def check(dtype):
    for m, n in ((33, 17), (300, 5)) if dtype in ("int16", "int32") else ((33, 17),):
        X, y, s, W = draw(m, n, dtype, weighted=m == 33)
        check_all_passes(cpu_or_gpu("cupy"), X, y, s, W)


@pytest.mark.parametrize("dtype", ["int16", "int64"])
def test_a_fit_converts_nothing(emulated_kernels, dtype):
    """X stays in place, and no array of its shape is made in another type."""
    if emulated_kernels is None:
        pytest.skip("only the stand-in counts")
    X, y, _, _ = draw(600, 17, dtype)
    with fake_cupy.in_place_of_cupy(emulated_kernels):
        import cupy

        there = cupy.asarray(X)
        block = cpu_or_gpu("cupy").upload(block_of(there, y))
        assert block.X.stored.data.ptr == there.data.ptr
        begun = len(emulated_kernels.launched)
        model = LogisticRegression(solver="lbfgs").fit(there, y)
        kinds = {launch.kernel for launch in emulated_kernels.launched[begun:]}
    storage = shapes.STORAGE[dtype][0]
    assert any(kind.startswith("dense<LossGradient") and f", {storage}, double" in kind for kind in kinds)
    expected = LogisticRegression(solver="lbfgs", backend="numpy").fit(X, y)
    np.testing.assert_allclose(model.coef_, expected.coef_, rtol=1e-6, atol=1e-8)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", ["int16", "uint16", "int32", "int64"])
def test_the_least_and_the_greatest_number(emulated_kernels, dtype):
    """The number is negated for its second use where its type has a digit to spare."""
    if not EMULATED:
        check_extremes(dtype)
        return
    with fake_cupy.in_place_of_cupy(emulated_kernels):
        check_extremes(dtype)


def check_extremes(dtype):
    X, y, s, W = draw(33, 17, dtype, weighted=True)
    W[0] = 1 / float(np.iinfo(dtype).max)
    check_all_passes(cpu_or_gpu("cupy"), in_wide(X, extremes=True), y, s, W, hessian=False)
