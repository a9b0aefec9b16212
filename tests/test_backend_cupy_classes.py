"""Sweeps over the margins of several classes on a GPU: what the plain array code gives, in one launch."""

import numpy as np
import pytest
from cuda_on_cpu import fake_cupy
from cuda_on_cpu.emulator import Launch, Program, why_not

from conftest import EMULATED, FLOATS, block_of, cpu_or_gpu
from logreg_accel.backends import passes
from logreg_accel.kernels import cuda
from logreg_accel.kernels.cuda import shapes
from logreg_accel.losses import Multinomial

pytestmark = pytest.mark.gpu
M = 300
CASES = [(3, 4.0, False), (4, 300.0, True), (33, 1.0, True)]  # classes, size of margins, weighted


def problem(cupy, classes, size, weighted, real):
    """Rows, as the host and the device have them, and three sets of numbers for each, some of them equal."""
    rng = np.random.default_rng(classes)
    start, change, u = (size * rng.standard_normal((M, classes)) for _ in range(3))
    start[::7] = 0
    start[::5, 1] = start[::5, 0]
    vectors = [v.astype(real) for v in (start, start + change / 4, u / size)]
    s = rng.exponential(size=M) * (rng.random(M) < 0.9) if weighted else None
    here = block_of(np.zeros((M, 1), real), rng.integers(0, classes, M).astype(np.uint8), s)
    return here, cupy.upload(here), vectors, [cupy.xp.asarray(v) for v in vectors]


def close(got, expected, magnitude, real):
    np.testing.assert_allclose(got, expected, rtol=0, atol=200 * np.finfo(real).eps * magnitude)


@pytest.mark.parametrize("real", FLOATS)
@pytest.mark.parametrize("classes, size, weighted", CASES)
def test_formulas_are_those_of_the_array_code(cupy, classes, size, weighted, real):
    here, there, (z, _, u), on_device = problem(cupy, classes, size, weighted, real)
    loss, reference = Multinomial(classes), cpu_or_gpu("numpy")
    s = None if here.sample_weight is None else here.sample_weight[:, None]
    weights = None if s is None else there.sample_weight[:, None]
    heaviest = 1 if s is None else s.max()
    for name, more, more_there in (
        ("residual", (), ()),
        ("curvature", (), ()),
        ("curvature_product", (u,), on_device[2:]),
    ):
        rows, value = cupy.pointwise(name, loss, on_device[0], there.y, weights, *more_there)
        expected, total = reference.pointwise(name, loss, z, here.y, s, *more)
        close(cupy.to_host(rows), expected, heaviest * max(abs(u).max() if more else 1, 1), real)
        if total is not None:
            close(cupy.to_host(value), total, abs(total).max(), real)


@pytest.mark.parametrize("real", FLOATS)
@pytest.mark.parametrize("classes, size, weighted", CASES)
def test_sweeps_are_those_of_the_array_code(cupy, classes, size, weighted, real):
    here, there, (z0, z1, _), (at0, at1, _) = problem(cupy, classes, size, weighted, real)
    loss, reference = Multinomial(classes), cpu_or_gpu("numpy")
    pairs = [
        (passes.Line(a, b, 0.3, loss), passes.AboveTangent(a, b, loss), passes.MarginChange(a, b, loss))
        for a, b in ((z0, z1), (at0, at1))
    ]
    total = M * max(size, 1) ** 2
    for ours, theirs in zip(pairs[1], pairs[0], strict=True):
        close(np.array(cupy.run(ours, there)), np.array(reference.run(theirs, here)), total, real)
    assert pairs[1][2] and cupy.run(pairs[1][2], there)[:3] == pytest.approx(
        tuple(reference.run(pairs[0][2], here))[:3], rel=1e-5
    )
    mass = cupy.run(passes.CurvatureMass(at0, loss), there)
    close(cupy.to_host(mass), reference.run(passes.CurvatureMass(z0, loss), here), 10, real)


def test_what_is_not_a_number_stays(cupy):
    here, there, (z0, z1, _), (at0, _, _) = problem(cupy, 3, 1.0, False, "float32")
    z1[77, 2] = np.nan
    at1, loss = cupy.xp.asarray(z1), Multinomial(3)
    assert np.isnan(cupy.run(passes.AboveTangent(at0, at1, loss), there)).all()
    assert np.isnan(cupy.run(passes.MarginChange(at0, at1, loss), there)[0])
    rows, value = cupy.pointwise("residual", loss, at1, there.y, None)
    assert np.isnan(cupy.to_host(value)).all()
    assert np.isnan(cupy.to_host(rows)).any(axis=1).nonzero()[0].tolist() == [77]


def test_codes_of_more_classes_than_a_byte_has_are_left_to_the_array_code(cupy):
    z = cupy.xp.asarray(np.zeros((2, 300)))
    y = cupy.xp.asarray(np.array([0, 299], dtype=np.uint16))
    rows, value = cupy.pointwise("residual", Multinomial(300), z, y, None)
    assert float(value[0]) == pytest.approx(2 * np.log(300)) and float(rows[1, 299]) == pytest.approx(
        1 / 300 - 1
    )


def test_a_sweep_is_a_launch_and_a_wait(cupy):
    if not EMULATED:
        pytest.skip("only the stand-in for CuPy counts")
    _, there, _, (at0, at1, _) = problem(cupy, 4, 1.0, True, "float32")
    for kind in (passes.AboveTangent, passes.MarginChange):
        fake_cupy.counts.clear()
        cupy.run(kind(at0, at1, Multinomial(4)), there)
        counts = {what: fake_cupy.counts[what] for what in ("launches", "waits", "calls", "to the host")}
        assert counts == {"launches": 1, "waits": 1, "calls": 0, "to the host": 1}


@pytest.mark.skipif(why_not() is not None, reason=str(why_not()))
def test_rows_are_read_within_their_bounds():
    rng = np.random.default_rng(0)
    m, classes = 37, 5
    z, u = rng.standard_normal((2, m, classes))
    y, out = rng.integers(0, classes, m).astype(np.uint8), np.full((m, classes), np.nan)
    sums, sizes = np.full((2, 3), np.nan), (np.int64(m), np.int32(classes))
    launches = [
        Launch("softmax_product<double>", 2, shapes.THREADS, (z.copy(), None, u.copy(), *sizes, out)),
        Launch(
            "softmax_change<double>",
            2,
            shapes.THREADS,
            (z.copy(), u.copy(), y, None, np.float64(100), *sizes, sums),
        ),
    ]
    program = Program(cuda.source("classes.cu"), [launch.kernel for launch in launches], "address")
    program.run(launches)
    np.testing.assert_allclose(out, Multinomial(classes).curvature_product(z, y, u), atol=1e-15)
    np.testing.assert_allclose(sums.max(axis=0)[0], np.ptp(u - z, axis=1).max())
