"""The CUDA kernel of many outputs: softmax and models side by side, emulated where there is no GPU."""

import contextlib

import numpy as np
import pytest
from cuda_on_cpu import fake_cupy
from cuda_on_cpu.emulator import EmulationError, why_not

from conftest import EMULATED, block_of, cpu_or_gpu, draw, early
from logreg_accel.backends import passes
from logreg_accel.backends.passes import Model
from logreg_accel.kernels import cuda
from logreg_accel.kernels.cuda import shapes, tiles
from logreg_accel.losses import Logistic, Multinomial

pytestmark = pytest.mark.gpu
STORED = [dtype for dtype, (_, real) in shapes.STORAGE.items() if real == "float" and dtype != "bool"]
N, M = 20, 150
emulated = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))


PASSES = ("LossGradient", "HessianVector", "ProductsAt", "Diagonal")
ROWS_SHARED = [(1, 20, 3), (300, 20, 20), (70, 100, 10), (33, 300, 10)]


def passes_of(dtype):
    """All of float32; of the others those that use a number of X once as it is and once in another way."""
    return PASSES if dtype == "float32" else ("LossGradient", "Diagonal")


def prepare():
    """The kernels of the tests, compiled together, which takes a fraction of the time."""
    if not EMULATED:
        return None
    if why_not():
        pytest.skip(why_not())

    def of(dtype, n, k, classes, side_by_side=False, names=PASSES):
        vector = 16 // np.dtype(dtype).itemsize
        columns = shapes.padded(n, np.dtype(dtype).itemsize)
        launches = (
            tiles.outputs(name, dtype, M, columns, k, vector, classes, side_by_side) for name in names
        )
        return {launch.kernel for launch in launches}

    kernels = fake_cupy.Kernels(known=early("emulated_kernels"))
    names = set().union(*(of(dtype, N, 3, 3, names=passes_of(dtype)) for dtype in STORED))
    names |= set().union(*(of("float32", n, k, k, names=PASSES[:1]) for _, n, k in ROWS_SHARED))
    names |= of("float32", 100, 10, 10)
    names |= set().union(*(of("float32", N, k, 1, True, PASSES[:2]) for k in (1, 32)))
    names |= of("float32", N, 18, 3, True, PASSES[:1])
    kernels.foresee(cuda.source("outputs.cu"), names)
    one = shapes.dense("LossGradient", "float32", M, N).kernel
    kernels.foresee(cuda.source("dense.cu"), ["sum_slices<float>", one])
    return kernels


EARLY = {"outputs": prepare}


@pytest.fixture
def outputs():
    return early("outputs")


@pytest.fixture
def cupy(outputs):
    if not EMULATED:
        yield cpu_or_gpu("cupy")
        return
    with fake_cupy.in_place_of_cupy(outputs):
        outputs.launched.clear()
        yield cpu_or_gpu("cupy")


def launched(kernels, what="outputs<"):
    """Names of the kernels that ran; None on a GPU."""
    return [one.kernel for one in kernels.launched if one.kernel.startswith(what)] if EMULATED else None


def problem(m, n, k, dtype="float32", seed=0):
    """X, codes of k classes, weights, and two W that float32 holds."""
    X, _, s, _ = draw(m, n, dtype, weighted=True)
    rng = np.random.default_rng(seed)
    W, V = (rng.standard_normal((2, n + 1, k)) / np.sqrt(n)).astype(np.float32).astype(np.float64)
    return X, rng.integers(0, max(k, 2), m).astype(np.uint8), s.astype(np.float32), W, V


def in_double(X, y, s, splits=None):
    return block_of(X.astype(np.float64), y, s.astype(np.float64))._replace(splits=splits)


def check(got, expected, terms):
    """Equal to what float32 allows: a few roundings of the largest sum, however it is added up."""
    np.testing.assert_allclose(
        got, expected, rtol=0, atol=8 * np.finfo(np.float32).eps * np.log2(terms + 2) * abs(expected).max()
    )


def check_all(backend, X, y, s, W, V, loss, models=None, splits=None, names=PASSES):
    """Loss, gradient, margins, Hessian-vector product and diagonal against the generic body in double."""
    m, n = X.shape
    block = backend.upload(block_of(X, y, s)._replace(splits=splits))
    there, reference = in_double(X, y, s, splits), cpu_or_gpu("numpy")
    alone = models is None
    got = backend.run(passes.LossGradient(W, loss, alone, models=models), block)
    expected = reference.run(passes.LossGradient(W, loss, alone, models=models), there)
    check(got.value, expected.value, m)
    check(got.gradient, expected.gradient, m)
    if alone:
        check(backend.to_host(got.margins), expected.margins, n)
    if "Diagonal" in names:
        diagonal = reference.run(passes.Diagonal(W, loss, models=models), there)
        check(backend.run(passes.Diagonal(W, loss, models=models), block), diagonal, m)
    if "HessianVector" in names:
        product = reference.run(passes.HessianVector(W, V, loss, models=models), there)
        check(backend.run(passes.HessianVector(W, V, loss, models=models), block), product, m)
        if "ProductsAt" in names:
            known = passes.HessianVector(W, V, loss, got.margins)
            check(backend.run(known, block), product, m)


@pytest.mark.parametrize("dtype", STORED)
def test_softmax_of_every_storage_type_is_that_of_the_generic_body(cupy, outputs, dtype):
    X, y, s, W, V = problem(M, N, 3, dtype)
    check_all(cupy, X, y, s, W, V, Multinomial(3), names=passes_of(dtype))
    assert not EMULATED or len(launched(outputs)) == len(passes_of(dtype))


@pytest.mark.parametrize("m, n, k", ROWS_SHARED)
def test_softmax_of_every_way_to_share_a_row(cupy, outputs, m, n, k):
    X, y, s, W, V = problem(m, n, k)
    names = PASSES if n == 100 else PASSES[:1]
    check_all(cupy, X, y, s, W, V, Multinomial(k), names=names)
    assert not EMULATED or len(launched(outputs)) == len(names)


def many(n_models, n_targets=3, seed=1):
    """Models with targets, splits and class weights of their own; some train on all rows."""
    rng = np.random.default_rng(seed)
    return tuple(
        Model(
            target=i % n_targets,
            split=None if i % 4 == 3 else int(rng.integers(0, 11)),
            class_weight=(1.0, float(rng.random() * 3)) if i % 2 else None,
        )
        for i in range(n_models)
    )


def many_problem(m, n, n_models, dtype="float32"):
    X, _, s, W, V = problem(m, n, n_models, dtype)
    rng = np.random.default_rng(5)
    return X, rng.integers(0, 2, (m, 3)).astype(np.uint8), s, W, V, rng.integers(0, 256, (m, 2), np.uint8)


@pytest.mark.parametrize("n_models", [1, 17, 40])
def test_models_side_by_side_have_rows_labels_and_weights_of_their_own(cupy, outputs, n_models):
    X, y, s, W, V, splits = many_problem(M, N, n_models)
    check_all(cupy, X, y, s, W, V, Logistic(), many(n_models), splits, PASSES[:2])
    pieces = -(-n_models // 32)
    assert not EMULATED or len(launched(outputs)) == 2 * pieces
    assert not EMULATED or len(launched(outputs, "sum_slices")) == 2 * pieces


def test_softmax_models_share_a_read(cupy, outputs):
    models = tuple(Model(i % 2, i if i < 4 else None, (1.0, 2.0, 0.5) if i == 2 else None) for i in range(6))
    X, _, s, W, V = problem(M, N, 18)
    rng = np.random.default_rng(2)
    y, splits = rng.integers(0, 3, (M, 2)).astype(np.uint8), rng.integers(0, 256, (M, 1), np.uint8)
    check_all(cupy, X, y, s, W, V, Multinomial(3), models, splits, PASSES[:1])
    assert not EMULATED or len(launched(outputs)) == 1


def test_a_models_sums_have_the_same_bits_in_any_company(cupy):
    X, y, s, W, _, splits = many_problem(M, N, 40)
    models, block = many(40), cupy.upload(block_of(X, y, s)._replace(splits=splits))
    together = cupy.run(passes.LossGradient(W, Logistic(), models=models), block)
    for some in ([0], [38], [3, 39, 5], list(range(0, 40, 2))):
        chosen = tuple(models[i] for i in some)
        alone = cupy.run(passes.LossGradient(W[:, some], Logistic(), models=chosen), block)
        np.testing.assert_array_equal(alone.gradient, together.gradient[:, some])
        np.testing.assert_array_equal(alone.value, together.value[some])


def test_one_evaluation_is_a_copy_in_two_launches_a_copy_out_and_one_wait(cupy):
    if not EMULATED:
        pytest.skip("only the stand-in for CuPy counts")
    X, y, s, W, V = problem(M, N, 3)
    block, loss = cupy.upload(block_of(X, y, s)), Multinomial(3)
    for pass_ in (passes.LossGradient(W, loss), passes.HessianVector(W, V, loss), passes.Diagonal(W, loss)):
        cupy.run(pass_, block)
        fake_cupy.counts.clear()
        cupy.run(pass_, block)
        assert fake_cupy.counts == {"to the device": 1, "launches": 2, "to the host": 1, "waits": 1}


def test_sums_are_as_good_as_those_of_floats(cupy):
    """The reference is the kernel of one output, which multiplies floats, at large margins of both signs."""
    m, n = 700, 20
    X, y, s, W, _ = problem(m, n, 1)
    X, W = X + np.float32(3), W * 8
    models = (Model(),)
    expected = cpu_or_gpu("numpy").run(passes.LossGradient(W, Logistic()), in_double(X, y, s))
    block = cupy.upload(block_of(X, y, s))
    off = []
    for side_by_side in (models, None):
        got = cupy.run(passes.LossGradient(W, Logistic(), models=side_by_side), block)
        off.append(np.linalg.norm(got.gradient - expected.gradient))
    assert off[0] <= 3 * off[1] + 1e-7 * np.linalg.norm(expected.gradient)


@pytest.mark.parametrize("n, first, piece", [(17, 0, 4), (18, 0, 8), (17, 3, 4)])
def test_rows_on_the_device_are_read_where_they_are(cupy, outputs, n, first, piece):
    X, y, s, W, V = problem(M, n + first, 3)
    there = cupy.xp.asarray(X)[:, first:]
    got = cupy.run(passes.LossGradient(W[first:], Multinomial(3)), cupy.upload(block_of(there, y, s)))
    expected = cpu_or_gpu("numpy").run(
        passes.LossGradient(W[first:], Multinomial(3)), in_double(X[:, first:], y, s)
    )
    check(got.gradient, expected.gradient, M)
    assert not EMULATED or f"float, {piece}," in launched(outputs)[0]


def test_huge_margins_give_finite_sums(cupy):
    X, y, s, W, V = problem(M, N, 3)
    check_all(cupy, X * np.float32(1e4), y, s, W, V, Multinomial(3), names=PASSES[:1])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_not_finite_is_not_lost(cupy, bad):
    """NaN has many bit patterns, some of which become zero if they are rounded like a number."""
    X, y, s, W, V = problem(M, N, 3)
    X[7, 3], s[7] = bad, 1
    if np.isnan(bad):
        X.view(np.uint32)[7, 3] = 0x7FFFFFFF
    got = cupy.run(passes.LossGradient(W, Multinomial(3)), cupy.upload(block_of(X, y, s)))
    assert not np.isfinite(got.value).any() and not np.isfinite(got.gradient[3]).any()


@pytest.mark.parametrize("X", ["float64", "wide", "many classes"])
def test_what_the_kernel_declines_runs_the_generic_body(cupy, outputs, X):
    dtype, n, k = ("float64" if X == "float64" else "float32"), (1500 if X == "wide" else N), 3
    k = 40 if X == "many classes" else k
    drawn, y, s, W, _ = problem(40, n, k, dtype)
    block = block_of(drawn, y, s)
    got = cupy.run(passes.LossGradient(W, Multinomial(k)), cupy.upload(block))
    expected = cpu_or_gpu("numpy").run(passes.LossGradient(W, Multinomial(k)), in_double(drawn, y, s))
    check(got.gradient, expected.gradient, 40)
    assert not EMULATED or not launched(outputs)


@emulated
@pytest.mark.parametrize("sanitizer", ["address", "thread"])
@pytest.mark.parametrize("n, k", [(100, 3), pytest.param(17, 20, marks=pytest.mark.slow)])
def test_passes_under_sanitizers(sanitizer, n, k):
    X, y, s, W, _ = problem(70, n, k)
    with sanitized(sanitizer) as backend:
        got = backend.run(passes.LossGradient(W, Multinomial(k)), backend.upload(block_of(X, y, s)))
    expected = cpu_or_gpu("numpy").run(passes.LossGradient(W, Multinomial(k)), in_double(X, y, s))
    check(got.gradient, expected.gradient, 70)


@contextlib.contextmanager
def sanitized(sanitizer):
    """The cupy backend on kernels of a build; the sum over slices has a test of its own."""
    kernels = fake_cupy.Kernels(sanitizer)
    kernels.foresee(cuda.source("dense.cu"), ["sum_slices<float>"], None)
    with fake_cupy.in_place_of_cupy(kernels):
        yield cpu_or_gpu("cupy")


@emulated
@pytest.mark.slow
@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_missing_barrier_is_caught(monkeypatch, which):
    """The tile's, that of the margins, that of the factors."""
    parts = cuda.source("outputs.cu").split("        group_meets();")
    faulty = "        group_meets();".join(parts[: which + 1]) + "        group_meets();".join(
        parts[which + 1 :]
    )
    plant(monkeypatch, faulty)
    with pytest.raises(EmulationError, match="data race"):
        test_passes_under_sanitizers("thread", 100, 3)


@emulated
def test_a_tile_that_is_not_waited_for_is_caught(monkeypatch):
    plant(monkeypatch, cuda.source("outputs.cu").replace("        wait_for_all_but(stages - 2);\n", ""))
    X, y, s, W, _ = problem(70, 100, 3)
    with sanitized(None) as backend:
        got = backend.run(passes.LossGradient(W, Multinomial(3)), backend.upload(block_of(X, y, s)))
    assert np.isnan(got.gradient).any()


def plant(monkeypatch, faulty):
    source = cuda.source
    assert faulty != source("outputs.cu")
    monkeypatch.setattr(cuda, "source", lambda name: faulty if name == "outputs.cu" else source(name))


def test_tiles_fit_the_devices_that_have_tensor_cores():
    """A block has 163 KiB on an A100 and 227 on an H100; where two tiles do not fit, the generic body
    runs."""
    for n in range(8, 1401, 8):
        for k in (3, 16, 20, 32):
            launch = tiles.outputs("LossGradient", "float32", 10**6, n, k, 4, k)
            if launch is None:
                assert k > 16 and n > 832
                continue
            assert launch.tile_bytes >= n * 4 * launch.slice_rows // (1 << 13)
            count, nbytes = tiles.stages(launch, 227 << 10, 228 << 10)
            assert 2 <= count <= 6 and nbytes <= 222 << 10
            assert tiles.stages(launch, 163 << 10, 164 << 10) is not None, n


def test_a_tile_has_no_two_rows_in_one_bank():
    """Eight rows of a load begin at banks 8 or 4 apart."""
    for itemsize, apart in ((4, 8), (2, 4), (1, 4)):
        for columns in range(8, 512, 8):
            words = tiles.pitch(columns, itemsize) // 4
            assert words * 4 >= columns * itemsize and words % (2 * apart) == apart
