"""The compiled loops below the backends: accuracy of pointwise formulas and of storage conversions."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from numba import njit

from conftest import FLOATS, Reference, block_of, cpu_or_gpu, draw
from logreg_accel.backends import moments, passes
from logreg_accel.data import Block, as_matrix, centred
from logreg_accel.kernels import cpu
from logreg_accel.kernels.cpu import pointwise, softmax, storage
from logreg_accel.losses import Logistic, Multinomial

MARGINS = np.concatenate([[0.0], np.logspace(-8, np.log10(80), 4001)])


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("y", [0, 1])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("dtype", FLOATS)
def test_pointwise_lines_keep_their_digits(dtype, sign, y, weighted):
    """Relative to float64 formulas at the same rounded margins.

    The errors are a few units in the last place, over the whole range.
    """
    z = (sign * MARGINS).astype(dtype)
    s = np.linspace(0.5, 2, len(z)).astype(dtype) if weighted else np.empty(0, dtype)
    weight = s.astype(float) if weighted else 1.0
    codes = np.full(len(z), y, dtype=np.uint8)
    exact = z.astype(float)[:, None]
    value, residual = (weight * a[:, 0] for a in Logistic().value_residual(exact, codes))
    got, values = z.copy(), np.empty_like(z)
    pointwise.loss_residual(got, codes, s, len(z), values)
    limit = 6 * np.finfo(dtype).eps
    np.testing.assert_allclose(values, value, rtol=limit)
    np.testing.assert_allclose(got, residual, rtol=limit)
    got = z.copy()
    pointwise.curvature(got, s, len(z))
    np.testing.assert_allclose(got, weight * Logistic().curvature(exact, codes)[:, 0], rtol=limit)


@pytest.mark.parametrize("dtype", FLOATS)
def test_pointwise_lines_beyond_the_range_of_exp(dtype):
    z = np.array(
        [-np.inf, -np.finfo(dtype).max, -1e4, -800, 800, 1e4, np.finfo(dtype).max, np.inf, np.nan],
        dtype=dtype,
    )
    got, values = z.copy(), np.empty_like(z)
    pointwise.loss_residual(got, np.ones(len(z), np.uint8), np.empty(0, dtype), len(z), values)
    tiny = np.finfo(dtype).tiny * 2
    np.testing.assert_allclose(values[:-1], np.maximum(-z[:-1], 0), rtol=1e-6, atol=tiny)
    np.testing.assert_allclose(got[:-1], np.where(z[:-1] < 0, -1.0, 0.0), atol=tiny)
    assert np.isnan(values[-1]) and np.isnan(got[-1])


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("k", [3, 10])
@pytest.mark.parametrize("dtype", FLOATS)
def test_softmax_lines_keep_their_digits(dtype, k, weighted):
    """Relative to float64 formulas, at margins whose differences are exact, ties among them."""
    rng = np.random.default_rng(0)
    rows = 3001
    z = np.round(64 * 10 ** rng.uniform(-2, 1.8, (rows, 1)) * rng.standard_normal((rows, k))) / 64
    z = np.clip(z, z.max(axis=1, keepdims=True) - 80, None)
    z[::5, 1] = z[::5].max(axis=1)
    codes = rng.integers(0, k, rows).astype(np.uint8)
    u = rng.standard_normal((rows, k)).astype(dtype)
    s = rng.uniform(0.5, 2, rows).astype(dtype) if weighted else np.empty(0, dtype)
    weight = s.astype(float)[:, None] if weighted else 1.0
    loss, limit, work = Multinomial(k), (8 + k) * float(np.finfo(dtype).eps), np.empty((5, rows), dtype)
    value, residual = (weight * a for a in loss.value_residual(z, codes))
    got = np.array(z.T, dtype=dtype, order="C")
    assert softmax.loss_residual(got, codes, s, rows, work) == pytest.approx(value.sum(), rel=limit)
    np.testing.assert_allclose(got.T, residual, rtol=limit)
    got = np.array(z.T, dtype=dtype, order="C")
    softmax.curvature(got, s, rows, work)
    np.testing.assert_allclose(got.T, weight * loss.curvature(z, codes), rtol=limit)
    got = np.array(z.T, dtype=dtype, order="C")
    softmax.curvature_product(got, np.array(u.T, order="C"), s, rows, work)
    reach = 2 * abs(u).max(axis=1, keepdims=True).astype(float)
    exact = weight * loss.curvature_product(z, codes, u.astype(float))
    assert (abs(got.T - exact) <= limit * reach * weight * loss.curvature(z, codes) + 1e-30).all()


@pytest.mark.parametrize("dtype", FLOATS)
def test_softmax_lines_beyond_the_range_of_exp(dtype):
    huge = np.finfo(dtype).max
    z = np.array(
        [[1e4, -1e4, 0], [huge, 0, 1], [-huge, 0, 0], [np.nan, 0, 1], [1, 0, np.nan], [np.inf, 0, 1]],
        dtype=dtype,
    )
    got = np.array(z.T, order="C")
    values = []
    for i in range(6):
        row = got[:, i : i + 1].copy()
        values.append(
            softmax.loss_residual(
                row, np.zeros(1, dtype=np.uint8), np.empty(0, dtype), 1, np.empty((5, 1), dtype)
            )
        )
        got[:, i : i + 1] = row
    np.testing.assert_allclose(
        got.T[:3], [[0, 0, 0], [0, 0, 0], [-1, 0.5, 0.5]], atol=1e-37
    )  # exp does not go below
    np.testing.assert_allclose(values[:3], [0, 0, float(huge)], atol=1e-37)
    assert np.isnan(values[3:]).all(), "what is not finite must show in the sum"


@njit(error_model="numpy")
def load_all(stored, out):
    for i in range(out.size):
        out[i] = storage.load(stored[i], out[i])


@njit(error_model="numpy")
def halves_by_bits(stored, out):
    for i in range(out.size):
        out[i] = by_bits(stored[i], out[i])


by_bits = njit(storage.half_by_bits)


@pytest.mark.parametrize("convert", [load_all, halves_by_bits], ids=["as loaded", "by bits"])
def test_every_float16(convert):
    bits = np.arange(2**16, dtype=np.uint16)
    out = np.empty(len(bits), dtype=np.float32)
    convert(bits, out)
    expected = bits.view(np.float16).astype(np.float32)
    np.testing.assert_array_equal(
        out.view(np.int32)[~np.isnan(expected)], expected.view(np.int32)[~np.isnan(expected)]
    )
    assert np.isnan(out[np.isnan(expected)]).all()


def test_every_bfloat16():
    bits = np.arange(2**16, dtype=np.uint16)
    out = np.empty(len(bits), dtype=np.float32)
    load_all(bits.view(np.int16), out)
    expected = bits.view(ml_dtypes.bfloat16).astype(np.float32)
    np.testing.assert_array_equal(
        out.view(np.int32)[~np.isnan(expected)], expected.view(np.int32)[~np.isnan(expected)]
    )
    assert np.isnan(out[np.isnan(expected)]).all()


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("scale", [1e-8, 1e-3, 1.0, 30.0, 1e3])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", FLOATS)
def test_gradient_within_a_few_units_of_rounding(dtype, weighted, scale, order):
    """Each component against float64, relative to Σ|s·residual·x|, where the margins themselves are exact.

    One feature carries the margin and its weight is a power of two; the other columns have weight 0. So what
    is measured is the pointwise formula and the sums, not the rounding of margins.
    """
    X, y, s, _ = draw(5000, 9, dtype, weighted=weighted)
    X = np.asarray(X, order=order)
    W = np.zeros((10, 1))
    W[4] = 2.0 ** np.round(np.log2(scale))
    got = cpu_or_gpu("numba").run(passes.LossGradient(W, Logistic()), block_of(X, y, s))
    reference = Reference(X, y, s, W)
    rows = reference.s * reference.miss
    magnitude = np.abs(reference.X).T @ np.abs(rows)
    assert (np.abs(got.gradient - reference.X.T @ rows) <= 8 * np.finfo(dtype).eps * magnitude + 1e-30).all()
    value, _ = reference.value()
    assert abs(got.value[0] - value[0]) <= 8 * np.finfo(dtype).eps * value[0]


@pytest.mark.parametrize("meat", [False, True])
@pytest.mark.parametrize("beside", ["nothing", "weights and an offset"])
@pytest.mark.parametrize("stored", FLOATS)
def test_sums_of_a_sandwich_are_those_of_the_generic_body(stored, beside, meat):
    """Of columns far from zero, which are centred; in several lanes and tiles."""
    X, y, s, W = draw(9000, 21, "float64", weighted=beside != "nothing")
    X = (X + 1e3).astype(stored)
    offset = None if beside == "nothing" else np.linspace(-3, 3, len(X))[:, None]
    block = Block(centred(as_matrix(X), X.mean(axis=0, dtype=float)), y, s, None, offset)
    asked = moments.Moments(W, Logistic(), meat=meat)
    numba, plain = cpu_or_gpu("numba"), cpu_or_gpu("numpy")
    assert numba.kernels[moments.Moments, Logistic, None](numba, asked, block, None) is not None
    got, expected = numba.run(asked, block), plain.generic(asked, block)
    assert (got.meat is None) == (not meat)
    for a, b in zip(got, expected, strict=True):
        if b is not None:
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-12 * abs(b).max())


def test_the_cache_is_named_by_all_sources(tmp_path):
    """A change in any file of the folder leads to another cache; Numba itself looks only at the file of a
    function."""
    sources = shutil.copytree(
        Path(cpu.__file__).parent, tmp_path / "cpu", ignore=shutil.ignore_patterns("__pycache__")
    )
    before = cpu.caching._cache_folder(sources)
    assert before == cpu.caching._cache_folder()
    for path in sources.glob("*.py"):
        path.write_text(path.read_text() + "\n# changed\n")
        after = cpu.caching._cache_folder(sources)
        assert after != before
        before = after
    code = "from logreg_accel.kernels import cpu; print(cpu.passes.loss_gradient.stats.cache_path)"
    env = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    told = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
    ).stdout
    assert told.startswith(str(tmp_path))


def test_nothing_is_cached_beside_the_sources():
    """Functions compiled inside a loop are kept with it, since Numba would file them by one source only."""
    X, y, s, W = draw(50, 3)
    backend = cpu_or_gpu("numba")
    for stored in (X, np.asfortranarray(X)):
        backend.run(passes.LossGradient(W, Logistic()), backend.upload(block_of(stored, y)))
    assert not list(Path(cpu.__file__).parent.rglob("*.nb[ic]"))


@pytest.mark.slow
def test_a_cache_that_cannot_be_written_is_no_error():
    code = (
        "import numpy as np, logreg_accel as la; rng = np.random.default_rng(0)\n"
        "clf = la.LogisticRegression(backend='numba', max_iter=2)\n"
        "print(clf.fit(rng.random((20, 2)), np.arange(20) % 2).coef_.shape)"
    )
    env = {**os.environ, "NUMBA_CACHE_DIR": "/proc/nowhere", "HOME": "/dev/null"}
    env.pop("XDG_CACHE_HOME", None)
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert "(1, 2)" in done.stdout, done.stderr
