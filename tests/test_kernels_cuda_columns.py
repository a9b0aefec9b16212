"""kernels/cuda/columns.cu: X by columns, on a GPU or emulated, under sanitizers, and compiled for GPUs."""

import contextlib

import numpy as np
import nvrtc
import pytest
from cuda_kernels import PASSES, SUMS
from cuda_on_cpu import fake_cupy
from cuda_on_cpu.emulator import EmulationError, why_not

from conftest import EMULATED, block_of, cpu_or_gpu, draw, early
from logreg_accel import LogisticRegression
from logreg_accel.backends import passes
from logreg_accel.kernels import cuda
from logreg_accel.kernels.cuda import shapes
from logreg_accel.losses import Logistic

SHAPES = [("float32", 2), ("float32", 31), ("float32", 100), ("float64", 40), ("float16", 70), ("uint8", 33)]
SOURCE = cuda.source("columns.cu")  # before any test plants faults in it
emulated = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))
compiled = pytest.mark.skipif(nvrtc.why_not() is not None, reason=str(nvrtc.why_not()))


def names_of(dtypes_and_widths, passes=PASSES):
    return {shapes.columns(name, dtype, 100, n).kernel for dtype, n in dtypes_and_widths for name in passes}


def device(names, sanitizer=None):
    """The stand-in for CuPy; nothing where there is a GPU.

    Under a sanitizer it has these kernels alone, which are compiled in one go.
    """
    if not EMULATED:
        return contextlib.nullcontext()
    if why_not():
        pytest.skip(why_not())
    kernels = fake_cupy.Kernels(sanitizer, None if sanitizer else early("emulated_kernels"))
    kernels.foresee(cuda.source("columns.cu"), names)
    kernels.foresee(cuda.source("dense.cu"), SUMS, None)
    return fake_cupy.in_place_of_cupy(kernels)


def check(m, dtype, n, padding=0, names=PASSES):
    """Passes over X (m, n) where it lies: by columns, each of m + padding numbers."""
    import cupy

    X, y, s, W = draw(m, n, dtype, weighted=m == 33)
    V, loss = np.random.default_rng(1).standard_normal(W.shape), Logistic()
    backend, reference = cpu_or_gpu("cupy"), cpu_or_gpu("numpy")
    there = cupy.asarray(np.ascontiguousarray(np.pad(X, ((0, padding), (0, 0))).T)).T[:m]
    block = backend.upload(block_of(there, y, s))
    assert not backend.notes and backend.layout(block.X)[0] == "columns"
    assert block.X.stored.data.ptr == there.data.ptr, "where it lies"
    wide = block_of(X.astype(np.float64), y, s)
    asked = {
        "LossGradient": passes.LossGradient(W, loss, keep_margins=True),
        "HessianVector": passes.HessianVector(W, V, loss),
        "Diagonal": passes.Diagonal(W, loss),
        "Margins": passes.Margins(W),
    }
    for name in names:
        got, expected = backend.run(asked[name], block), reference.run(asked[name], wide)
        if name == "LossGradient":
            np.testing.assert_allclose(got.margins.get(), expected.margins, rtol=1e-4, atol=1e-4)
            np.testing.assert_allclose(got.value, expected.value, rtol=1e-5)
            got, expected = got.gradient, expected.gradient
        got = got.get() if hasattr(got, "get") else got
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4 * max(1, abs(expected).max()))


@pytest.mark.gpu
@pytest.mark.parametrize("dtype, n", SHAPES)
def test_passes_where_x_lies(dtype, n):
    with device(names_of([(dtype, n)])):
        for m, padding in ((2, 0), (33, 5), (300, 0)):
            check(m, dtype, n, padding)


@emulated
@pytest.mark.parametrize("sanitizer", ["address", "thread"])
def test_passes_under_sanitizers(sanitizer):
    names = ["LossGradient", "HessianVector"]
    widths = [("float32", 3), ("float32", 65)]
    with device(names_of(widths, names), sanitizer):
        for dtype, n in widths:
            for m in (33, 200)[: 1 + (sanitizer == "address")]:
                check(m, dtype, n, names=names)


@emulated
def test_one_buffer_where_two_take_turns_is_caught(monkeypatch):
    faulty, source = SOURCE.replace("phase ^= 1;", ""), cuda.source
    assert faulty != SOURCE
    monkeypatch.setattr(cuda, "source", lambda name: faulty if name == "columns.cu" else source(name))
    with (
        device(names_of([("float32", 65)], ["LossGradient"]), "thread"),
        pytest.raises(EmulationError, match="data race"),
    ):
        check(100, "float32", 65, names=["LossGradient"])


@pytest.mark.gpu
def test_a_fit_and_its_predictions_copy_nothing(capsys):
    X, y, _, _ = draw(400, 5, "float32")
    with device(names_of([("float32", 5)])):
        import cupy

        there = cupy.asarray(np.ascontiguousarray(X.T)).T
        fitted = LogisticRegression(verbose=1, tol=1e-6).fit(there, y)
        assert fitted.backend_ == "cupy" and "copied on the GPU" not in capsys.readouterr().err
        expected = LogisticRegression(backend="numpy", tol=1e-6).fit(X, y)
        np.testing.assert_allclose(fitted.coef_, expected.coef_, rtol=1e-3, atol=1e-4)
        margins = fitted.decision_function(there)
    np.testing.assert_allclose(margins, expected.decision_function(X), rtol=1e-3, atol=1e-3)


@pytest.mark.gpu
def test_several_models_share_one_copy_by_rows():
    """The kernel of several models reads rows, once for all of them."""
    X, y, _, _ = draw(60, 5, "float32")
    with device(names_of([("float32", 5)], ["Margins"])):
        import cupy

        there = cupy.asarray(np.ascontiguousarray(X.T)).T
        splits = np.ones((60, 1), dtype=np.uint8)
        for block in (block_of(there, y)._replace(splits=splits), block_of(there, y + 1)):
            backend = cpu_or_gpu("cupy")
            assert backend.upload(block).X.by_rows and "copied on the GPU" in backend.notes[0]


@compiled
@pytest.mark.parametrize("architecture", ["sm_75", "sm_90", "sm_120"])
def test_nothing_spills_and_enough_is_in_flight(architecture):
    """This is checked for the most columns of a lane and for the most warps; the newest GPUs spill some
    doubles."""
    widths = [("float32", 32), ("float32", 256), ("float32", 512), ("float64", 256), ("float16", 512)]
    names = ["LossGradient", "HessianVector"]
    taken = nvrtc.compile(SOURCE, sorted(names_of(widths, names)), architecture)
    spilled = {kernel: one.spilled for kernel, one in taken.items() if one.spilled}
    assert all("double" in kernel and architecture == "sm_120" for kernel in spilled), spilled
    assert max(spilled.values(), default=0) <= 72
    for dtype, n in widths:
        launch = shapes.columns("LossGradient", dtype, 10_000_000, n)
        blocks = 65_536 // (launch.block * -(-taken[launch.kernel].registers // 8) * 8)
        rows = 32 if launch.lanes > 1 else launch.block
        assert blocks * rows * n * np.dtype(dtype).itemsize >= 32 << 10, (dtype, n)


def test_what_has_no_kernel():
    assert shapes.columns("LossGradient", "float32", 1000, 513) is None
    assert shapes.columns("LossGradient", "float64", 1000, 257) is None
    assert shapes.columns("LossGradient", "float32", 1000, 5, 2) is None
    assert shapes.columns("LossGradient", "complex64", 1000, 5) is None
