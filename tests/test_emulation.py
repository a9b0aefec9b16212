"""The emulation of CUDA on the CPU.

A correct kernel gives right numbers, and each planted fault is reported.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import ml_dtypes
import numpy as np
import once
import pytest
from cuda_on_cpu.emulator import CompileError, EmulationError, Huge, Launch, Program, why_not

pytestmark = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))

FOLDER = Path(__file__).parent / "cuda_on_cpu"

BUILDS = ["address", "thread", None]
SUMS = "block_sums<float, 64>"
KERNELS = [
    SUMS, "lanes", "overloads", "double_all", "copy_bytes", "nothing", "reads_past_the_end",
    "reads_past_shared", "reads_past_dynamic_shared", "lacks_a_barrier", "has_a_barrier_of_the_warp_only",
    "trusts_a_shuffle_to_order_memory", "overwrites_what_others_still_read", "loads_a_vector_from_anywhere",
    "overflows_the_offset", "reaches_far", "shifts_too_far", "has_a_barrier_for_some",
    "has_two_barriers_for_one", "leaves_a_lane_out", "splits_a_shuffle", "shuffles_a_part", "writes_one_cell",
]  # fmt: skip


@pytest.fixture(scope="module")
def programs():
    """The three builds, compiled side by side."""
    source = (FOLDER / "faults.cu").read_text(encoding="utf-8")
    with ThreadPoolExecutor(2) as pool:
        return dict(
            zip(BUILDS, pool.map(lambda sanitizer: Program(source, KERNELS, sanitizer), BUILDS), strict=True)
        )


@pytest.fixture(params=BUILDS, ids=["address", "thread", "plain"])
def program(request, programs):
    return programs[request.param]


def floats(n, dtype=np.float32):
    return np.zeros(n, dtype)


def report(program, *launch, **more):
    with pytest.raises(EmulationError) as caught:
        program.run([Launch(*launch, **more)])
    return str(caught.value)


def test_a_correct_kernel_is_clean_and_right(program):
    x = np.random.default_rng(0).standard_normal(1000).astype(np.float32)
    for seed in range(3):
        sums = np.zeros(2)
        program.run([Launch(SUMS, 2, 64, (x, np.int64(x.size), np.float32(2), sums), shared=16)], seed)
        np.testing.assert_allclose(sums, 2 * x.reshape(2, 500).sum(axis=1, dtype=float), rtol=1e-6)


@pytest.mark.parametrize("block", [1, 32, 40, (5, 3, 3), 1024], ids=str)
def test_lanes_in_blocks_of_any_shape(programs, block):
    shape = block if isinstance(block, tuple) else (block, 1, 1)
    n = int(np.prod(shape))
    origin, down, segment, place = (
        np.zeros(n, np.int32),
        np.zeros(n, np.float32),
        np.zeros(n, np.int64),
        np.zeros(n, np.int32),
    )
    programs[None].run([Launch("lanes", 1, block, (origin, down, segment, place))])
    t = np.arange(n)
    exists = t // 32 * 32 + 3 < n
    np.testing.assert_array_equal(origin[exists], (t // 32 * 32 + 3)[exists])
    expected = np.where(t % 32 < 30, t + 2, t)
    np.testing.assert_array_equal(down, np.where(expected < n, expected, np.nan))
    exists = t // 8 * 8 + 1 < n
    np.testing.assert_array_equal(segment[exists], ((t // 8 * 8 + 1) << 33)[exists])
    z, y, x = np.unravel_index(t, shape[::-1])
    np.testing.assert_array_equal(place, 100 * z + 10 * y + x)


def test_functions_of_float_are_float(programs):
    results = floats(1)
    programs[None].run([Launch("overloads", 1, 1, (np.float32([1.1]), results))])
    np.testing.assert_allclose(results, [np.log1p(np.exp(-1.1))], rtol=1e-6)


def test_launches_in_order_on_views_of_one_array(program):
    table = np.arange(24, dtype=np.float32).reshape(4, 6)
    row, column = table[0, :4], table[:, 5]
    doubled = floats(4)
    stride = np.int64(6)
    program.run(
        [
            Launch("double_all", 1, 4, (column, stride, row)),
            Launch("double_all", 1, 4, (row, np.int64(1), doubled)),
        ]
    )
    np.testing.assert_array_equal(row, [10, 22, 34, 46])
    np.testing.assert_array_equal(doubled, [20, 44, 68, 92])
    np.testing.assert_array_equal(table[1:], np.arange(6, 24).reshape(3, 6))


def test_a_read_only_array_keeps_its_values(programs):
    x, y = np.arange(4, dtype=np.float32), np.ones(4, np.float32)
    y.flags.writeable = False
    programs[None].run([Launch("double_all", 1, 4, (x, np.int64(1), y))])
    np.testing.assert_array_equal(y, np.ones(4))


@pytest.mark.parametrize("dtype", ["uint8", "float16", ml_dtypes.bfloat16, "float64"], ids=str)
def test_arrays_are_bytes(programs, dtype):
    x = np.arange(8).astype(dtype)
    y = np.zeros_like(x)
    programs[None].run([Launch("copy_bytes", 1, x.nbytes, (x, y))])
    np.testing.assert_array_equal(x, y)


def test_none_is_a_null_pointer_and_empty_arrays_pass(program):
    program.run(
        [Launch("nothing", 1, 1, (None, np.int32(1))), Launch("nothing", 1, 1, (floats(0), np.int32(1)))]
    )


@pytest.mark.parametrize("program", ["address"], indirect=True)
class TestAddress:
    def test_reads_past_the_end_are_reported(self, program):
        x, y = floats(64), floats(64)
        program.run([Launch("reads_past_the_end", 1, 64, (x, np.int32(63), y))])
        words = report(program, "reads_past_the_end", 1, 64, (x, np.int32(64), y))
        assert "heap-buffer-overflow" in words and "kernel.cu" in words and "READ of size 4" in words

    def test_reads_past_the_end_of_a_view(self, program):
        whole, y = floats(64), floats(1)
        assert "heap-buffer-overflow" in report(
            program, "reads_past_the_end", 1, 1, (whole[:63], np.int32(63), y)
        )
        names_the_whole = Launch("nothing", 1, 1, (whole, np.int32(0)))
        program.run([Launch("reads_past_the_end", 1, 1, (whole[:63], np.int32(63), y)), names_the_whole])

    def test_reads_past_shared_memory_are_reported(self, program):
        assert "use-after-poison" in report(program, "reads_past_shared", 1, 64, (floats(64),))

    def test_reads_past_dynamic_shared(self, program):
        assert "use-after-poison" in report(
            program, "reads_past_dynamic_shared", 1, 64, (floats(64),), shared=256
        )
        program.run([Launch("reads_past_dynamic_shared", 1, 64, (floats(64),), shared=260)])

    def test_a_null_pointer_is_reported(self, program):
        assert "null pointer" in report(program, "double_all", 1, 1, (None, np.int64(1), floats(1)))

    def test_a_misaligned_vector_is_reported(self, program):
        x, y = floats(16), floats(4)
        program.run([Launch("loads_a_vector_from_anywhere", 1, 4, (x, np.int32(4), y))])
        assert "misaligned address" in report(
            program, "loads_a_vector_from_anywhere", 1, 4, (x, np.int32(1), y)
        )
        assert "misaligned address" in report(
            program, "loads_a_vector_from_anywhere", 1, 4, (x[1:], np.int32(0), y)
        )

    def test_an_offset_that_overflows_32_bits_is_reported(self, program):
        m, n = 70_000, 40_000
        X, y = Huge(m * n * 4), floats(32)
        words = report(program, "overflows_the_offset", 1, 32, (X, np.int32(m), np.int32(n), y))
        assert "signed integer overflow: 69999 * 40000" in words
        program.run([Launch("reaches_far", 1, 32, (X, np.int64(m), np.int32(n), y))])
        np.testing.assert_array_equal(y, np.ones(32))

    def test_a_shift_beyond_the_width_is_reported(self, program):
        assert "shift exponent 32 is too large" in report(
            program, "shifts_too_far", 1, 2, (floats(2, np.int32),)
        )


RACES = {
    "lacks_a_barrier": 1,
    "has_a_barrier_of_the_warp_only": 1,
    "trusts_a_shuffle_to_order_memory": 1,
    "overwrites_what_others_still_read": 1,
    "writes_one_cell": 2,
}


@pytest.mark.parametrize("program", ["thread"], indirect=True)
@pytest.mark.parametrize("kernel", RACES)
def test_races_are_reported(program, kernel):
    words = report(program, kernel, RACES[kernel], 64, (floats(64),))
    assert "data race" in words and "kernel.cu" in words


@pytest.mark.parametrize("program", ["thread"], indirect=True)
def test_no_race_between_launches(program):
    y = floats(1)
    program.run([Launch("writes_one_cell", 1, 64, (y,)), Launch("writes_one_cell", 1, 64, (y,))])


def test_shared_memory_starts_as_nan(programs):
    y = floats(64)
    programs[None].run([Launch("lacks_a_barrier", 1, 64, (y,))])
    assert np.isnan(y).any()


MEETINGS = {
    "has_a_barrier_for_some": [
        "__syncthreads (kernel.cu:",
        "not reached by all threads of the block",
        "thread 0 waits",
    ],
    "has_two_barriers_for_one": [
        "threads of the block meet at different places",
        "thread 0 at __syncthreads (kernel.cu:",
    ],
    "leaves_a_lane_out": [
        "__shfl_xor_sync (kernel.cu:",
        "not reached by all lanes of the warp",
        "thread 5 has ended",
    ],
    "splits_a_shuffle": ["lanes of the warp meet at different places"],
    "shuffles_a_part": ["mask 0000ffff names a part of the warp"],
}


@pytest.mark.parametrize("kernel", MEETINGS)
def test_missed_barriers_are_reported(program, kernel):
    words = report(program, kernel, 1, 64, (floats(64),))
    assert "exit code 42" in words
    for expected in MEETINGS[kernel]:
        assert expected in words


@pytest.mark.parametrize(
    "args, words",
    [
        ((None, np.int64(1)), "argument 1 has 8 bytes, the kernel takes 4"),
        ((None, np.float32(1)), "argument 1 and the kernel's parameter are not both floating-point"),
        ((np.int32(1), np.int32(1)), "argument 0 is a scalar, the kernel takes a pointer"),
        ((None, None), "argument 1 is a pointer, the kernel takes a scalar"),
        ((None,), "1 arguments, the kernel takes 2"),
    ],
)
def test_wrong_arguments_are_refused(programs, args, words):
    assert words in report(programs[None], "nothing", 1, 1, args)


def test_wrong_launches_are_refused(programs):
    args = (None, np.int32(1))
    assert "no kernel missing" in report(programs[None], "missing", 1, 1, args)
    assert "a block of 1025 x 1 x 1 threads" in report(programs[None], "nothing", 1, 1025, args)
    assert "a grid of 0 x 1 x 1 blocks" in report(programs[None], "nothing", 0, 1, args)
    assert "bytes of dynamic shared memory" in report(programs[None], "nothing", 1, 1, args, shared=228 << 10)
    with pytest.raises(TypeError, match="NumPy scalar"):
        programs[None].run([Launch("nothing", 1, 1, (None, 1))])


@pytest.mark.parametrize("program", ["thread"], indirect=True)
def test_no_false_race_over_many_blocks(program):
    """The race detector knows fewer threads than there are: stacks, shared memory and identities are used
    again."""
    x, sums = np.ones(2400, np.float32), np.zeros(24)
    program.run([Launch(SUMS, 24, 64, (x, np.int64(x.size), np.float32(1), sums), shared=16)])
    np.testing.assert_array_equal(sums, np.full(24, 100.0))


def test_what_was_made_is_found_again_by_its_content_for_a_week(tmp_path, monkeypatch):
    monkeypatch.setattr(once, "_home", lambda: tmp_path)
    made = iter(range(9))
    assert [once.once(lambda: next(made), content) for content in "aabba"] == [0, 0, 1, 1, 0]
    monkeypatch.undo()
    monkeypatch.setenv("LOGREG_ACCEL_TESTS_KEEP", str(tmp_path))
    lock = max(tmp_path.glob("*/lock"))
    os.utime(lock, (0, 0))
    assert once._home.__wrapped__() == tmp_path and not lock.exists() and len([*tmp_path.glob("*/lock")]) == 1


def test_compiler_errors_come_back():
    with pytest.raises(CompileError, match="SHARED_ARRAY or DYNAMIC_SHARED"):
        Program("__global__ void k() { __shared__ float tile[3]; }", ["k"])
