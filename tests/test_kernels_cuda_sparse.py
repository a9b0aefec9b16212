"""kernels/cuda/sparse.cu without a GPU: compiled by NVIDIA's compiler, run on the CPU under sanitizers,
with faults planted.

What it computes is compared with dense arrays in test_sparse.py, where the cupy backend is one of the list.
"""

import contextlib
import sys

import numpy as np
import nvrtc
import pytest
import scipy.sparse
from cuda_kernels import STORED
from cuda_on_cpu import fake_cupy
from cuda_on_cpu.emulator import EmulationError, Huge, Launch, Program, why_not

from conftest import EMULATED, FLOATS, block_of, check_all_passes, cpu_or_gpu, draw, early
from logreg_accel import LogisticRegression
from logreg_accel.backends import passes
from logreg_accel.data import as_matrix
from logreg_accel.kernels import cuda
from logreg_accel.kernels.cuda import shapes
from logreg_accel.losses import Logistic

PASSES = ["LossGradient", "HessianVector", "Diagonal", "Margins", "transposed", "weighted_gram", "reaches"]
ROW_ENTRIES = [1, 20, 200]  # two, eight and 32 lanes
BESIDE = {  # launched beside those of sparse.cu
    "arrays.cu": [
        "add_matrix<double>",
        *(f"column_{name}<{real}>" for name in ("reach", "sums") for real in ("float", "double")),
    ],
    "entries.cu": ["unfixed", "unfixed_gram"],
    "sweeps.cu": [f"logistic_curvatures<{real}>" for real in ("float", "double")],
}
ARCHITECTURES = ["sm_75", "sm_80", "sm_90", "sm_100", "sm_120"]

emulated = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))
compiled = pytest.mark.skipif(nvrtc.why_not() is not None, reason=str(nvrtc.why_not()))


def names_of(dtypes, outputs=(1,), rows=ROW_ENTRIES, passes=PASSES):
    return sorted(
        {
            shapes.sparse(name, dtype, 100, 100 * row, k)[0]
            for name in passes
            for dtype in dtypes
            for row in rows
            for k in outputs
        }
    )


@compiled
@pytest.mark.parametrize(
    "architecture",
    [
        pytest.param(name, marks=[] if name in ("sm_75", "sm_90") else pytest.mark.slow)
        for name in ARCHITECTURES
    ],
)
def test_every_kernel_compiles_and_nothing_spills(architecture):
    names = names_of(FLOATS, rows=[20])
    if architecture == "sm_90":
        names = (
            names_of(STORED, rows=[20], passes=["LossGradient", "weighted_gram"])
            + names_of(["float16"], rows=[20])
            + names_of(["float32"], [10], [20], PASSES[:5])
            + names_of(["float32"], rows=[1, 200])
        )
    taken = nvrtc.compile(cuda.source("sparse.cu"), names, architecture)
    assert set(taken) == set(names)
    assert not {name: resources.spilled for name, resources in taken.items() if resources.spilled > 16}
    assert not [name for name, resources in taken.items() if resources.spilled and "LossGradient" in name]
    assert all(resources.registers <= 128 for name, resources in taken.items() if "<10>" not in name)


class Device:
    """The cupy backend on emulated kernels, sparse.cu's with a sanitizer or a fault."""

    def __init__(self, sanitizer=None):
        self.kernels = fake_cupy.Kernels(sanitizer)

    def __enter__(self):
        self.context = fake_cupy.in_place_of_cupy(self.kernels)
        self.context.__enter__()
        return cpu_or_gpu("cupy")

    def __exit__(self, *error):
        return self.context.__exit__(*error)


@contextlib.contextmanager
def plain(kernels):
    """The cupy backend on a GPU, or else on kernels without a sanitizer."""
    with fake_cupy.in_place_of_cupy(kernels) if EMULATED else contextlib.nullcontext():
        yield cpu_or_gpu("cupy")


def prepare_sanitized():
    devices = {"address": Device("address"), "thread": Device("thread")}
    for device in devices.values():
        device.kernels.foresee(
            cuda.source("sparse.cu"), names_of(["float32"]) + names_of(["float64"], rows=[1])
        )
        for source, names in BESIDE.items():
            device.kernels.foresee(cuda.source(source), names)
    return devices


EARLY = {"sanitized_sparse": prepare_sanitized}


@pytest.fixture(scope="module")
def sanitized_sparse(request):
    return early("sanitized_sparse")[request.param]


def thin(m, n, dtype, share, weighted=True):
    X, y, s, W = draw(m, n, dtype, weighted=weighted)
    X = X * (np.random.default_rng([m, n]).random((m, n)) < share).astype(X.dtype)
    X[m // 2] = 0
    return X, as_matrix(scipy.sparse.csr_array(X)), y, s, W


@emulated
@pytest.mark.parametrize(
    "sanitized_sparse, m, n, share, dtypes",
    [
        ("address", 1, 1, 1.0, ["float32"]),
        ("address", 130, 5, 0.2, FLOATS),
        ("address", 9, 400, 0.5, ["float32"]),
        ("thread", 16, 5, 0.2, ["float32"]),  # which threads meet, the type of the numbers does not decide
        ("thread", 9, 400, 0.5, ["float32"]),
        pytest.param("thread", 16, 5, 0.2, ["float64"], marks=pytest.mark.slow),
        pytest.param("thread", 1, 1, 1.0, ["float32"], marks=pytest.mark.slow),
        pytest.param("address", 40, 50, 0.4, ["float32"], marks=pytest.mark.slow),
        pytest.param("thread", 16, 50, 0.4, ["float32"], marks=pytest.mark.slow),
    ],
    indirect=["sanitized_sparse"],
)
def test_passes_under_sanitizers(sanitized_sparse, m, n, share, dtypes):
    with sanitized_sparse as backend:
        for dtype in dtypes:
            X, stored, y, s, W = thin(m, n, dtype, share)
            check_all_passes(backend, X, y, s, W, stored=stored, hessian=n < 100)


@pytest.mark.gpu
def test_the_same_bits_whatever_the_schedule(emulated_kernels):
    """Integers are added: threads that come in another order leave the same sums."""
    X, stored, y, s, W = thin(500, 20, "float32", 0.3)
    with plain(emulated_kernels) as backend:
        block = backend.upload(block_of(stored, y, s))
        results = [
            backend.run(passes.LossGradient(W, Logistic()), block) for _ in range(5)
        ]  # each launch draws its own schedule
        grams = [backend.to_host(backend.run(passes.Hessian(W, Logistic()), block)) for _ in range(3)]
    assert len({(got.value.tobytes(), got.gradient.tobytes()) for got in results}) == 1
    assert len({gram.tobytes() for gram in grams}) == 1


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", FLOATS)
def test_columns_of_every_size_keep_their_digits(dtype, emulated_kernels):
    """Each column has its own unit: sizes extend over thirty decades, signs cancel, and one weight is
    heavy."""
    X, _, y, s, W = thin(300, 8, "float64", 0.7)
    scale = 10.0 ** np.linspace(-15, 15, 8)
    X, W = (X * scale).astype(dtype), np.append(W[:-1] / scale[:, None], W[-1:], axis=0)
    s = s * 1e4
    with plain(emulated_kernels) as backend:
        check_all_passes(backend, X, y, s, W, stored=as_matrix(scipy.sparse.csr_array(X)))


@emulated
def test_an_index_of_an_entry_beyond_32_bits():
    """Rows lie three billion entries apart in memory that is mapped but not used, which holds zeros of column
    0."""
    kernel, grid = shapes.sparse("LossGradient", "int8", 2, 4)
    apart = 3 << 30
    indptr = np.array([apart, apart + 2, apart + 4])
    exponents, shifts = np.zeros(1, np.int32), np.array([60], np.int32)
    sums, totals = np.zeros(1, np.int64), np.zeros((grid, 2))
    arguments = (
        Huge(apart + 4),
        Huge(4 * apart + 16),
        indptr,
        np.int64(2),
        np.int32(1),
        np.array([5.0, 1.0], np.float32),
        np.array([1, 1], np.uint8),
        None,
        exponents,
        shifts,
        None,
        sums,
        totals,
    )
    Program(cuda.source("sparse.cu"), [kernel], "address").run(
        [Launch(kernel, grid, shapes.THREADS, arguments)]
    )
    np.testing.assert_allclose(
        totals.sum(axis=0), [2 * np.log1p(np.exp(-1)), -2 / (1 + np.exp(1))], rtol=1e-6
    )


# -- faults planted in the kernel: would the proofs see them? ------------------------------------------------


def planted(monkeypatch, fault, repaired):
    """sparse.cu with a fault in it; the other sources, which may be compiled meanwhile, stay as they are."""
    source, text = cuda.source, cuda.source("sparse.cu")
    assert text.count(fault) >= 1, "the kernel has changed: plant the fault anew"
    faulty = text.replace(fault, repaired)
    monkeypatch.setattr(cuda, "source", lambda name: faulty if name == "sparse.cu" else source(name))


def one_gradient(sanitizer, m=70, n=5):
    X, stored, y, s, W = thin(m, n, "float32", 0.3, weighted=False)
    device = Device(sanitizer)
    device.kernels.foresee(
        cuda.source("sparse.cu"), names_of(["float32"], rows=[1], passes=["LossGradient", "reaches"])
    )
    with device as backend:
        got = backend.run(passes.LossGradient(W, Logistic()), backend.upload(block_of(stored, y)))
    return got, cpu_or_gpu("numpy").run(passes.LossGradient(W, Logistic()), block_of(X, y))


@emulated
def test_an_addition_that_is_not_atomic_is_caught(monkeypatch):
    planted(
        monkeypatch,
        "atomicAdd(sums + (long long)j * kOutputs + k,\n                      ",
        "(*(sums + (long long)j * kOutputs + k) +=\n                      ",
    )
    with pytest.raises(EmulationError, match="data race"):
        one_gradient("thread")


@emulated
def test_a_missing_barrier_is_caught(monkeypatch):
    planted(
        monkeypatch,
        "    parts[threadIdx.x] = value;\n    __syncthreads();",
        "    parts[threadIdx.x] = value;",
    )
    with pytest.raises(EmulationError, match="data race"):
        one_gradient("thread")


@emulated
def test_an_entry_past_the_last_is_caught(monkeypatch):
    planted(monkeypatch, "e < end; e += kLanes", "e <= end; e += kLanes")
    with pytest.raises(EmulationError, match="heap-buffer-overflow"):
        one_gradient("address")


@emulated
def test_a_lane_that_leaves_early_is_caught(monkeypatch):
    planted(
        monkeypatch,
        "        Real z[kDots] = {};\n",
        "        if (!there) return;\n        Real z[kDots] = {};\n",
    )
    with pytest.raises(EmulationError, match="not reached by all"):
        one_gradient(None)


@emulated
def test_a_sum_that_overflows_is_caught(monkeypatch, emulated_kernels):
    """The units are chosen too small, which only the numbers show."""
    with fake_cupy.in_place_of_cupy(emulated_kernels):
        backend = cpu_or_gpu("cupy")
        monkeypatch.setattr(sys.modules["logreg_accel.backends.cupy.csr"], "_BITS", 70)
        X, stored, y, s, W = thin(70, 5, "float32", 0.3, weighted=False)
        got = backend.run(passes.LossGradient(W, Logistic()), backend.upload(block_of(stored, y)))
    expected = cpu_or_gpu("numpy").run(passes.LossGradient(W, Logistic()), block_of(X, y))
    assert not np.allclose(got.gradient, expected.gradient, rtol=1e-2)


@pytest.mark.gpu
def test_fits_have_the_same_bits_on_every_run(emulated_kernels):
    X, stored, y, s, _ = thin(900, 12, "float32", 0.3)
    with plain(emulated_kernels):
        fits = [LogisticRegression(backend="cupy", solver="newton-cg").fit(stored, y, s) for _ in range(2)]
    assert (fits[0].coef_ == fits[1].coef_).all() and fits[0].status_ in ("converged", "noise floor")
