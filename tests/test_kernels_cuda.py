"""The dense CUDA kernels and their launches, run on the CPU under sanitizers where there is no GPU.

Every run goes through the whole cupy backend, so that uploads, launch arithmetic and results are proven with
the kernels.
"""

import contextlib

import numpy as np
import pytest
from cuda_kernels import PASSES, STORED, SUMS, kernels_of
from cuda_on_cpu import fake_cupy
from cuda_on_cpu.emulator import EmulationError, Huge, Launch, Program, why_not

from conftest import (
    EMULATED,
    FLOATS,
    block_of,
    check_all_passes,
    check_loss_gradient,
    cpu_or_gpu,
    draw,
    early,
)
from logreg_accel.backends import passes
from logreg_accel.data import compute_dtype
from logreg_accel.kernels import cuda
from logreg_accel.kernels.cuda import shapes
from logreg_accel.losses import Logistic

ROWS = [0, 1, 31, 33, 257]
COLUMNS = [1, 3, 31, 32, 100, 257, 1025]
SEVERAL_OUTPUTS = [(10, 2), (100, 10), (1025, 3)]
WIDE = [516, 2052, 4100, 8192, 12_292, 24_576]  # above powers of two, and the widest

AT_HAND = [("float32", n) for n in (3, 257, 1025, 4100)] + [("float64", 31), ("float16", 257), ("uint8", 257)]

WHOLE = cuda.source("dense.cu")  # without the faults that are planted below


def columns_of(dtype):
    """All for the types that most X have; for the others one of each way to share a row."""
    return COLUMNS if dtype in ("float32", "float64", "uint8") else [1, 31, 257, 1025]


emulated = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))


class Device:
    """The cupy backend on emulated kernels of one build; compiled ahead, since a hundred kernels take as long
    as six.

    Where there is a GPU, `plain` is that.
    """

    def __init__(self, foreseen=(), sanitizer=None, known=None):
        self.kernels = fake_cupy.Kernels(sanitizer, known)
        if foreseen:
            self.kernels.foresee(cuda.source("dense.cu"), foreseen)
            # a race detector pays per thread, and these take one per column: they have a test of their own
            self.kernels.foresee(cuda.source("dense.cu"), SUMS, None if sanitizer == "thread" else sanitizer)

    def take_sums_from(self, source):
        """The fault lies in the kernel that reads X: the sum over slices is that of the whole source."""
        whole = fake_cupy.Kernels()
        whole.foresee(source, SUMS)
        for name in SUMS:
            self.kernels.programs[cuda.source("dense.cu"), name] = whole.programs[source, name]

    def __enter__(self):
        self.context = fake_cupy.in_place_of_cupy(self.kernels)
        self.context.__enter__()
        return cpu_or_gpu("cupy")

    def __exit__(self, *error):
        return self.context.__exit__(*error)


def prepare_plain():
    if not EMULATED:
        return contextlib.nullcontext(cpu_or_gpu("cupy"))
    if why_not():
        pytest.skip(why_not())
    wide = kernels_of(["float32"], WIDE) | kernels_of(["float64", "float16", "uint8"], [4100])
    wide |= kernels_of(["float64"], [12_288])
    wide |= {name for case in AT_HAND for name in kernels_of(*([part] for part in case), ["ProductAt"])}
    several = (kernels_of(["float32"], [n], PASSES[:2], [outputs]) for n, outputs in SEVERAL_OUTPUTS)
    sizes = (kernels_of([dtype], columns_of(dtype)) for dtype in STORED)
    return Device(wide.union(*sizes, *several), known=early("emulated_kernels"))


@pytest.fixture(scope="module")
def plain():
    return early("plain")


@pytest.mark.gpu
@pytest.mark.parametrize("dtype, n", [(dtype, n) for dtype in STORED for n in columns_of(dtype)])
def test_passes_at_every_awkward_size(plain, dtype, n):
    with plain as backend:
        for m in ROWS if dtype in ("float32", "float64") else ROWS[2:]:
            X, y, s, W = draw(m, n, dtype, weighted=m == 33)
            check_all_passes(backend, X, y, s, W)


@pytest.mark.gpu
@pytest.mark.parametrize(
    "dtype, n",
    [
        *(("float32", n) for n in WIDE),
        ("float64", 4100),
        ("float64", 12_288),
        ("float16", 4100),
        ("uint8", 4100),
    ],
)
def test_passes_of_wide_rows(plain, dtype, n):
    X, y, s, W = draw(19, n, dtype, weighted=True)
    with plain as backend:
        check_all_passes(backend, X, y, s, W, hessian=False)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype, n", AT_HAND)
def test_products_of_margins_at_hand(plain, dtype, n):
    with plain as backend:
        check_at_hand(backend, dtype, n, 33)


def check_at_hand(backend, dtype, n, m):
    """Without a product with W: those of other weights, which are given here, tell that none is made."""
    X, y, s, W = draw(m, n, dtype, weighted=True)
    V, loss = np.random.default_rng(1).standard_normal(W.shape), Logistic()
    block = backend.upload(block_of(X, y, s))
    known = backend.run(passes.Margins(W), block)
    got = backend.run(passes.HessianVector(0 * W, V, loss, known), block)
    expected = cpu_or_gpu("numpy").run(passes.HessianVector(W, V, loss), block_of(X.astype(float), y, s))
    close = 100 * np.finfo(compute_dtype(X.dtype)).eps * abs(expected).max()
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=close)


def prepare_sanitized():
    """The kernels under the address sanitizer (with undefined behaviour) and under the thread sanitizer."""
    # one of each way to share a row: a lane, some lanes, a warp, packs, a block; weights held and not
    names = kernels_of(["float32"], [1, 3, 31, 257, 1025]) | kernels_of(
        ["float32"], [4100, 257], PASSES[:2], outputs=[1, 5]
    )
    names |= kernels_of(["float32"], [5, 17], PASSES[:1], padded=False)
    more = (
        kernels_of(["float32"], [31, 1025], ["ProductAt"])
        | kernels_of(["float64"], [31])
        | kernels_of(STORED, [3, 257], PASSES[:1])
    )
    return {"address": Device(names | more, "address"), "thread": Device(names, "thread")}


@pytest.fixture(scope="module", params=["address", "thread"])
def sanitized(request):
    return request.param, early("sanitized")[request.param]


EARLY = {"plain": prepare_plain, "sanitized": prepare_sanitized}


@emulated
@pytest.mark.parametrize("n", [1, 3, 31, 257, 1025])
def test_passes_under_sanitizers(sanitized, n):
    which, device = sanitized
    with device as backend:
        for dtype in FLOATS if which == "address" and n == 31 else ["float32"]:
            for m in (1, 33, 257) if which == "address" and n < 1000 else (9,):
                X, y, s, W = draw(m, n, dtype, weighted=m == 33)
                check_all_passes(backend, X, y, s, W, hessian=False)


@emulated
def test_a_row_of_a_whole_block_under_sanitizers(sanitized):
    _, device = sanitized
    with device as backend:
        check_loss_gradient(backend, *draw(7, 4100, "float32", weighted=True))


@emulated
@pytest.mark.parametrize("dtype", STORED)
@pytest.mark.parametrize("sanitized", ["address"], indirect=True)
def test_storage_under_the_address_sanitizer(sanitized, dtype):
    with sanitized[1] as backend:
        for n in (3, 257):
            check_loss_gradient(backend, *draw(33, n, dtype, weighted=True))


@emulated
@pytest.mark.parametrize("slices", [1, 9, 70])
def test_the_sum_over_slices_has_no_race(slices):
    sums, totals = np.random.default_rng(0).standard_normal((slices, 40)), np.ones((slices, 2))
    kernel, grid, block = shapes.sum_slices("double", slices, 42)
    out = np.full(42, np.nan)
    program = Program(cuda.source("dense.cu"), SUMS, "thread")
    program.run(
        [Launch(kernel, grid, block, (sums, totals, np.int64(slices), np.int32(40), np.int32(2), out))]
    )
    np.testing.assert_allclose(out, np.r_[sums.sum(axis=0), slices, slices], rtol=1e-12, atol=1e-13 * slices)


@emulated
@pytest.mark.parametrize("n", [31, 1025])
def test_products_of_margins_at_hand_under_sanitizers(sanitized, n):
    which, device = sanitized
    if which == "address":
        with device as backend:
            check_at_hand(backend, "float32", n, 9)


@emulated
def test_odd_rows_of_device_arrays_under_sanitizers(sanitized):
    """Arrays on the device are read in place, by narrower loads that end at the last byte."""
    _, device = sanitized
    with device as backend:
        for n, first in [(5, 0), (17, 0), (17, 3)]:
            wide, y, s, W = draw(21, n + first, "float32")
            there = fake_cupy.asarray(wide)[:, first:]
            block = backend.upload(block_of(there, y))
            assert np.shares_memory(block.X.stored, there)
            loss = Logistic()
            got = backend.run(passes.LossGradient(W[first:], loss), block)
            expected = cpu_or_gpu("numpy").run(
                passes.LossGradient(W[first:], loss), block_of(wide[:, first:], y)
            )
            np.testing.assert_allclose(got.gradient, expected.gradient, rtol=1e-4, atol=1e-5)


@emulated
def test_several_outputs_under_sanitizers(sanitized):
    which, device = sanitized
    check_several_outputs(device, 9 if which == "thread" else 70, 257, 5)


@pytest.mark.gpu
@pytest.mark.parametrize("n, outputs", [*SEVERAL_OUTPUTS, pytest.param(257, 16, marks=pytest.mark.slow)])
def test_several_outputs(plain, n, outputs):
    check_several_outputs(plain, 70, n, outputs)


def check_several_outputs(device, m, n, outputs):
    X, y, s, _ = draw(m, n, "float32", weighted=True)
    W, V = np.random.default_rng(0).standard_normal((2, n + 1, outputs)) / np.sqrt(n)
    with device as backend:
        block, loss = backend.upload(block_of(X, y, s)), Logistic()
        got = backend.run(passes.LossGradient(W, loss), block)
        products = backend.run(passes.HessianVector(W, V, loss), block)
    reference = cpu_or_gpu("numpy")
    block = block_of(X.astype(np.float64), y, s)
    expected = reference.run(passes.LossGradient(W, loss), block)
    np.testing.assert_allclose(got.gradient, expected.gradient, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(got.value, expected.value, rtol=1e-5)
    np.testing.assert_allclose(
        products, reference.run(passes.HessianVector(W, V, loss), block), rtol=1e-4, atol=1e-4
    )


@pytest.mark.gpu
def test_the_same_bits_whatever_the_schedule(plain):
    X, y, s, W = draw(257, 100, "float32", weighted=True)
    with plain as backend:
        block = backend.upload(block_of(X, y, s))
        results = [
            backend.run(passes.LossGradient(W, Logistic()), block) for _ in range(5)
        ]  # each launch draws its own schedule
    assert len({(got.value.tobytes(), got.gradient.tobytes()) for got in results}) == 1


# -- faults planted in our own kernels: would the proofs above see them? -------------------------------------


def planted(monkeypatch, fault, repaired="", count=1):
    """dense.cu with a fault in it; the other sources, which may be compiled meanwhile, stay as they are."""
    source, text = cuda.source, cuda.source("dense.cu")
    assert text.count(fault) >= 1, "the kernel has changed: plant the fault anew"
    faulty = text.replace(fault, repaired, count)
    monkeypatch.setattr(cuda, "source", lambda name: faulty if name == "dense.cu" else source(name))


def one_gradient(sanitizer, m, n, X=None):
    device = Device(sanitizer=sanitizer)
    device.take_sums_from(WHOLE)
    with device as backend:
        drawn, y, _, W = draw(m, n, "float32")
        block = backend.upload(block_of(drawn if X is None else X, y))
        return backend.run(passes.LossGradient(W, Logistic()), block), block_of(drawn, y), W


@emulated
def test_a_read_past_the_row_is_caught(monkeypatch):
    planted(monkeypatch, "< end && column(c) < n;", "< end && column(c) <= n;")
    with pytest.raises(EmulationError, match="heap-buffer-overflow"):
        one_gradient("address", 33, 100)


@emulated
@pytest.mark.parametrize(
    "n, fault",
    [(1025, "            __syncthreads();\n"), (100, "        __syncthreads();\n        for (int k")],
)
def test_a_missing_barrier_is_caught(monkeypatch, n, fault):
    planted(monkeypatch, fault, fault.replace("__syncthreads();", ""))
    with pytest.raises(EmulationError, match="data race"):
        one_gradient("thread", 9, n)


@emulated
def test_one_buffer_where_two_take_turns_is_caught(monkeypatch):
    planted(monkeypatch, "phase ^= 1;")
    with pytest.raises(EmulationError, match="data race"):
        one_gradient("thread", 40, 1025)


@emulated
def test_a_misaligned_vector_load_is_caught(monkeypatch):
    monkeypatch.setattr(shapes, "widest_vector", lambda itemsize, address, stride, n: 4)
    X = fake_cupy.asarray(np.ones((9, 101), dtype=np.float32))[:, :100]
    with pytest.raises(EmulationError, match="misaligned address"):
        one_gradient("address", 9, 100, X)


@emulated
@pytest.mark.parametrize(
    "fault, repaired",
    [
        ("(base + side) * stride", "(base + side) * int(stride)"),
        ("begin * stride", "int(begin) * int(stride)"),
    ],
)
def test_a_32_bit_row_offset_is_caught(fault, repaired):
    """Rows lie a billion numbers apart in memory that is mapped but not used; without the fault they are
    read."""
    source = cuda.source("dense.cu")
    launch = shapes.dense("LossGradient", "uint8", 3, 16)
    m, stride = (3, 1 << 30) if "base" in fault else (6, 1 << 30)
    slice_rows = 8 if "base" in fault else 2
    grid = -(-m // slice_rows)
    sums, totals = np.zeros((grid, 16), np.float32), np.zeros((grid, 2))
    arguments = (
        Huge((m - 1) * stride + 16),
        np.int64(stride),
        np.int64(m),
        np.int32(16),
        np.ones(17, np.float32),
        np.ones(m, np.uint8),
        None,
        np.int32(slice_rows),
        None,
        sums,
        totals,
    )
    job = [Launch(launch.kernel, grid, launch.block, arguments)]
    assert source.count(fault) == 1
    Program(source, [launch.kernel], "address").run(job)
    np.testing.assert_allclose(totals.sum(axis=0)[0], m * np.log1p(np.exp(-1)), rtol=1e-6)
    with pytest.raises(EmulationError, match="signed integer overflow"):
        Program(source.replace(fault, repaired), [launch.kernel], "address").run(job)


@emulated
def test_a_lane_that_leaves_early_is_caught(monkeypatch):
    fetch = "        fetch(rows, base);\n"
    planted(monkeypatch, fetch, fetch + "        if (first_pack * kVector >= n) return;\n")
    with pytest.raises(EmulationError, match="not reached by all lanes"):
        one_gradient(None, 9, 28)


@emulated
def test_a_factor_from_the_wrong_lane_is_caught(monkeypatch):
    """No sanitizer sees this fault; the comparison with exact sums does."""
    planted(monkeypatch, "r * kOwners / kOwned;", "r;")
    got, block, W = one_gradient(None, 33, 100)
    expected = cpu_or_gpu("numpy").run(passes.LossGradient(W, Logistic()), block)
    assert not np.allclose(got.gradient, expected.gradient, rtol=1e-2)
