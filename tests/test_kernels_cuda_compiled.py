"""The dense CUDA kernels compiled by NVIDIA's compiler, for every architecture; and their sources."""

import re
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import nvrtc
import pytest
from cuda_kernels import PASSES, STORED, SUMS, kernels_of

from conftest import early
from logreg_accel.data import compute_dtype
from logreg_accel.kernels import cuda
from logreg_accel.kernels.cuda import shapes

compiled = pytest.mark.skipif(nvrtc.why_not() is not None, reason=str(nvrtc.why_not()))

ARCHITECTURES = ["sm_75", "sm_80", "sm_90", "sm_100", "sm_120"]
TARGETS = [16, 64, 256, 1024, 4096, 8192]
REGISTERS = 65536  # of a multiprocessor
# read before any test runs: they are compiled beside the tests, and some of those plant faults in dense.cu
SOURCES = {name: cuda.source(name) for name in ("dense.cu", "pointwise.cu")}


def compile_for_every_architecture():
    """(architecture, kernel) -> Resources, of a set that has every shape of the kernel.

    For sm_90 it has all dtypes.
    """
    some = kernels_of(["float32", "float16"], TARGETS, ["LossGradient"]) | kernels_of(
        ["float32"], [1024], PASSES, [3]
    )
    some |= kernels_of(["float64", "uint8"], [64, 2048], ["LossGradient"]) | kernels_of(
        ["float32"], [4096], ["HessianVector"]
    )
    all_shapes = some | kernels_of(STORED, TARGETS, ["LossGradient", "HessianVector"])
    pointwise = [f"logistic_{name}<{real}>" for name in ("line", "residual") for real in ("float", "double")]
    jobs = [
        ("dense.cu", sorted(all_shapes if arch == "sm_90" else some) + SUMS, arch) for arch in ARCHITECTURES
    ]
    jobs += [("pointwise.cu", pointwise, arch) for arch in ARCHITECTURES]
    jobs.sort(key=lambda job: -len(job[1]))
    with ThreadPoolExecutor(2) as pool:
        done = pool.map(lambda job: nvrtc.compile(SOURCES[job[0]], job[1], job[2]), jobs)
        return {
            (job[2], kernel): taken
            for job, result in zip(jobs, done, strict=True)
            for kernel, taken in result.items()
        }


EARLY = {"machine_code": compile_for_every_architecture}


@pytest.fixture(scope="module")
def machine_code():
    return early("machine_code")


@compiled
def test_every_shape_of_the_kernel_compiles_for_every_architecture(machine_code):
    assert {architecture for architecture, _ in machine_code} == set(ARCHITECTURES)
    assert all(0 < taken.registers <= 255 and taken.shared <= 48 * 1024 for taken in machine_code.values())


@compiled
def test_nothing_spills_where_speed_counts(machine_code):
    """The gradient of one output keeps to its registers.

    The rest may put a few values of the whole loop aside.
    """
    for architecture in ARCHITECTURES:
        check_spills(
            {kernel: taken for (where, kernel), taken in machine_code.items() if where == architecture}
        )


def check_spills(taken):
    spilled = {kernel: resources.spilled for kernel, resources in taken.items() if resources.spilled}
    assert max(spilled.values(), default=0) <= 40, spilled
    assert not [kernel for kernel in spilled if "LossGradient<1>" in kernel and "double" not in kernel], (
        spilled
    )


@compiled
@pytest.mark.slow
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_dtype_and_pass_compiles_for_every_architecture(architecture):
    kernels = sorted(
        kernels_of(STORED, [4, *TARGETS, 2048])
        | kernels_of(["float32", "float16"], [16, 256], outputs=[2, 10, 16])
    )
    taken = nvrtc.compile(cuda.source("dense.cu"), kernels, architecture)
    assert set(taken) == set(kernels)
    check_spills(taken)


@compiled
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_registers_leave_enough_loads_in_flight(machine_code, dtype):
    """48 KiB under way on each multiprocessor of an H200, from the registers that the compiler took."""
    for n in TARGETS:
        launch = shapes.dense("LossGradient", dtype, 2**32 // n, n)
        taken = machine_code["sm_90", launch.kernel]
        blocks = min(
            REGISTERS // (-(-taken.registers // 8) * 8 * launch.block),
            227 * 1024 // (taken.shared + 1024),
            32,
        )
        rows = launch.rows * (1 if launch.lanes > 32 else launch.block // launch.lanes)
        in_flight = blocks * rows * n * np.dtype(dtype).itemsize
        assert in_flight >= 48 << 10, (n, taken, blocks)


@compiled
def test_a_mistake_in_a_kernel_fails_the_compilation():
    with pytest.raises(nvrtc.CompileError, match='identifier "total" is undefined'):
        nvrtc.compile(cuda.source("dense.cu").replace("a += totals[i", "a += total[i"), SUMS, "sm_90")


# -- sources -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["dense.cu", "pointwise.cu", "sparse.cu"])
def test_headers_are_part_of_the_source(name):
    """CuPy's cache of compiled kernels sees the text alone, so nothing of ours may come by #include."""
    text = cuda.source(name)
    assert re.findall(r'#include "(.*)"', text) == ["emulation.h"]  # for the CPU only
    assert not re.findall(r"#include <", text), "headers of CUDA are not part of every installation of CuPy"
    assert "struct Logistic" in text and "transposed_sum" in text


def test_arithmetic_of_storage_is_the_package_s():
    assert {
        dtype: {"float": "float32", "double": "float64"}[real] for dtype, (_, real) in shapes.STORAGE.items()
    } == {dtype: compute_dtype(np.dtype(dtype)).name for dtype in shapes.STORAGE}
