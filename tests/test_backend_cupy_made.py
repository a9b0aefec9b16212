"""Passes on a GPU over rows that a kernel makes first: Hessians, and what is read less its centre."""

import numpy as np
import pytest
from cuda_kernels import STORED
from cuda_on_cpu import fake_cupy
from cuda_on_cpu.emulator import Launch, Program, why_not

from conftest import EMULATED, block_of, cpu_or_gpu, draw
from logreg_accel.backends import passes
from logreg_accel.data import centred, compute_dtype
from logreg_accel.kernels import cuda
from logreg_accel.kernels.cuda import shapes
from logreg_accel.losses import Logistic

pytestmark = pytest.mark.gpu
M, N = 150, 6


def blocks(cupy, dtype, centre, weighted=True, n=N):
    """The same rows on the host and on the device, less a centre or as they are."""
    X, y, s, W = draw(M, n, "float32", weighted=weighted)
    X = (X * 3).astype(dtype)
    here = block_of(X, y, s)
    there = cupy.upload(here)
    if centre:
        c = np.linspace(-1, 2, n)
        here = here._replace(X=centred(here.X, c))
        there = there._replace(X=centred(there.X, cupy.xp.asarray(c)))
    return here, there, W


def asked(W, margins=None):
    loss, V = Logistic(), np.random.default_rng(1).standard_normal(W.shape)
    return [
        passes.LossGradient(W, loss, keep_margins=True, diagonal=True),
        passes.HessianVector(W, V, loss, margins),
        passes.Diagonal(W, loss, None, margins),
        passes.Hessian(W, loss, None, margins),
    ]


def compare(cupy, here, there, W, margins=(None, None)):
    """All that is asked, beside the array code."""
    dtype, reference = compute_dtype(here.X.dtype), cpu_or_gpu("numpy")
    for one, other in zip(asked(W, margins[0]), asked(W, margins[1]), strict=True):
        expected, got = reference.run(one, here), cupy.run(other, there)
        pairs = zip(got[:4], expected[:4], strict=True) if isinstance(got, passes.Sums) else [(got, expected)]
        for mine, theirs in pairs:
            close = 100 * np.finfo(dtype).eps * max(np.abs(theirs).max(), 1)
            np.testing.assert_allclose(cupy.to_host(mine), theirs, rtol=1e-5, atol=close)


@pytest.mark.parametrize("centre", [False, True])
@pytest.mark.parametrize("dtype", STORED)
def test_rows_that_are_made_give_what_the_array_code_gives(cupy, dtype, centre):
    compare(cupy, *blocks(cupy, dtype, centre))


@pytest.mark.parametrize("centre", [False, True])
def test_rows_are_made_tile_by_tile_of_margins_at_hand(cupy, monkeypatch, centre):
    here, there, W = blocks(cupy, "float32", centre, weighted=False, n=5)
    margins = cpu_or_gpu("numpy").run(passes.Margins(W), here)
    monkeypatch.setattr(type(cupy), "tile_bytes", 64 * 40)
    compare(cupy, here, there, W, (margins, cupy.xp.asarray(margins)))


@pytest.mark.parametrize("centre", [False, True])
def test_offsets_and_columns_are_left_to_the_array_code(cupy, centre):
    here, there, W = blocks(cupy, "float64", centre)
    offset = np.linspace(-1, 1, M)[:, None]
    compare(cupy, here._replace(offset=offset), there._replace(offset=cupy.xp.asarray(offset)), W)
    by_columns = cupy.xp.asarray(here.X.stored.T.copy()).T
    columns = cupy.upload(block_of(by_columns, there.y, there.sample_weight))
    assert not columns.X.by_rows
    compare(cupy, here, columns._replace(X=centred(columns.X, there.X.centre)) if centre else columns, W)


@pytest.mark.parametrize("centre", [False, True])
def test_sweeps_over_margins_take_weights_in_their_own_type(cupy, centre):
    """Margins of centred rows are in float64, while the weights of rows are in the type of X."""
    here, there, W = blocks(cupy, "float32", centre)
    answers = []
    for backend, block in ((cpu_or_gpu("numpy"), here), (cupy, there)):
        Z, other = (backend.run(passes.Margins(w), block) for w in (W, 2 * W))
        line = backend.run(passes.Line(Z, other, 0.3, Logistic()), block)
        above = backend.run(passes.AboveTangent(Z, other, Logistic()), block)
        change = backend.run(passes.MarginChange(Z, other, Logistic()), block)
        answers.append([*line, *above, *change[:3]])
    assert there.sample_weight.dtype == np.float32
    np.testing.assert_allclose(*answers, rtol=1e-5, atol=1e-5)


@pytest.mark.skipif(not EMULATED, reason="a GPU reads whatever lies there")
def test_the_stand_in_sees_numbers_of_another_type(cupy):
    from logreg_accel.backends.cupy import arrays

    z, weights = cupy.xp.asarray(np.ones(9)), cupy.xp.asarray(np.ones(9, np.float32))
    with pytest.raises(AssertionError, match="argument 1 is of float32, and the kernel's of double"):
        arrays.times(z, weights)


@pytest.mark.skipif(not EMULATED, reason="only the stand-in for CuPy counts")
def test_what_rows_that_are_made_cost(cupy):
    _, plain, W = blocks(cupy, "float32", False)
    _, less, _ = blocks(cupy, "float32", True)
    margins = cupy.run(passes.Margins(W), plain)
    for block, pass_, most in (
        (plain, passes.Hessian(W, Logistic(), None, margins), (2, 1, 1)),
        (plain, passes.Hessian(W, Logistic()), (2, 1, 1)),
        (less, passes.LossGradient(W, Logistic()), (4, 0, 1)),
    ):
        fake_cupy.counts.clear()
        cupy.run(pass_, block)
        spent = tuple(fake_cupy.counts[what] for what in ("launches", "calls", "waits"))
        assert spent == most


@pytest.mark.skipif(why_not() is not None, reason=str(why_not()))
@pytest.mark.parametrize("sanitizer", ["address", "thread"])
def test_rows_are_made_within_their_bounds(sanitizer):
    """The row length differs from the stride and from the length of the result, and blocks take several
    turns."""
    kernels = ["made_rows<float, float, true>", "made_rows<Half, double, false>"]
    program = Program(cuda.source("made.cu"), kernels, sanitizer)
    m, n, columns = 37, 33, 36
    rng = np.random.default_rng(0)
    z, s, c = rng.standard_normal(m).astype(np.float32), rng.random(m).astype(np.float32), rng.random(n)
    for kernel, dtype, real in zip(kernels, ("float32", "float16"), ("float32", "float64"), strict=True):
        X = rng.standard_normal((m, n + 2)).astype(dtype)
        out = np.full((m, columns), np.nan, real)
        stored, roots = X[:, :n], "true" in kernel
        sizes = np.int64(n + 2), np.int64(m), np.int32(n)
        w = (rng.standard_normal(n + 1) / 6).astype(np.float32)
        made_of_w = stored.astype(np.float64) @ w[:-1] + w[-1]
        given = ((None, w), (z, None)) if roots else ((None, None),)
        for margins, weights in given[: 1 if sanitizer == "thread" else 2]:
            vectors = (None, margins, weights, s, None) if roots else (c, None, None, None, None)
            arguments = (stored, *sizes, *vectors, np.int32(columns), out)
            program.run([Launch(kernel, 2, shapes.THREADS, arguments)])
            check_made(out, stored, made_of_w if margins is None else z, s, c, roots)
        if roots:
            vectors = (None, None, None, None, s)
            arguments = (stored, *sizes, *vectors, np.int32(columns), out)
            program.run([Launch(kernel, 2, shapes.THREADS, arguments)])
            expected = np.zeros(out.shape, real)
            expected[:, :n], expected[:, n] = s[:, None] * stored, s
            np.testing.assert_array_equal(out, expected)


def check_made(out, stored, z, s, c, roots):
    """Rows, with a one behind them and times the roots, or less the centre."""
    n, expected = stored.shape[1], np.zeros(out.shape)
    expected[:, :n] = stored if roots else stored - c
    if roots:
        expected[:, n] = 1
        expected *= np.sqrt(s / (4 * np.cosh(z / 2, dtype=np.float64) ** 2))[:, None]
    np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-7)
