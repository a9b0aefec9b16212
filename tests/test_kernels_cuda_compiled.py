"""The dense CUDA kernels as NVIDIA's compiler makes them, for every architecture; and their sources."""

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
BY_DEFAULT = ["sm_75", "sm_90", "sm_120"]  # the oldest, the newest and what is measured
WIDTHS = [16, 28, 100, 516, 1028, 2000, 4100, 8192]
WIDER = [12_292, 24_576]  # of float32
READ = ["LossGradient", "HessianVector"]
BYTES_A_CLOCK = 18  # what the memory of an H200 supplies to each multiprocessor; an H100's 12
# read before any test runs: they are compiled beside the tests, and some of those plant faults in dense.cu
SWEEPS = {  # what goes over vectors, or makes arrays out of others
    "pointwise.cu": [
        *(f"logistic_{name}<{real}>" for name in ("line", "residual") for real in ("float", "double")),
        *("logistic_probabilities<float>", "nonfinite<float>", "likeliest<float, unsigned char>"),
    ],
    "sweeps.cu": [
        *(f"mass_{name}<float>" for name in ("total", "passing", "taken")),
        *(f"logistic_{name}<float>" for name in ("curvatures", "change", "above")),
    ],
    "made.cu": [
        f"made_rows<{types}>" for types in ("float, float, true", "float, double, false", "Half, float, true")
    ],
    "classes.cu": [
        f"softmax_{name}<float>"
        for name in ("residual", "product", "line", "change", "probabilities", "roots")
    ],
    "arrays.cu": [
        *("copied<unsigned char, unsigned char>", "copied<float, double>", "add_matrix<float>", "total"),
        *("add_row<float>", "column_sums<float>", "column_reach<float>", "squared<float, float>"),
        *("times<float>", "add<double>"),
    ],
    "entries.cu": [
        *("row_lengths", "taken_entries<Half>", "shifted", "moved<signed char>", "unfixed", "unfixed_gram")
    ],
    "systems.cu": ["mean_matrix", "against_shifts", "unit_diagonal"],
    "squares.cu": [
        *("row_squares<float, float>", "column_squares<float, float>", "inverse_means<float>"),
        "group_sums<double>",
    ],
    "labels.cu": [
        *("label_range<int>", "label_codes<int>", "label_presence<float>", "positive_count", "positive_rows"),
        *("label_lookup<float, unsigned char>", "class_totals<double>", "weights_look"),
        *("scaled_weights<float>", "model_rows<float>"),
    ],
}
SOURCES = {name: cuda.source(name) for name in ("dense.cu", *SWEEPS)}


def widths_of(dtype, name):
    """float32 takes all; two each of the others, so that together they take all."""
    first = (STORED.index(dtype) + (name == "HessianVector")) % 4
    return WIDTHS + WIDER if dtype == "float32" else WIDTHS[first::4]


def compile_for_some_architectures():
    """(architecture, kernel) -> Resources, of a set that has every shape of the kernel.

    For sm_90 it has all dtypes.
    """
    some = kernels_of(["float32"], WIDTHS, ["LossGradient"]) | kernels_of(["float16"], [28], ["LossGradient"])
    some |= kernels_of(["float64", "uint8"], [2048], ["LossGradient"])
    some |= kernels_of(["float32"], [1024], ["LossGradient", "HessianVector"], [3])
    all_dtypes = some.union(
        *(kernels_of([dtype], widths_of(dtype, name), [name]) for dtype in STORED for name in READ)
    )
    all_dtypes |= kernels_of(["float32"], [1024], PASSES)
    all_dtypes |= kernels_of(["float32"], [100, 8192], ["ProductAt"])
    jobs = [("dense.cu", sorted(all_dtypes if arch == "sm_90" else some) + SUMS, arch) for arch in BY_DEFAULT]
    jobs += [(file, names, arch) for file, names in SWEEPS.items() for arch in BY_DEFAULT]
    jobs.sort(key=lambda job: -len(job[1]))
    with ThreadPoolExecutor(2) as pool:
        done = pool.map(lambda job: nvrtc.compile(SOURCES[job[0]], job[1], job[2]), jobs)
        return {
            (job[2], kernel): taken
            for job, result in zip(jobs, done, strict=True)
            for kernel, taken in result.items()
        }


EARLY = {"machine_code": compile_for_some_architectures}


@pytest.fixture(scope="module")
def machine_code():
    return early("machine_code")


@compiled
def test_every_shape_of_the_kernel_compiles_for_old_and_new_architectures(machine_code):
    assert {architecture for architecture, _ in machine_code} == set(BY_DEFAULT)
    assert {
        dtype
        for dtype in STORED
        for n in WIDTHS
        if ("sm_90", launch_of(READ[0], dtype, n).kernel) in machine_code
    } == set(STORED)
    assert all(0 < taken.registers <= 255 and taken.shared <= 48 * 1024 for taken in machine_code.values())


@compiled
def test_the_largest_blocks_find_registers(machine_code):
    """A sum over slices has up to 1,024 threads a block, and no launch bound keeps their registers few."""
    _, _, threads = shapes.sum_slices("float", 1 << 20, 1)
    assert threads == 1024
    for architecture in BY_DEFAULT:
        assert max(machine_code[architecture, name].registers for name in SUMS) * threads <= 1 << 16


@compiled
def test_nothing_spills_where_speed_counts(machine_code):
    """The gradient of one output spills no register; other kernels may spill a few values of the whole
    loop."""
    for architecture in BY_DEFAULT:
        check_spills(
            {kernel: taken for (where, kernel), taken in machine_code.items() if where == architecture},
            architecture,
        )


def check_spills(taken, architecture="sm_90"):
    """Newer GPUs than the H100 multiply pairs, which takes some registers more."""
    spilled = {kernel: resources.spilled for kernel, resources in taken.items() if resources.spilled}
    assert max(spilled.values(), default=0) <= 64, spilled
    fast = ("LossGradient<1>", "ProductAt<1>")
    gradients = [spilled[k] for k in spilled if any(name in k for name in fast) and "double" not in k]
    assert max(gradients, default=0) <= (32 if architecture in ("sm_100", "sm_120") else 0), spilled


@compiled
@pytest.mark.slow
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_dtype_and_pass_compiles_for_every_architecture(architecture):
    kernels = sorted(
        kernels_of(STORED, [4, 64, 256, *WIDTHS])
        | kernels_of([dtype for dtype in STORED if dtype != "float64"], WIDER)
        | kernels_of(["float32", "float16"], [16, 256], outputs=[2, 10, 16])
    )
    taken = nvrtc.compile(cuda.source("dense.cu"), kernels, architecture)
    assert set(taken) == set(kernels)
    check_spills(taken, architecture)


def launch_of(name, dtype, n):
    itemsize = np.dtype(dtype).itemsize
    return shapes.dense(name, dtype, 2**32 // (itemsize * n), shapes.padded(n, itemsize))


def blocks_at_once(taken, launch):
    """Of a multiprocessor: its four parts have 512 registers a lane each, given out by eights."""
    warps = 4 * (512 // (-(-taken.registers // 8) * 8))
    return min(32 * warps // launch.block, 227 * 1024 // (taken.shared + 1024), 32)


def rows_at_once(launch):
    """Of a block."""
    return launch.rows * (1 if launch.lanes > 32 else launch.block // launch.lanes)


def in_flight(taken, launch, n, dtype):
    """Bytes that a multiprocessor has asked for when all of its warps wait."""
    columns = shapes.padded(n, np.dtype(dtype).itemsize)
    return blocks_at_once(taken, launch) * rows_at_once(launch) * columns * np.dtype(dtype).itemsize


@compiled
@pytest.mark.parametrize("dtype", STORED)
@pytest.mark.parametrize("name", READ)
def test_registers_leave_enough_loads_in_flight(machine_code, name, dtype):
    """An H200 needs 48 KiB in flight per multiprocessor, which follows from the registers that the compiler
    used."""
    for n in widths_of(dtype, name):
        launch = launch_of(name, dtype, n)
        taken = machine_code["sm_90", launch.kernel]
        assert in_flight(taken, launch, n, dtype) >= 48 << 10, (n, taken)


@compiled
@pytest.mark.slow
@pytest.mark.parametrize("dtype", STORED)
@pytest.mark.parametrize("name", PASSES)
def test_every_width_has_loads_enough_in_flight_and_spills_next_to_nothing(name, dtype):
    itemsize = np.dtype(dtype).itemsize
    most = 24_576 // (2 if dtype == "float64" else 1)
    widths = range(16 // itemsize, most + 1, 16 // itemsize)
    launches = {n: launch_of(name, dtype, n) for n in widths}
    names = sorted({launch.kernel for launch in launches.values()})
    with ThreadPoolExecutor(2) as pool:
        done = pool.map(
            lambda some: nvrtc.compile(SOURCES["dense.cu"], some, "sm_90"), (names[::2], names[1::2])
        )
        taken = {kernel: resources for part in done for kernel, resources in part.items()}
    check_spills(taken)
    short = {
        n for n, launch in launches.items() if in_flight(taken[launch.kernel], launch, n, dtype) < 48 << 10
    }
    assert not short, sorted(short)


# -- instructions --------------------------------------------------------------------------------------------


def compile_loops():
    """kernel -> the instructions of its loop over rows."""
    names = {launch_of(name, dtype, n).kernel for name, dtype, n in SLOTS}
    return nvrtc.loops(SOURCES["dense.cu"], sorted(names), "sm_90")


# what the loop may take of the instructions that a multiprocessor can issue while it reads at full bandwidth
SLOTS = {
    ("LossGradient", "float32", 16): 0.5,
    ("LossGradient", "float32", 100): 0.35,
    ("LossGradient", "float32", 1028): 0.3,
    ("HessianVector", "float32", 4100): 0.4,
    ("ProductAt", "float32", 100): 0.28,
    ("ProductAt", "float32", 4100): 0.26,
    ("LossGradient", "float16", 28): 0.8,
    ("LossGradient", "float16", 256): 0.6,
    ("HessianVector", "float16", 256): 0.6,
    ("LossGradient", "bfloat16", 256): 0.6,
    ("LossGradient", "uint8", 256): 0.85,
    ("LossGradient", "uint8", 1024): 0.85,
    ("HessianVector", "uint8", 1024): 1.05,
    ("LossGradient", "int8", 1024): 1.2,
}
EARLY["loops"] = compile_loops


@pytest.fixture(scope="module")
def loops():
    return early("loops")


with_loops = pytest.mark.skipif(nvrtc.why_no_loops() is not None, reason=str(nvrtc.why_no_loops()))


@with_loops
@pytest.mark.parametrize("case", SLOTS, ids=str)
def test_instructions_leave_time_for_the_memory(loops, case):
    name, dtype, n = case
    launch = launch_of(name, dtype, n)
    loop = loops[launch.kernel]
    read = rows_at_once(launch) * shapes.padded(n, np.dtype(dtype).itemsize) * np.dtype(dtype).itemsize
    share = len(loop) * launch.block / 32 / 4 / (read / BYTES_A_CLOCK)
    assert 0.1 < share <= SLOTS[case], (share, launch.kernel)


@with_loops
@pytest.mark.parametrize("case", [case for case in SLOTS if case[1] == "float32"], ids=str)
def test_labels_and_weights_are_asked_for_before_the_multiply_adds(loops, case):
    """The formula of a row waits for them, and no other work is left to hide that."""
    name, dtype, n = case
    loop = loops[launch_of(name, dtype, n).kernel]
    narrow = [i for i, word in enumerate(loop) if re.match(r"LDG(?!.*\.(64|128))", word)]
    first = next(i for i, word in enumerate(loop) if word.startswith("FFMA"))
    assert narrow and narrow[-1] < first, (narrow, first)


@with_loops
@pytest.mark.parametrize("name, uses", [("LossGradient", 2), ("HessianVector", 3)])
def test_a_byte_takes_a_permutation_and_a_multiply_add_a_use(loops, name, uses):
    """It is neither converted nor flushed to zero, and nothing is stored for its second use."""
    launch = launch_of(name, "uint8", 1024)
    loop = loops[launch.kernel]
    numbers = launch.rows * launch.vector * -(-1024 // (launch.vector * launch.lanes))
    assert (
        loop.count("PRMT") <= 2 * numbers + 8 and numbers * uses <= loop.count("FFMA") <= numbers * uses + 16
    )
    assert not [word for word in loop if word.startswith(("I2F", "LDL", "STL"))]


@compiled
def test_a_mistake_in_a_kernel_fails_the_compilation():
    with pytest.raises(nvrtc.CompileError, match='identifier "total" is undefined'):
        nvrtc.compile(cuda.source("dense.cu").replace("a += totals[i", "a += total[i"), SUMS, "sm_90")


# -- sources -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["columns.cu", "sparse.cu", "outputs.cu", *SOURCES])
def test_headers_are_part_of_the_source(name):
    """CuPy's cache of kernels sees only the text, so that no header of the package may come by #include."""
    text = cuda.source(name)
    assert re.findall(r'#include "(.*)"', text) == ["emulation.h"]  # for the CPU only
    assert not re.findall(r"#include <", text), "headers of CUDA are not part of every installation of CuPy"
    assert (
        "struct Logistic" in text
        or name in ("arrays.cu", "squares.cu", "labels.cu", "entries.cu", "systems.cu")
    ) and "transposed_sum" in text


def test_arithmetic_of_storage_is_the_package_s():
    assert {
        dtype: {"float": "float32", "double": "float64"}[real] for dtype, (_, real) in shapes.STORAGE.items()
    } == {dtype: compute_dtype(np.dtype(dtype)).name for dtype in shapes.STORAGE}
