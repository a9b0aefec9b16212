"""Sweeps over vectors with a number a row on a GPU: what the plain array code gives, in one launch."""

import numpy as np
import pytest
from cuda_on_cpu import fake_cupy
from cuda_on_cpu.emulator import Launch, Program, why_not

from conftest import EMULATED, FLOATS, block_of, cpu_or_gpu, draw
from logreg_accel.backends import drawing, passes
from logreg_accel.data import centred
from logreg_accel.kernels import cuda
from logreg_accel.losses import Logistic
from logreg_accel.rows import sampling

pytestmark = pytest.mark.gpu
SIZES = [1, 255, 3000]


def mass_of(m, real):
    rng = np.random.default_rng(m)
    return (rng.random(m) ** 4 * (rng.random(m) < 0.8)).astype(real)


@pytest.mark.parametrize("real", FLOATS)
@pytest.mark.parametrize("m", SIZES)
def test_the_same_rows_are_drawn_on_every_backend(cupy, m, real):
    mass, numbers = mass_of(m, real), np.arange(m, dtype=np.int64) * 7 + 3
    there, reference = cupy.xp.asarray(mass), cpu_or_gpu("numpy")
    total, count = cupy.total_mass(there)
    assert count == (mass > 0).sum() and np.isclose(total, mass.sum(dtype=np.float64), rtol=1e-12)
    for known in (None, numbers, numbers.astype(np.uint32)):
        for bar in (0.1, 1.0, 40.0):
            rows, own = cupy.rows_above(there, 3.5, 0.01, bar, (1, 2), known)
            expected = reference.rows_above(mass, 3.5, 0.01, bar, (1, 2), known)
            np.testing.assert_array_equal(rows, expected[0])
            np.testing.assert_array_equal(own, mass[rows])
    np.testing.assert_array_equal(cupy.positive_rows(there), np.flatnonzero(mass))


def test_rows_beyond_what_32_bits_count_are_drawn_by_the_array_code(cupy):
    mass, numbers = mass_of(255, "float32"), np.arange(255, dtype=np.int64) + 2**32 - 100
    got = cupy.rows_above(cupy.xp.asarray(mass), 1.0, 0.0, 0.5, (3,), numbers)
    expected = cpu_or_gpu("numpy").rows_above(mass, 1.0, 0.0, 0.5, (3,), numbers)
    np.testing.assert_array_equal(got, expected)
    assert 0 < len(expected[0]) < 255


@pytest.mark.parametrize("real", FLOATS)
@pytest.mark.parametrize("m, share", [(1, 0.5), (255, 0.5), (3000, 0.01), (5000, 0.002), (300_000, 0.0005)])
def test_rows_that_pass_a_share_of_a_total_nobody_has_waited_for(cupy, m, share, real):
    mass, codes = mass_of(m, real), (np.arange(m) % 7).astype(np.uint8)
    mass[0] = 1
    there, y, numbers = cupy.xp.asarray(mass), cupy.xp.asarray(codes), np.arange(m, dtype=np.int64) * 3 + 1
    for known in (None, numbers):
        (total, count), rows, own, codes_there = cupy.rows_of_share(there, 0.1, share, (1, 2), known, y)
        assert count == (mass > 0).sum() and np.isclose(total, mass.sum(dtype=np.float64), rtol=1e-12)
        scale, even = (1 - 0.1) / total, 0.1 / count
        expected, _ = cpu_or_gpu("numpy").rows_above(mass, scale, even, share, (1, 2), known)
        np.testing.assert_array_equal(rows, expected)
        np.testing.assert_array_equal(own, mass[expected])
        np.testing.assert_array_equal(codes_there, codes[expected])


def test_more_rows_than_there_is_room_for_are_left_to_two_questions(cupy):
    hashes = drawing.uniforms(np.arange(3000, dtype=np.uint32), (5,))
    mass = (hashes < 1 / 16).astype(np.float64)  # those whose hash lets them pass
    many = cupy.xp.asarray(mass)
    assert cupy.rows_of_share(many, 0.0, 0.02, (5,)) is None
    rows, _ = sampling.draw(many, 50, (5,), cupy)
    np.testing.assert_array_equal(rows, sampling.draw(mass, 50, (5,), cpu_or_gpu("numpy"))[0])


@pytest.mark.parametrize("mass", [np.zeros(40), np.full(40, np.inf), np.full(40, np.nan)])
def test_masses_that_say_nothing_draw_rows_evenly(cupy, mass):
    rows, weights = sampling.by_mass(cupy.xp.asarray(mass), 5, (0,), cupy)
    expected = sampling.by_mass(mass, 5, (0,), cpu_or_gpu("numpy"))
    np.testing.assert_array_equal(rows, expected[0])
    np.testing.assert_allclose(weights, expected[1])


def blocks(cupy, m, real, weighted):
    X, y, s, _ = draw(m, 2, real, weighted=weighted)
    block = block_of(X, y, None if s is None else s.astype(real))
    return block, cupy.upload(block)


def margins(m, real, seed, scale=4.0):
    return (np.random.default_rng([m, seed]).standard_normal((m, 1)) * scale).astype(real)


@pytest.mark.parametrize("real", FLOATS)
@pytest.mark.parametrize("m, weighted, scale", [(1, False, 4), (255, True, 4), (3000, False, 300)])
def test_margins_and_curvatures_are_those_of_the_array_code(cupy, m, weighted, scale, real):
    here, there = blocks(cupy, m, real, weighted)
    start, end = margins(m, real, 1, scale), margins(m, real, 2, scale)
    on_device, reference = [cupy.xp.asarray(z) for z in (start, end)], cpu_or_gpu("numpy")
    got = cupy.run(passes.MarginChange(*on_device, Logistic()), there)
    expected = reference.run(passes.MarginChange(start, end, Logistic()), here)
    np.testing.assert_allclose(got[:3], expected[:3], rtol=1e-6)
    above = cupy.run(passes.AboveTangent(*on_device, Logistic()), there)
    expected = reference.run(passes.AboveTangent(start, end, Logistic()), here)
    for sums in (above, [got.above]):
        np.testing.assert_allclose(sums, expected, 16 * np.finfo(real).eps * scale)
    got = cupy.to_host(cupy.run(passes.CurvatureMass(on_device[0], Logistic()), there))
    expected = reference.run(passes.CurvatureMass(start, Logistic()), here)
    rtol, least = 8 * np.finfo(real).eps, np.finfo(real).tiny
    np.testing.assert_allclose(got, expected, rtol, atol=least)
    s = None if here.sample_weight is None else here.sample_weight[:, None]
    product = cupy.pointwise(
        "curvature_product", Logistic(), on_device[0], there.y, there.sample_weight, on_device[1]
    )[0]
    expected = reference.pointwise("curvature_product", Logistic(), start, here.y, s, end)[0]
    np.testing.assert_allclose(cupy.to_host(product), expected, rtol, atol=least * abs(end).max())


@pytest.mark.parametrize("real", FLOATS)
@pytest.mark.parametrize("how", ["as it is", "in float64", "tile by tile"])
def test_how_margins_change_is_found_on_the_way_to_an_evaluation(cupy, monkeypatch, real, how):
    here, there = blocks(cupy, 300, real, True)
    if how != "as it is":
        there = there._replace(X=centred(there.X, cupy.xp.zeros(2)))
    if how == "tile by tile":
        monkeypatch.setattr(type(cupy), "tile_bytes", 64 * 40)
    since = cupy.xp.asarray(margins(300, there.X.dtype.name if how == "as it is" else "float64", 1))
    W = np.array([[0.5], [-2.0], [0.25]])
    sums = cupy.run(passes.LossGradient(W, Logistic(), keep_margins=True, since=since), there)
    apart = cupy.run(passes.MarginChange(since, sums.margins, Logistic()), there)
    np.testing.assert_allclose(sums.change, apart, rtol=1e-12)
    plain = cupy.run(passes.LossGradient(W, Logistic(), keep_margins=True), there)
    assert plain.change is None and np.array_equal(plain.gradient, sums.gradient)


def test_squares_that_scale_the_norms_of_rows_stay_on_the_device(cupy):
    X = draw(300, 5, "float32")[0]
    X[:, 3] = 0
    squares = (X.astype(np.float64) ** 2).mean(axis=0)
    scale = np.divide(1, squares, out=np.zeros(5), where=squares > 0)
    got = cupy.to_host(cupy.run(passes.RowSquares(), cupy.upload(block_of(X, np.ones(300)))))
    np.testing.assert_allclose(got, X**2 @ scale, rtol=1e-5)


def test_what_is_not_a_number_stays(cupy):
    here, there = blocks(cupy, 255, "float32", False)
    start, end = margins(255, "float32", 1), margins(255, "float32", 2)
    end[77] = np.nan
    change = cupy.run(passes.MarginChange(*map(cupy.xp.asarray, (start, end)), Logistic()), there)
    assert np.isnan(change).all()
    above = cupy.run(passes.AboveTangent(*map(cupy.xp.asarray, (start, end)), Logistic()), there)
    assert np.isnan(above).all()


def test_a_sweep_is_a_launch_and_a_wait(cupy):
    if not EMULATED:
        pytest.skip("only the stand-in for CuPy counts")
    _, there = blocks(cupy, 3000, "float32", True)
    z = [cupy.xp.asarray(margins(3000, "float32", seed)) for seed in (1, 2)]
    for sweep in (
        lambda: cupy.run(passes.MarginChange(*z, Logistic()), there),
        lambda: cupy.run(passes.AboveTangent(*z, Logistic()), there),
        lambda: cupy.total_mass(z[0][:, 0]),
    ):
        fake_cupy.counts.clear()
        sweep()
        counts = {what: fake_cupy.counts[what] for what in ("launches", "waits", "calls", "to the host")}
        assert counts == {"launches": 1, "waits": 1, "calls": 0, "to the host": 1}


@pytest.mark.skipif(why_not() is not None, reason=str(why_not()))
def test_a_block_puts_its_numbers_together_without_a_race():
    rng = np.random.default_rng(0)
    z, y, out = rng.standard_normal((2, 600)), np.ones(600, np.uint8), np.full((2, 4), np.nan)
    program = Program(cuda.source("sweeps.cu"), ["logistic_change<double>"], "thread")
    arguments = (z[0].copy(), z[1].copy(), y, None, np.float64(100), np.int64(600), out)
    program.run([Launch("logistic_change<double>", 2, 256, arguments)])
    change = z[1] - z[0]
    expected = [abs(change).max(), -change.min(), change.max()]
    np.testing.assert_allclose(out[:, :3].max(axis=0), expected)
    losses = Logistic().value_residual(z.T, y)
    above = losses[0][:, :1] - losses[0][:, 1:] + losses[1][:, 1:] * change[:, None]
    np.testing.assert_allclose(out[:, 3].sum(), above.sum(), rtol=1e-12)


@pytest.mark.skipif(why_not() is not None, reason=str(why_not()))
def test_rows_that_pass_are_put_in_order_without_a_race():
    m, room, names = 1500, 64, [f"mass_{name}<float>" for name in ("total", "passing", "taken")]
    mass, codes = mass_of(m, "float32"), (np.arange(m) % 5).astype(np.uint8)
    sums, counts, told = np.full((2, 2), np.nan), np.full(2, np.nan), np.full(3, np.nan)
    rows, masses, taken = np.full(room, -1), np.full(room, np.nan, np.float32), np.zeros(room, np.uint8)
    bar = np.float64(0.9), np.float64(0.1), np.float32(0.05), *drawing.keys((1,)), np.int64(m), np.int64(750)
    known = mass, None, sums, *bar
    out = codes, np.int64(room), told, rows, masses, taken
    program = Program(cuda.source("sweeps.cu"), names, "thread")
    arguments = (mass, np.int64(m), sums), (*known, counts), (*known, counts, *out)
    program.run([Launch(name, 2, 256, those) for name, those in zip(names, arguments, strict=True)])
    scale, even = 0.9 / mass.sum(dtype=np.float64), 0.1 / (mass > 0).sum()
    expected = drawing.above(np, mass, scale, even, 0.05, (1,))
    assert 0 < len(expected) < room and told[2] == len(expected)
    np.testing.assert_array_equal(rows[: len(expected)], expected)
    np.testing.assert_array_equal(taken[: len(expected)], codes[expected])
    assert (rows[len(expected) :] == -1).all()
