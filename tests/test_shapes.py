"""How a dense pass maps to threads, for any layout.

Every row and column is somebody's, and only the shape decides.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logreg_accel.kernels.cuda import shapes, tiles

PASSES = ["LossGradient", "HessianVector", "Diagonal", "Margins"]
STORAGE = list(shapes.STORAGE)


def parts(launch):
    """The template arguments of a dense kernel, by name."""
    names = (
        "pass",
        "storage",
        "real",
        "vector",
        "packs",
        "rows",
        "lanes",
        "warps",
        "held",
        "resident",
    )
    values = launch.kernel.removeprefix("dense<").removesuffix(">").split(", ")
    return {name: int(value) if value.isdigit() else value for name, value in zip(names, values, strict=True)}


@given(
    name=st.sampled_from(PASSES),
    dtype=st.sampled_from(STORAGE),
    m=st.integers(1, 3_000_000_000),
    n=st.integers(1, 8192),
    outputs=st.integers(1, 16),
    vector=st.sampled_from([None, 1, 2, 4, 8]),
)
@settings(max_examples=200, deadline=None)
def test_a_launch_covers_all_rows_and_columns(name, dtype, m, n, outputs, vector):
    launch = shapes.dense(name, dtype, m, n, outputs, vector)
    if launch is None:
        return
    of = parts(launch)
    assert of["packs"] * of["lanes"] * of["vector"] >= n
    assert (launch.grid - 1) * launch.slice_rows < m <= launch.grid * launch.slice_rows
    assert launch.block == 32 * of["warps"] <= 1024 and launch.grid < 2**31 and launch.slice_rows < 2**31
    assert of["vector"] <= (vector or 16) and of["vector"] * np.dtype(dtype).itemsize <= 16
    if of["lanes"] > 32:
        assert of["lanes"] == launch.block
    step = of["rows"] * (1 if of["lanes"] > 32 else of["warps"] * 32 // of["lanes"])
    assert launch.slice_rows % step == 0
    assert launch.slice_rows // step * of["rows"] <= 1024, "more terms than a float32 accumulator should take"
    assert of["resident"] >= launch.block


@pytest.mark.parametrize("dtype", STORAGE)
@pytest.mark.parametrize("name", PASSES)
def test_every_width_up_to_24576_has_a_kernel(name, dtype):
    """Types of two registers have half of that, or less where numbers are kept twice."""
    most = {"double": 12_288, "float": 24_576}[shapes.STORAGE[dtype][1]]
    most = 8192 if dtype in ("int32", "uint32") else most
    for n in [*range(1, 40), *range(40, most, 397), most]:
        assert shapes.dense(name, dtype, 1000, n) is not None
        assert shapes.dense(name, dtype, 1000, n, vector=1) is not None
    assert shapes.dense(name, dtype, 1000, 24_577) is None


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "uint8"])
def test_a_few_outputs_have_a_kernel(dtype):
    for outputs in range(2, 17):
        assert shapes.dense("LossGradient", dtype, 1000, 1024, outputs) is not None
        assert shapes.dense("HessianVector", dtype, 1000, 784, outputs) is not None
    assert shapes.dense("LossGradient", dtype, 1000, 16, 17) is None


def test_wider_integers_are_computed_with_as_float64():
    for dtype in ("int16", "uint16", "int32", "uint32", "int64", "uint64"):
        assert parts(shapes.dense("LossGradient", dtype, 100, 10))["real"] == "double"
        assert tiles.widest("LossGradient", dtype, 10) == 0, "outputs.cu has float sums"


@pytest.mark.parametrize(
    "itemsize, address, stride, n, vector",
    [
        (4, 0, 100, 100, 4),
        (4, 0, 101, 100, 1),
        (4, 0, 102, 102, 2),
        (4, 0, 104, 101, 1),
        (4, 4, 100, 100, 1),
        (4, 8, 100, 100, 2),
        (2, 0, 104, 104, 8),
        (2, 0, 104, 100, 4),
        (8, 0, 101, 101, 1),
        (8, 16, 102, 102, 2),
        (1, 0, 16, 16, 16),
        (1, 2, 32, 32, 2),
    ],
)
def test_the_widest_load_that_is_aligned_and_stays_in_the_row(itemsize, address, stride, n, vector):
    assert shapes.widest_vector(itemsize, address, stride, n) == vector


@pytest.mark.parametrize(
    "n, itemsize, columns", [(1, 4, 4), (4, 4, 4), (5, 4, 8), (100, 2, 104), (7, 8, 8), (17, 1, 32)]
)
def test_padding_is_to_16_bytes(n, itemsize, columns):
    assert shapes.padded(n, itemsize) == columns


def test_large_problems_fill_a_gpu_and_leave_little_to_add():
    for n in (16, 256, 1024, 8192):
        m = 2**32 // (4 * n)
        launch = shapes.dense("LossGradient", "float32", m, n)
        assert launch.grid >= 3 * 132, "fewer blocks than an H200 runs in three rounds"
        assert launch.grid * n <= 0.01 * m * n, "partial sums of more than 1 % of X"


@pytest.mark.parametrize("dtype, wide", [("float32", 1036), ("float16", 2073), ("uint8", 4147)])
@pytest.mark.parametrize("name", ["LossGradient", "HessianVector"])
def test_few_lanes_are_idle_in_wide_rows(name, dtype, wide):
    """One in twenty is idle on average and one in five at most; fewer would need narrower loads or fewer rows
    under way, which cost more."""
    vector = 16 // np.dtype(dtype).itemsize
    shares = []
    for n in range(shapes.padded(wide + 1, np.dtype(dtype).itemsize), 8193, 11 * vector):
        of = parts(shapes.dense(name, dtype, 100_000, n))
        shares.append(n / (of["packs"] * of["lanes"] * of["vector"]))
    shares = np.array(shares)
    assert shares.min() >= 0.8 and shares.mean() >= 0.94 and np.mean(shares >= 0.9) >= 0.82


@given(slices=st.integers(1, 5000), numbers=st.integers(1, 140_000))
@settings(deadline=None)
def test_the_sum_over_slices_covers_all_numbers(slices, numbers):
    kernel, grid, block = shapes.sum_slices("float", slices, numbers)
    assert kernel == "sum_slices<float>" and grid * shapes.SUMMED >= numbers
    assert block % 32 == 0 and 32 <= block <= 1024
