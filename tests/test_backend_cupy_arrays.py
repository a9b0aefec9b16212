"""Arrays on the device that lie in no order that kernels read: one copy each, by a kernel of ours."""

import contextlib
import importlib

import numpy as np
import pytest
from cuda_on_cpu import fake_cupy
from cuda_on_cpu.emulator import why_not

from conftest import EMULATED, block_of, cpu_or_gpu, draw
from logreg_accel import LogisticRegression
from logreg_accel.kernels import cuda

pytestmark = pytest.mark.gpu
WORDS = ("unsigned char", "unsigned short", "unsigned", "unsigned long long")
COPIES = [f"copied<{word}, {word}>" for word in WORDS]


@pytest.fixture
def cupy(emulated_kernels):
    with fake_cupy.in_place_of_cupy(emulated_kernels) if EMULATED else contextlib.nullcontext():
        import cupy

        yield cupy


def misaligned(cupy, X):
    """The same numbers, one byte beyond a multiple of their size."""
    there = cupy.asarray(np.frombuffer(b"x" + X.tobytes(), dtype=np.uint8))
    return there[1:].view(X.dtype).reshape(X.shape)


def gapped(cupy, X):
    return cupy.asarray(np.repeat(X, 3, axis=1))[:, ::3]


LAYOUTS = {
    "every third column": gapped,
    "rows reversed": lambda cupy, X: cupy.asarray(X[::-1].copy())[::-1],
    "columns reversed": lambda cupy, X: cupy.asarray(X[:, ::-1].copy())[:, ::-1],
    "both, by columns": lambda cupy, X: cupy.asarray(X[::-1, ::-1].T.copy()).T[::-1, ::-1],
    "by columns, with gaps": lambda cupy, X: cupy.asarray(np.repeat(X.T, 2, axis=0))[::2].T[:, :],
    "misaligned": misaligned,
}
MAYBE_IN_PLACE = {"by columns, with gaps", "misaligned"}  # columns have a kernel; bytes are always aligned


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "uint8", "int16"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_one_copy_by_our_own_kernel(cupy, emulated_kernels, layout, dtype):
    X, y, _, _ = draw(67, 37, dtype)
    there = LAYOUTS[layout](cupy, X)
    backend = cpu_or_gpu("cupy")
    fake_cupy.counts.clear()
    begun = len(emulated_kernels.launched) if EMULATED else 0
    block = backend.upload(block_of(there, y))
    if layout in MAYBE_IN_PLACE and block.X.stored.data.ptr == there.data.ptr:
        assert not backend.notes and (layout != "misaligned" or X.itemsize == 1)
        return
    np.testing.assert_array_equal(block.X.stored.get(), X)
    assert not block.X.wide.get()[:, 37:].any(), "padding is multiplied by zero weights"
    assert len(backend.notes) == 1 and "copied on the GPU" in backend.notes[0]
    assert ("item size" in backend.notes[0]) == (layout == "misaligned")
    if EMULATED:
        (launched,) = emulated_kernels.launched[begun:]
        assert launched.kernel in COPIES and not fake_cupy.counts["calls"]


def test_repeated_rows_and_empty_ones(cupy):
    X, y, _, _ = draw(40, 7, "float32")
    backend = cpu_or_gpu("cupy")
    arrays = cupy.asarray(X)
    by_rows = importlib.import_module("logreg_accel.backends.cupy.arrays").by_rows
    assert by_rows(arrays[:0], 8).shape == (0, 8) and by_rows(arrays[:, :0], 0).shape == (40, 0)
    thin = by_rows(arrays[::3, 2:3], 4)
    np.testing.assert_array_equal(thin.get(), np.pad(X[::3, 2:3], ((0, 0), (0, 3))))
    assert backend.upload(block_of(arrays[::3], y[::3])).X.stored.data.ptr == arrays.data.ptr, (
        "rows may be far"
    )


@pytest.mark.parametrize("kind", ["int64", "int32", "uint16"])
@pytest.mark.parametrize("on_host", [False, True])
def test_rows_are_taken_by_numbers_of_any_type(cupy, kind, on_host):
    X, y, _, _ = draw(40, 7, "float32")
    block, rows = cpu_or_gpu("cupy").upload(block_of(X, y)), np.array([39, 0, 3, 3], dtype=kind)
    taken = block.X.take(rows if on_host else cupy.asarray(rows))
    np.testing.assert_array_equal(taken.stored.get(), X[rows])


def test_rows_are_taken_by_numbers_that_lie_apart(cupy):
    X, y, _, _ = draw(40, 7, "float32")
    rows = np.arange(40)[::-2]
    block = cpu_or_gpu("cupy").upload(block_of(X, y))
    taken = block.X.take(cupy.asarray(np.repeat(rows, 2))[::2])
    np.testing.assert_array_equal(taken.stored.get(), X[rows])


@pytest.mark.parametrize("layout", ["every second", "reversed", "misaligned"])
def test_labels_and_weights_of_any_order(cupy, layout):
    X, y, s, _ = draw(300, 6, "float32", weighted=True)
    view = {
        "every second": lambda a: cupy.asarray(np.repeat(a, 2))[::2],
        "reversed": lambda a: cupy.asarray(a[::-1].copy())[::-1],
        "misaligned": lambda a: misaligned(cupy, a),
    }[layout]
    s = s.astype(np.float32)
    block = cpu_or_gpu("cupy").upload(block_of(cupy.asarray(X), view(y), view(s)))
    np.testing.assert_array_equal(block.y.get(), y)
    np.testing.assert_array_equal(block.sample_weight.get(), s)
    fitted = LogisticRegression(solver="lbfgs").fit(view(X.reshape(-1)).reshape(X.shape), view(y), view(s))
    expected = LogisticRegression(solver="lbfgs", backend="numpy").fit(X, y, s)
    np.testing.assert_allclose(fitted.coef_, expected.coef_, rtol=1e-3, atol=1e-4)


@pytest.mark.skipif(why_not() is not None, reason=str(why_not()))
@pytest.mark.parametrize("sanitizer", ["address", "thread"])
def test_copies_under_sanitizers(sanitizer):
    kernels = fake_cupy.Kernels(sanitizer)
    kernels.foresee(cuda.source("arrays.cu"), COPIES[2:3])
    X, _, _, _ = draw(33, 7, "float32")
    with fake_cupy.in_place_of_cupy(kernels):
        import cupy

        from logreg_accel.backends.cupy import arrays

        arrays._MOST_BLOCKS = 1  # which makes two tiles, one after the other, of the same memory
        for layout in ("both, by columns", "misaligned")[: 1 if sanitizer == "thread" else 2]:
            copied = arrays.by_rows(LAYOUTS[layout](cupy, X), 12)
            np.testing.assert_array_equal(copied.get(), np.pad(X, ((0, 0), (0, 5))))
