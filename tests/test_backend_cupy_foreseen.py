"""The kernels that a fit requests are those that threads compiled while its rows were uploaded."""

import concurrent.futures
import importlib
import threading

import numpy as np
import pytest
import scipy.sparse
from cuda_on_cpu import fake_cupy

from conftest import draw
from logreg_accel import LogisticRegression

M, N = 3000, 20


@pytest.fixture
def compiler(emulated_kernels, monkeypatch, tmp_path):
    """The module that compiles, with nothing kept, and with the kernels asked for in `compiler.asked`."""
    if emulated_kernels is None:
        pytest.skip("a GPU is there, whose kernels other tests asked for already")
    monkeypatch.setattr(emulated_kernels, "folder", tmp_path / "kept")
    with fake_cupy.in_place_of_cupy(emulated_kernels):
        module = importlib.import_module("logreg_accel.backends.cupy.compiler")
        fake_cupy.counts.clear()
        asked, make = [], module._kernel.__wrapped__

        def noted(*what):
            asked.append(what[:2])
            return make(*what)

        monkeypatch.setattr(module, "_kernel", noted)
        module.asked = asked
        yield module


def problem(kind, n_classes):
    X, y, _, _ = draw(M, N, "float64" if kind == "float64" else "float32")
    if kind == "sparse":
        X = scipy.sparse.csr_array(X * (np.random.default_rng(0).random(X.shape) < 0.3))
    elif kind == "float16":
        X = X.astype(np.float16)
    return X, y if n_classes == 2 else (np.arange(M) % n_classes).astype(np.uint8)


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("kind", ["float32", "float16", "float64", "sparse"])
def test_what_a_fit_asks_for_was_foreseen(compiler, kind, n_classes):
    X, y = problem(kind, n_classes)
    LogisticRegression(backend="cupy", solver="newton-subsampled", tol=1e-6).fit(X, y)
    asked, begun = set(compiler.asked), {what[:2] for what in compiler._begun}
    assert len(asked) > 15
    assert len(asked - begun) <= 1, sorted(asked - begun)
    assert len(begun - asked) <= 7, sorted(begun - asked)


def test_a_kernel_that_still_waits_is_compiled_by_who_asks(compiler, monkeypatch):
    """The thread that requests a kernel compiles it if no other thread has begun, whatever waits before
    it."""
    occupied = concurrent.futures.ThreadPoolExecutor(1)
    release, begun = threading.Event(), threading.Event()
    monkeypatch.setattr(compiler, "_threads", lambda: occupied)
    occupied.submit(lambda: begun.set() or release.wait(60))
    assert begun.wait(60)
    compiler.begin({("arrays.cu", "total")})
    try:
        compiler.kernel("arrays.cu", "total")
    finally:
        release.set()
        occupied.shutdown()
    assert fake_cupy.counts["compilations"] == 1


def test_an_error_of_the_compiler_comes_to_who_asks(compiler, monkeypatch):
    def refuse(*_):
        raise RuntimeError("refused")

    monkeypatch.setattr(compiler, "_compile", refuse)
    compiler.begin({("arrays.cu", "total")})
    concurrent.futures.wait(compiler._begun.values(), timeout=60)
    with pytest.raises(RuntimeError, match="refused"):
        compiler.kernel("arrays.cu", "total")
