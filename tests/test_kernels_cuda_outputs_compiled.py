"""The CUDA kernel of many outputs as NVIDIA's compiler makes it."""

import collections

import nvrtc
import pytest

from conftest import early
from logreg_accel.kernels import cuda
from logreg_accel.kernels.cuda import tiles

compiled = pytest.mark.skipif(nvrtc.why_not() is not None, reason=str(nvrtc.why_not()))
with_loops = pytest.mark.skipif(nvrtc.why_no_loops() is not None, reason=str(nvrtc.why_no_loops()))
SOURCE = cuda.source("outputs.cu")  # before any test plants faults in it
BYTES_A_CLOCK = 18  # that the memory of an H200 gives each multiprocessor
ITEM = {"float32": 4, "float16": 2, "uint8": 1}

# (X's dtype, columns, outputs, classes) -> shares of the time of one read that instructions and tensor
# cores may take; what is above one is what computing costs more than reading
CASES = {
    ("float32", 100, 10, 10): (1.75, 0.75),
    ("float32", 100, 32, 1): (3.8, 1.5),
}
SLOW = {
    ("float32", 784, 10, 10): (0.9, 0.65),
    ("float32", 768, 32, 1): (2.3, 1.3),
    ("float16", 768, 10, 10): (1.4, 0.9),
    ("uint8", 784, 10, 10): (3.2, 1.8),
}
CLOCKS_OF_A_PRODUCT = 5.5  # between full rate, 4, and what mma.sync is said to reach of it on an H100


def launch_of(dtype, n, k, classes, name="LossGradient"):
    return tiles.outputs(name, dtype, 10**7, n, k, 16 // ITEM[dtype], classes, classes == 1)


def compile_cases():
    """kernel -> (Resources, instructions of the loop over tiles)."""
    names = sorted({launch_of(*case).kernel for case in CASES})
    return nvrtc.compile(SOURCE, names, "sm_90"), nvrtc.loops(SOURCE, names, "sm_90")


EARLY = {"outputs_code": compile_cases}


@pytest.fixture(scope="module")
def outputs_code():
    return early("outputs_code")


def shares(loop, case):
    """Of the time that one read of a tile takes: what its instructions take, and its tensor products."""
    dtype, n, *_ = case
    launch = launch_of(*case)
    rows = rows_of_tile(launch)
    clocks = rows * n * ITEM[dtype] / BYTES_A_CLOCK
    warps = launch.block // 32
    counts = collections.Counter(name.partition(".")[0] for name in loop)
    return len(loop) * warps / 4 / clocks, counts["HMMA"] * CLOCKS_OF_A_PRODUCT * warps / 4 / clocks, counts


def rows_of_tile(launch):
    numbers = launch.kernel.rstrip(">").split(", ")
    rows, warps, across = map(int, numbers[6:9])
    return rows * warps // across


@with_loops
@pytest.mark.parametrize("case", CASES, ids=str)
def test_computing_leaves_time_for_the_memory(outputs_code, case):
    taken, loops = outputs_code
    kernel = launch_of(*case).kernel
    assert taken[kernel].spilled <= 16
    check_shares(loops[kernel], case, CASES[case])


def check_shares(loop, case, most):
    issue, tensor, counts = shares(loop, case)
    assert 0.1 < issue <= most[0] and 0.1 < tensor <= most[1], (issue, tensor, counts)
    assert counts["LDGSTS"] > 0 and counts["LDL"] + counts["STL"] <= 8


@with_loops
@pytest.mark.slow
@pytest.mark.parametrize("case", SLOW, ids=str)
def test_computing_leaves_time_for_the_memory_in_other_layouts(case):
    kernel = launch_of(*case).kernel
    check_shares(nvrtc.loops(SOURCE, [kernel], "sm_90")[kernel], case, SLOW[case])


@compiled
@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["sm_80", "sm_90", "sm_100", "sm_120"])
def test_next_to_nothing_spills_at_the_widest_rows_of_every_mapping(architecture):
    names = set()
    for (halves, products), limits in tiles._LIMITS.items():
        name = "LossGradient" if halves == products else "HessianVector"
        for most, _, _, _ in limits:
            for classes in (1, 16 * halves):
                names.add(launch_of("float32", 64 * most, 16 * halves, classes, name).kernel)
    taken = nvrtc.compile(SOURCE, sorted(names), architecture)
    spilled = {kernel: one.spilled for kernel, one in taken.items() if one.spilled > 64}
    assert not spilled and len(taken) == len(names)


def test_tiles_leave_bytes_enough_in_flight():
    """They are nearly the 48 KiB per multiprocessor that an H200 needs, in addition to the tile in use."""
    for dtype in ("float32", "float16"):
        itemsize = ITEM[dtype]
        for n in range(64, 1400, 16 // itemsize):
            launch = launch_of(dtype, n, 10, 10)
            count, nbytes = tiles.stages(launch, 227 << 10, 228 << 10)
            blocks = min(launch.resident, (228 << 10) // (nbytes + (5 << 10)))
            in_flight = blocks * (count - 1) * rows_of_tile(launch) * n * itemsize
            assert in_flight >= 40 << 10, (dtype, n, in_flight)
