"""The kernels for labels and for entries of sparse rows, under the address and the thread sanitizer."""

import numpy as np
import pytest
import scipy.sparse
from cuda_on_cpu import fake_cupy
from cuda_on_cpu.emulator import EmulationError, why_not

from conftest import cpu_or_gpu
from logreg_accel.backends.passes import Model
from logreg_accel.data import Block, Matrix
from logreg_accel.kernels import cuda

pytestmark = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))

M = 300  # rows: two blocks, of which the second is not full
LABELS = [f"{name}<{label}>" for label in ("float", "signed char") for name in ("label_range", "label_codes")]
LABELS += ["class_totals<double>", "label_presence<float>", "label_lookup<float, unsigned char>"]
LABELS += [
    "model_rows<float>",
    "model_rows<double>",
    "weights_look",
    "positive_count",
    "positive_rows",
    "scaled_weights<float>",
]
ENTRIES = ["row_lengths", "shifted", "unfixed", "unfixed_gram"]
ENTRIES += [f"{name}<{stored}>" for name in ("taken_entries", "moved") for stored in ("float", "Half")]


@pytest.fixture(scope="module", params=["address", pytest.param("thread", marks=pytest.mark.slow)])
def sanitized(request):
    """A sanitizer, and CuPy's stand-in on kernels under it."""
    kernels = fake_cupy.Kernels(request.param)
    kernels.foresee(cuda.source("labels.cu"), LABELS)
    kernels.foresee(cuda.source("entries.cu"), ENTRIES)
    with fake_cupy.in_place_of_cupy(kernels):
        import cupy

        yield request.param, cupy


def labels(dtype, classes):
    return (np.random.default_rng(0).integers(0, classes, M) - 1).astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_labels_of_two_values(sanitized, dtype):
    from logreg_accel.backends.cupy import looks

    _, cupy = sanitized
    y = labels(dtype, 2)
    least, most, codes, high, neither = looks.two_labels(cupy.asarray(y))
    assert (least, most, high, neither) == (-1, 0, (y == 0).sum(), 0)
    np.testing.assert_array_equal(codes.get(), y == 0)


def test_labels_of_several_values(sanitized):
    """Many threads write the same 1 to mark a label, which only the thread sanitizer reports as a race."""
    from logreg_accel.backends.cupy import looks

    sanitizer, cupy = sanitized
    if sanitizer == "thread":
        with pytest.raises(EmulationError, match="data race.*(\n.*)*label_presence"):
            looks.several_labels(cupy.asarray(labels("float32", 5)), -1.0, 3.0)
        return
    y = labels("float32", 5)
    classes, codes = looks.several_labels(cupy.asarray(y), -1.0, 3.0)
    assert classes.tolist() == [-1, 0, 1, 2, 3]
    np.testing.assert_array_equal(codes.get(), y + 1)


def test_totals_of_classes_and_weights(sanitized):
    from logreg_accel.backends.cupy import looks

    _, cupy = sanitized
    y, s = labels("int8", 3), np.random.default_rng(1).random(M) * (np.arange(M) % 4 > 0)
    codes, weights = cupy.asarray((y + 1).astype(np.uint8)), cupy.asarray(s)
    counts, totals = looks.class_totals(codes, weights, 3)
    np.testing.assert_array_equal(counts, np.bincount(y + 1))
    np.testing.assert_allclose(totals, np.bincount(y + 1, s), rtol=1e-13)
    told = looks.weights(weights)
    assert told.strange is None and told.largest == s.max() and told.least == s[s > 0].min()
    assert told.positive == np.count_nonzero(s) and told.total == pytest.approx(s.sum(), rel=1e-13)
    rows = looks.positive_rows(weights, told.positive)
    np.testing.assert_array_equal(rows.get(), np.flatnonzero(s))
    np.testing.assert_array_equal(looks.scaled(weights, 2.0, np.dtype(np.float32)).get(), s / 2)


@pytest.mark.parametrize("real", ["float32", "float64"])
def test_rows_of_one_of_several_models(sanitized, real):
    from logreg_accel.backends.cupy import looks

    _, cupy = sanitized
    rng = np.random.default_rng(2)
    y, splits = rng.integers(0, 2, (M, 3)).astype(np.uint8), rng.integers(0, 256, (M, 2)).astype(np.uint8)
    s = rng.integers(0, 9, M).astype(np.float32)
    for weights, model in (
        (None, Model(2)),
        (s, Model(0)),
        (s, Model(1, split=11, class_weight=(0.5, 2.0))),
        (None, Model(2, split=0)),
    ):
        here = Block(Matrix(np.zeros((M, 1), dtype=real)), y, weights, splits)
        there = here._replace(y=cupy.asarray(y), splits=cupy.asarray(splits))
        there = there._replace(sample_weight=None if weights is None else cupy.asarray(weights))
        codes, counts = looks.of_model(there, model, np.dtype(real))
        expected = cpu_or_gpu("numpy").of_model(here, model)
        np.testing.assert_array_equal(codes.get(), expected.y)
        assert (counts is None) == (expected.sample_weight is None)
        if counts is not None:
            np.testing.assert_array_equal(counts.get(), expected.sample_weight)
            assert counts.dtype == expected.sample_weight.dtype == real


@pytest.fixture
def sparse():
    """Rows of which some are empty, the last one included, and the longest has more entries than a warp."""
    dense = np.random.default_rng(0).standard_normal((41, 50)) * (
        np.random.default_rng(1).random((41, 50)) < 0.2
    )
    dense[7], dense[::8] = 1.5, 0
    return scipy.sparse.csr_array(dense.astype(np.float32))


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_rows_taken_and_moved(sanitized, sparse, dtype, monkeypatch):
    from logreg_accel.backends.cupy import entries
    from logreg_accel.backends.cupy.csr import DeviceCSR

    _, cupy = sanitized
    monkeypatch.setattr(entries, "_MOST_BLOCKS", 1)  # which takes several rounds
    parts = sparse.data.astype(dtype), sparse.indices, sparse.indptr.astype(np.int64)
    X = DeviceCSR(*map(cupy.asarray, parts), n=50)
    rows = np.array([40, 7, 7, 0, 3, 39])
    begins, data, columns = (array.get() for array in entries.of_rows(X, cupy.asarray(rows)))
    expected = sparse[rows]
    np.testing.assert_array_equal(begins, expected.indptr)
    np.testing.assert_array_equal(columns, expected.indices)
    np.testing.assert_array_equal(data, expected.data.astype(dtype))
    centre = np.linspace(-1, 1, 50)
    moved = entries.moved(X.data, X.indices, cupy.asarray(centre)).get()
    np.testing.assert_array_equal(moved, parts[0].astype(np.float64) - centre[parts[1]])
    np.testing.assert_array_equal(entries.shifted(X.indptr, 5).get(), parts[2] - 5)


def test_sums_in_fixed_point(sanitized):
    from logreg_accel.backends.cupy import entries

    _, cupy = sanitized
    n, k = 37, 3
    rng = np.random.default_rng(0)
    sums, exponents = rng.integers(-(2**40), 2**40, (n, k)), rng.integers(-3, 4, n).astype(np.int32)
    shifts, out = np.array([20, 0, -5], np.int32), cupy.empty((n, k + 1))
    entries.from_fixed(*map(cupy.asarray, (sums, exponents, shifts)), out)
    np.testing.assert_array_equal(
        out.get()[:, :k], np.ldexp(sums.astype(float), -(exponents[:, None] + shifts))
    )
    assert np.isnan(out.get()[:, k]).all(), "the column behind them is not theirs"

    gram, border, corner = rng.integers(-(2**40), 2**40, (n, n)), rng.standard_normal(n), rng.random(1)
    got = entries.gram_of(
        cupy.asarray(gram), cupy.asarray(exponents), 9, *map(cupy.asarray, (border, corner))
    )
    upper = np.triu(np.ldexp(gram.astype(float), -(exponents[:, None] + exponents + 9)))
    inner = upper + np.triu(upper, 1).T
    np.testing.assert_array_equal(got.get(), np.block([[inner, border[:, None]], [border, corner]]))
