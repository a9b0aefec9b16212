"""Every pass of every backend, against float64 formulas that share nothing with the package's."""

import inspect
import sys
import types

import numpy as np
import pytest
import scipy.sparse

from conftest import (
    BACKENDS,
    DTYPES,
    FLOATS,
    LAYOUTS,
    SHAPES,
    Reference,
    backends_and,
    block_of,
    check_all_passes,
    cpu_or_gpu,
    draw,
)
from logreg_accel import backends as backends_package
from logreg_accel.backends import Backend, Choice, ahead, get_backend, passes
from logreg_accel.losses import Multinomial


@pytest.mark.parametrize("weighted", [False, True], ids=["unweighted", "weighted"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", BACKENDS)
def test_passes_at_awkward_sizes(name, dtype, shape, weighted, loss):
    X, y, s, W = draw(*shape, dtype, weighted=weighted)
    check_all_passes(cpu_or_gpu(name), X, y, s, W, loss)


@pytest.mark.parametrize("order", ["C", "F", "padded"])
@pytest.mark.parametrize("name, dtype", backends_and(DTYPES))
def test_passes_of_every_dtype(name, dtype, order, loss):
    X, y, s, W = draw(301, 17, dtype, weighted=True)
    X = {"C": X, "F": np.asfortranarray(X), "padded": LAYOUTS["columns of a wider table"](X)}[order]
    check_all_passes(cpu_or_gpu(name), X, y, s, W, loss)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", BACKENDS)
def test_passes_of_every_layout(name, dtype, layout, loss):
    X, y, s, W = draw(301, 17, dtype)
    X = LAYOUTS[layout](X)
    before = X.tobytes()
    check_all_passes(cpu_or_gpu(name), X, y, s, W, loss)
    assert X.tobytes() == before


@pytest.mark.parametrize("name", BACKENDS)
def test_tiles_of_any_size_give_the_same_sums(name, loss):
    X, y, s, W = draw(1000, 10, weighted=True)
    backend = cpu_or_gpu(name)
    backend.tile_bytes = 10 * 8 * 7  # seven rows
    check_all_passes(backend, X, y, s, W, loss)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("outputs", [3, 20])
@pytest.mark.parametrize("name", BACKENDS)
def test_several_outputs_equal_one_at_a_time(name, outputs, order, loss):
    X, y, s, _ = draw(400, 12, weighted=True)
    X = np.asarray(X, order=order)
    W, V = np.random.default_rng(1).standard_normal((2, 13, outputs)) / 4
    backend = cpu_or_gpu(name)
    block = backend.upload(block_of(X, y, s))
    together = backend.run(passes.LossGradient(W, loss, keep_margins=True), block)
    assert together.value.shape == (outputs,) and together.gradient.shape == (13, outputs)
    products, diagonals = (
        backend.run(passes.HessianVector(W, V, loss), block),
        backend.run(passes.Diagonal(W, loss), block),
    )
    for j in range(outputs):
        one = slice(j, j + 1)
        alone = backend.run(passes.LossGradient(W[:, one], loss, keep_margins=True), block)
        np.testing.assert_allclose(
            backend.to_host(together.margins)[:, one], backend.to_host(alone.margins), rtol=1e-9, atol=1e-12
        )
        np.testing.assert_allclose(
            products[:, one],
            backend.run(passes.HessianVector(W[:, one], V[:, one], loss), block),
            rtol=1e-9,
            atol=1e-11,
        )
        np.testing.assert_allclose(
            diagonals[:, one], backend.run(passes.Diagonal(W[:, one], loss), block), rtol=1e-10
        )
        np.testing.assert_allclose(together.value[j], alone.value[0], rtol=1e-12)
        np.testing.assert_allclose(together.gradient[:, j], alone.gradient[:, 0], rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", BACKENDS)
def test_margins_beyond_overflow(name, dtype, loss):
    """Margins from 1e-8 to the dtype's largest, both classes, right and wrong side, one row at a time."""
    scales = np.concatenate([np.logspace(-8, 2, 11), [300, 1e4, float(np.finfo(dtype).max) / 4]])
    X = np.array([[a] for scale in scales for a in (scale, -scale)], dtype=dtype)
    W = np.array([[1.0], [0.0]])
    backend = cpu_or_gpu(name)
    for y in (0, 1):
        for row in X:
            X1, y1 = row[None], np.array([y], dtype=np.uint8)
            got = backend.run(passes.LossGradient(W, loss), backend.upload(block_of(X1, y1)))
            reference = Reference(X1, y1, None, W)
            assert np.isfinite(got.value).all() and np.isfinite(got.gradient).all()
            # below the dtype's normal numbers the loss may vanish, never spoil a sum
            floor = float(np.finfo(dtype).tiny) * (1 + np.abs(row[0]))
            np.testing.assert_allclose(
                got.value, reference.value()[0], rtol=32 * np.finfo(dtype).eps, atol=floor
            )
            np.testing.assert_allclose(
                got.gradient,
                reference.gradient()[0],
                rtol=(32 + 2 * min(abs(row[0]), 100)) * np.finfo(dtype).eps,
                atol=2 * floor,
            )


@pytest.mark.filterwarnings("ignore:invalid value encountered")
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", [(0, 0), (299, 4), (150, 2)])
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("k", [1, 5])
def test_nonfinite_values_show_in_the_sums(name, dtype, where, bad, k, loss):
    X, y, _, W = draw(300, 5, dtype)
    X[where] = bad
    backend = cpu_or_gpu(name)
    if k > 1:
        loss, W = Multinomial(k), np.random.default_rng(0).standard_normal((6, k))
    for weights in (W, np.zeros_like(W)):
        got = backend.run(passes.LossGradient(weights, loss), backend.upload(block_of(X, y)))
        assert not (np.isfinite(got.value).all() and np.isfinite(got.gradient).all())


@pytest.mark.parametrize(
    "layout", [np.ascontiguousarray, np.asfortranarray, scipy.sparse.csr_array], ids=["C", "F", "sparse"]
)
@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("name, dtype", backends_and(FLOATS))
def test_the_diagonal_out_of_the_same_read(name, dtype, k, layout, loss):
    X, y, s, _ = draw(700, 6, dtype, weighted=True)
    W = np.random.default_rng(0).standard_normal((7, k))
    backend = cpu_or_gpu(name)
    block = backend.upload(block_of(layout(X), y, s))
    for which in (loss, Multinomial(3)) if k == 3 else (loss,):  # three models at once; three classes
        alone = backend.run(passes.LossGradient(W, which, keep_margins=True), block)
        both = backend.run(passes.LossGradient(W, which, keep_margins=True, diagonal=True), block)
        assert alone.diagonal is None and both.diagonal.shape == W.shape
        rtol = 50 * np.finfo(dtype).eps
        for a, b in zip(
            (*alone[:2], backend.to_host(alone.margins), backend.run(passes.Diagonal(W, which), block)),
            (*both[:2], backend.to_host(both.margins), both.diagonal),
            strict=True,
        ):
            np.testing.assert_allclose(b, a, rtol=rtol, atol=rtol * abs(a).max())


@pytest.mark.parametrize(
    "layout", [np.ascontiguousarray, np.asfortranarray, scipy.sparse.csr_array], ids=["C", "F", "sparse"]
)
@pytest.mark.parametrize("name", BACKENDS)
def test_squares_of_columns_and_rows(name, layout):
    X = draw(300, 7, "float32")[0] * (np.arange(300) % 3 > 0)[:, None]  # with empty rows
    backend, scale = cpu_or_gpu(name), np.logspace(-3, 3, 7)
    block = backend.upload(block_of(layout(X), np.zeros(300, dtype=np.uint8)))
    squares = X.astype(np.float64) ** 2
    np.testing.assert_allclose(backend.run(passes.ColumnSquares(), block), squares.sum(axis=0), rtol=1e-5)
    np.testing.assert_allclose(
        backend.to_host(backend.run(passes.RowSquares(scale), block)), squares @ scale, rtol=1e-5
    )


@pytest.mark.parametrize("name", BACKENDS)
def test_line_is_the_objective_along_the_margins(name, loss):
    X, y, s, W = draw(200, 6, weighted=True)
    backend = cpu_or_gpu(name)
    block = backend.upload(block_of(X, y, s))
    V = np.random.default_rng(2).standard_normal(W.shape)
    Z0, Z1 = backend.run(passes.Margins(W), block), backend.run(passes.Margins(W + V), block)
    for t in (0.0, 0.3, 1.0, 2.5):
        slope, curvature = backend.run(passes.Line(Z0, Z1, t, loss), block)
        there = backend.run(passes.LossGradient(W + t * V, loss), block)
        assert slope == pytest.approx(float((there.gradient * V).sum()), rel=1e-10)
        assert curvature == pytest.approx(
            float((backend.run(passes.HessianVector(W + t * V, V, loss), block) * V).sum()), rel=1e-10
        )


@pytest.mark.parametrize("name", BACKENDS)
def test_factor_solves_over_decades_of_scale(name):
    rng = np.random.default_rng(0)
    A = rng.standard_normal((50, 8)) * np.logspace(-6, 6, 8)
    backend = cpu_or_gpu(name)
    H = A.T @ A
    v = rng.standard_normal(8)
    solve = backend.factor(backend.xp.asarray(H), 1e-16)
    scale = np.sqrt(np.diagonal(H))
    np.testing.assert_allclose(solve(H @ (v / scale)) * scale, v, rtol=1e-8)


def test_factor_of_a_singular_matrix_stays_finite():
    H = np.ones((3, 3))
    x = cpu_or_gpu("numpy").factor(H, 1e-16)(np.ones(3))
    np.testing.assert_allclose(H @ x, np.ones(3), rtol=1e-6)


@pytest.mark.parametrize("name", BACKENDS)
def test_backends_are_complete(name):
    """They have the same public methods, with the same signatures, as the reference."""
    reference = {n: f for n, f in vars(Backend).items() if callable(f) and not n.startswith("_")}
    backend = type(cpu_or_gpu(name))
    for method, wanted in reference.items():
        assert inspect.signature(getattr(backend, method)) == inspect.signature(wanted), method


def test_backends_is_a_package_and_a_list():
    listed = backends_package()
    assert list(listed) == ["numpy", "numba", "cupy"] and listed["numpy"] is None and listed["numba"] is None
    assert listed["cupy"] is None or isinstance(listed["cupy"], str)


def test_unknown_backend_lists_the_known_ones():
    with pytest.raises(
        ValueError, match="`backend` is 'jax'; expected 'auto' or one of 'numpy', 'numba', 'cupy'"
    ):
        get_backend("jax", 0)


def test_a_backend_that_cannot_run_raises_and_says_why(monkeypatch):
    monkeypatch.setattr(
        "logreg_accel.backends.unusable",
        lambda name: "no NVIDIA driver was found" if name == "cupy" else None,
    )
    with pytest.raises(RuntimeError, match="no NVIDIA driver was found"):
        get_backend("cupy", 0)
    assert get_backend("auto", 1 << 40)[1] == "numba"


def test_auto_goes_by_size_and_says_so(monkeypatch):
    monkeypatch.setattr("logreg_accel.backends.unusable", lambda name: "none" if name == "cupy" else None)
    _, small = get_backend("auto", 1000)
    _, large = get_backend("auto", 1 << 30)
    assert get_backend("auto", 1 << 23, work=1 << 25)[1] == large  # sparse, which takes NumPy longer
    assert small == "numpy" and "small" in small.reason
    assert large == "numba" and "1.07e+03 MB" in large.reason
    assert isinstance(small, Choice)


def test_loops_compiled_ahead_are_taken_for_less(monkeypatch, tmp_path):
    """The marker file alone decides it, and the reason names it."""
    monkeypatch.setattr("logreg_accel.backends.unusable", lambda name: "none" if name == "cupy" else None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    ahead.compiled_ahead.cache_clear()
    assert get_backend("auto", 4 << 20)[1] == "numpy"
    path = ahead.mark()
    chosen = get_backend("auto", 4 << 20)[1]
    assert chosen == "numba" and "doctor --warm" in chosen.reason
    assert get_backend("auto", 1 << 20)[1] == "numpy"
    path.write_text("numba 0.1\n")  # another version has to compile anew
    ahead.compiled_ahead.cache_clear()
    assert get_backend("auto", 4 << 20)[1] == "numpy"


def test_device_data_on_a_host_backend_is_refused():
    with pytest.raises(TypeError, match="GPU memory"):
        get_backend("numpy", 0, on_device=True)


def test_detection_names_what_is_missing(monkeypatch):
    from logreg_accel.backends import detect

    monkeypatch.setattr(detect.ctypes, "CDLL", _raise(OSError))
    assert "driver" in detect.unusable_gpu()
    monkeypatch.setattr(detect, "_driver_problem", lambda: None)
    monkeypatch.setattr(detect.importlib.util, "find_spec", lambda name: None)
    assert "logreg-accel[cuda13]" in detect.unusable_gpu()


def test_a_compiler_that_fails_is_a_reason_and_no_crash(monkeypatch):
    from logreg_accel.backends import detect

    class CompileException(Exception):
        """CuPy's is no RuntimeError either."""

    module = types.ModuleType("logreg_accel.backends.cupy")
    module.probe = _raise(CompileException("invalid value for --gpu-architecture"))
    monkeypatch.setitem(sys.modules, "logreg_accel.backends.cupy", module)
    assert "CompileException: invalid value" in detect._probe_problem()
    module.probe = _raise(ImportError("libcublasLt.so.13: cannot open shared object file"))
    assert "libcublasLt.so.13" in (told := detect._probe_problem()) and "cupy-cuda13x[ctk]" in told


def _raise(error):
    def raising(*_):
        raise error

    return raising
