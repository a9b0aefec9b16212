"""What crosses from a GPU to the host when data lie there: nothing that has a number a row."""

import contextlib
import importlib
import inspect

import numpy as np
import pytest
from cuda_on_cpu import fake_cupy

from conftest import EMULATED, cpu_or_gpu, draw
from logreg_accel import LogisticRegression
from logreg_accel.data import as_labelled, is_on_device, labels
from logreg_accel.rows import MemoryRows

pytestmark = pytest.mark.gpu
M, N = 5000, 3


@pytest.fixture
def cupy(request):
    """CuPy or the stand-in."""
    kernels = request.getfixturevalue("emulated_kernels")
    with fake_cupy.in_place_of_cupy(kernels) if EMULATED else contextlib.nullcontext():
        import cupy

        yield cupy


@pytest.fixture
def crossed():
    """Sizes of the arrays that came to the host; where there is a GPU nobody counts them."""
    fake_cupy.sizes_to_host.clear()
    return fake_cupy.sizes_to_host


def labels_of(kind):
    y = draw(M, N)[1].astype(np.int64)
    if kind == "three classes":
        y = np.arange(M) % 3 + 4
    return y.astype({"bools": bool, "floats": np.float32}.get(kind, np.int64))


@pytest.mark.parametrize("kind", ["bools", "integers", "floats", "three classes"])
@pytest.mark.parametrize("weighted", [False, True])
def test_labels_and_weights_are_looked_at_on_the_device(cupy, crossed, kind, weighted):
    X, _, s, _ = draw(M, N, "float32", weighted=True)
    y, s = labels_of(kind), s if weighted else None
    there = as_labelled(cupy.asarray(X), cupy.asarray(y), None if s is None else cupy.asarray(s))
    rows = MemoryRows([there.block], cpu_or_gpu("cupy"), len(there.classes))
    some = rows.evenly_spaced(7)
    picked = rows.labels(some), rows.weights(some)
    assert all(size < M for size in crossed), crossed  # some rows of X tell how far from zero its columns lie

    here = as_labelled(X, y, s)
    on_host = MemoryRows([here.block], cpu_or_gpu("numpy"), len(here.classes))
    assert type(there.classes) is np.ndarray and there.classes.tolist() == here.classes.tolist()
    assert there.classes.dtype == here.classes.dtype and is_on_device(there.block.y)
    np.testing.assert_array_equal(there.block.y.get(), here.block.y)
    assert there.total_weight == pytest.approx(here.total_weight, rel=1e-12)
    assert rows.least_weight == pytest.approx(on_host.least_weight, rel=1e-6)
    np.testing.assert_array_equal(some, on_host.evenly_spaced(7))
    np.testing.assert_array_equal(picked[0], on_host.labels(some))
    if weighted:
        np.testing.assert_allclose(picked[1], on_host.weights(some), rtol=1e-6)


@pytest.mark.parametrize(
    "y",
    [
        np.array([2**60, 2**60 + 1, 2**60]),
        np.array([-1.0, 1.0, 1.0, -1.0], dtype=np.float32),
        np.array([0, 255, 0], dtype=np.uint8),
        np.array([7, -7], dtype=np.int16),
        np.array([0, 1, 1], dtype=np.float16),
    ],
    ids=lambda y: y.dtype.name,
)
def test_labels_of_two_values_keep_all_of_their_digits(cupy, crossed, y):
    classes, codes, counts = labels.encode_labels(cupy.asarray(y))
    expected = labels.encode_labels(y)
    assert classes.tolist() == expected[0].tolist() and classes.dtype == y.dtype
    np.testing.assert_array_equal(codes.get(), expected[1])
    assert tuple(counts) == tuple(expected[2]) and codes.dtype == np.uint8


@pytest.mark.parametrize(
    "y",
    [
        np.arange(900) % 3 * 2000.0 - 2.0**40,
        (np.arange(900) % 300).astype(np.uint16),
        (np.arange(900) % 3 + 2**62).astype(np.uint64),
        (np.arange(900) % 5 - 128).astype(np.int8),
        np.arange(900) % 3 * 10**6,
        np.arange(900) % 500,
    ],
)
def test_labels_of_more_values_have_the_codes_that_they_have_on_the_host(cupy, y):
    """Some labels are too far apart, or too many, for the kernels."""
    for given in (y, y[::-1]):
        there = cupy.asarray(y)
        classes, codes, _ = labels.encode_labels(there if given is y else there[::-1])
        expected = labels.encode_labels(given)
        assert classes.tolist() == expected[0].tolist() and classes.dtype == y.dtype
        assert codes.dtype == expected[1].dtype
        np.testing.assert_array_equal(codes if type(codes) is np.ndarray else codes.get(), expected[1])


@pytest.mark.parametrize(
    "y, s, message",
    [
        ([0.0, 1.0, np.nan, 1.0], None, "`y`? ?contains NaN or infinity, first in row 2"),
        ([0.5, 1.5, 2.25, 1.0], None, "Unknown label type: continuous"),
        ([0.5, 1.5, 2.5, 0.5, 1.5, 2.5], None, "Unknown label type: continuous"),
        ([0.0, 1.0, 2.5, 0.0, 1.0, 2.5], None, "Unknown label type: continuous"),
        ([1, 1, 1, 1], None, "only one class"),
        ([0, 1, 1, 0], [1.0, -1.0, 1.0, 1.0], "Negative values or NaN, -1.0 in row 1"),
        ([0, 1, 1, 0], [1.0, np.nan, 1.0, 1.0], "Negative values or NaN, nan in row 1"),
        ([0, 1, 1, 0], [0.0, 0.0, 0.0, 0.0], "at least one non-zero number"),
        ([0, 1, 1, 0], [0.0, 1.0, 1.0, 0.0], "only one class among the samples with a positive weight"),
        ([0, 1, 2, 0], [1.0, 1.0, 0.0, 1.0], "classes without a sample of positive weight: \\[2\\]"),
    ],
)
def test_what_is_wrong_is_told_as_on_the_host(cupy, y, s, message):
    X = np.eye(len(y), N, dtype=np.float32)
    y, s = np.array(y), None if s is None else np.array(s)
    for send in (np.asarray, cupy.asarray):
        with pytest.raises(ValueError, match=message):
            as_labelled(send(X), send(y), None if s is None else send(s))


@pytest.mark.parametrize("class_weight", [None, "balanced"])
def test_weights_on_the_host_meet_labels_on_the_device(cupy, class_weight):
    X, y, s, _ = draw(M, N, "float32", weighted=True)
    fit = LogisticRegression(class_weight=class_weight).fit(cupy.asarray(X), cupy.asarray(y), s)
    expected = LogisticRegression(class_weight=class_weight, backend="numpy").fit(X, y, s)
    np.testing.assert_allclose(fit.coef_, expected.coef_, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["integers", "three classes"])
def test_predictions_are_finished_on_the_device(cupy, crossed, kind):
    X, _, _, _ = draw(M, N, "float32")
    y = labels_of(kind)
    model = LogisticRegression().fit(cupy.asarray(X), cupy.asarray(y))
    plain = LogisticRegression(backend="numpy").fit(X, y)
    plain.coef_, plain.intercept_ = model.coef_, model.intercept_
    for name in ("predict", "predict_proba", "predict_log_proba", "decision_function"):
        crossed.clear()
        told, expected = getattr(model, name)(cupy.asarray(X)), getattr(plain, name)(X)
        assert type(told) is np.ndarray and told.dtype == expected.dtype
        np.testing.assert_allclose(told, expected, rtol=1e-4, atol=1e-5)
        if EMULATED:
            assert crossed == [1, told.size], "whether any margin overflowed, and the result itself, once"
    assert model.score(cupy.asarray(X), cupy.asarray(y)) == plain.score(X, y)


@pytest.mark.parametrize("dtype, shape", [("float32", (1000, 2)), ("float64", (701,)), ("uint8", (4097,))])
def test_a_large_result_comes_in_pieces(cupy, monkeypatch, dtype, shape):
    module = importlib.import_module("logreg_accel.backends.cupy.upload")
    monkeypatch.setattr(module, "_LARGE_BYTES", 4000)
    monkeypatch.setattr(module, "_FETCHED_BYTES", 1024)
    plain = np.random.default_rng(0).integers(0, 200, shape).astype(dtype)
    there = cupy.asarray(plain)
    for threads in (1, 3):
        fetched = module.fetch(there, threads)
        assert type(fetched) is np.ndarray and fetched.dtype == plain.dtype and fetched.flags.c_contiguous
        np.testing.assert_array_equal(fetched, plain)
    np.testing.assert_array_equal(module.fetch(there[::2], 2), plain[::2])


@pytest.mark.skipif(not EMULATED, reason="a GPU may be fast enough for a copy that nobody waits for")
@pytest.mark.parametrize("wait", ["travelled[i % 2].synchronize()", "begin(i + 1)"])
def test_pieces_that_are_not_waited_for_are_caught(cupy, wait):
    module = importlib.import_module("logreg_accel.backends.cupy.upload")
    source = inspect.getsource(module.fetch)
    faulty = {"begin(i + 1)": "(begin(i + 1), i + 2 < len(starts) and begin(i + 2))"}.get(wait, "pass")
    assert wait in source
    scope = {**vars(module), "_LARGE_BYTES": 4000, "_FETCHED_BYTES": 1024}
    exec(source.replace(wait, faulty), scope)
    plain = np.random.default_rng(0).standard_normal(1500)
    assert not np.array_equal(scope["fetch"](cupy.asarray(plain), 1), plain)
