"""What an evaluation on a GPU costs beside its kernels, and the buffers that a matrix's evaluations share."""

import contextlib
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import scipy.sparse
from cuda_on_cpu import fake_cupy

from conftest import EMULATED, block_of, cpu_or_gpu, draw
from logreg_accel.backends import passes
from logreg_accel.losses import Logistic

pytestmark = pytest.mark.gpu
M, N = 257, 33


@pytest.fixture(autouse=True)
def _device(request):
    """The backend over CuPy or the stand-in."""
    kernels = request.getfixturevalue("emulated_kernels")
    with fake_cupy.in_place_of_cupy(kernels) if EMULATED else contextlib.nullcontext():
        yield


@pytest.fixture
def counts():
    if not EMULATED:
        pytest.skip("only the stand-in for CuPy counts")
    return fake_cupy.counts


def some_passes(seed=0):
    """The passes that read X, at another point for each seed."""
    W, V = np.random.default_rng([seed, 3]).standard_normal((2, N + 1, 1)) / np.sqrt(N)
    loss = Logistic()
    return [
        passes.LossGradient(W, loss, keep_margins=True),
        passes.HessianVector(W, V, loss),
        passes.Diagonal(W, loss),
        passes.Margins(W),
    ]


def matrix_of(kind):
    X, y, s, _ = draw(M, N, "float32", weighted=True)
    if kind == "sparse":
        X = X * (np.random.default_rng(1).random(X.shape) < 0.6)
        return block_of(scipy.sparse.csr_array(X), y, s)
    return block_of(X, y, s)


def bits(backend, pass_, block):
    result = backend.run(pass_, block)
    arrays = (result.value, result.gradient, result.margins) if hasattr(result, "value") else (result,)
    return b"".join(backend.to_host(a).tobytes() if hasattr(a, "get") else a.tobytes() for a in arrays)


@pytest.mark.parametrize("kind, launches", [("dense", [2, 2, 2, 1]), ("sparse", [1, 1, 1, 1])])
def test_an_evaluation_is_a_copy_in_its_launches_a_copy_out_and_one_wait(counts, kind, launches):
    backend = cpu_or_gpu("cupy")
    block = backend.upload(matrix_of(kind))
    for first, again, kernels in zip(some_passes(0), some_passes(1), launches, strict=True):
        backend.run(first, block)
        counts.clear()
        got = backend.run(again, block)
        margins = int(isinstance(again, passes.Margins) or hasattr(got, "margins"))
        expected = {"to the device": 1, "launches": kernels, "waits": 1, "allocations": margins}
        if not isinstance(again, passes.Margins):
            expected |= {"to the host": 1, "calls": int(kind == "sparse")}  # which sets its sums to zero
        assert dict(counts) == {what: count for what, count in expected.items() if count}
        if hasattr(got, "margins"):
            assert isinstance(got.margins, fake_cupy.DeviceArray), "margins stay on the device"


@pytest.mark.parametrize("kind", ["dense", "sparse"])
def test_buffers_that_are_used_again_leave_no_trace(kind):
    """Later evaluations have the bits of the first one, and results that were returned do not change."""
    backend = cpu_or_gpu("cupy")
    alone = [bits(backend, pass_, backend.upload(matrix_of(kind))) for pass_ in some_passes()]
    block = backend.upload(matrix_of(kind))
    kept = backend.run(some_passes()[0], block)
    before = kept.value.copy(), kept.gradient.copy()
    for pass_ in [*some_passes(7), *reversed(some_passes(8))]:
        backend.run(pass_, block)
    np.testing.assert_array_equal(kept.value, before[0])
    np.testing.assert_array_equal(kept.gradient, before[1])
    assert [bits(backend, pass_, block) for pass_ in some_passes()] == alone


@pytest.mark.parametrize("kind", ["dense", "sparse"])
def test_threads_and_streams_take_turns(kind):
    backend = cpu_or_gpu("cupy")
    block, points = backend.upload(matrix_of(kind)), range(8)
    alone = [[bits(backend, pass_, block) for pass_ in some_passes(seed)] for seed in points]
    together = threading.Barrier(4)

    def on_a_stream_of_its_own(seed):
        together.wait(60)
        with backend.xp.cuda.Stream(non_blocking=True):
            return [bits(backend, pass_, block) for pass_ in some_passes(seed)]

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(on_a_stream_of_its_own, points)) == alone


@pytest.mark.parametrize("kind", ["dense", "sparse"])
def test_buffers_go_with_the_matrix(kind):
    """The garbage collector is off: it does not know how much device memory an object holds."""
    backend = cpu_or_gpu("cupy")
    block = backend.upload(matrix_of(kind))
    views = backend.batch(block, 1, 4)
    for part in (block, *views):
        for pass_ in some_passes():
            backend.run(pass_, part)
    workspace = block.X.workspace
    assert all(part.X.workspace is workspace for part in views)
    gone = [weakref.ref(plan) for plan in workspace._plans.values()] + [weakref.ref(workspace)]
    assert len(gone) > 4
    del workspace, block, part
    assert all(there() is not None for there in gone), "views need them"
    del views
    assert not any(there() for there in gone)


def test_plans_and_their_memory_are_bounded():
    backend = cpu_or_gpu("cupy")
    block = backend.upload(matrix_of("dense"))
    pass_ = some_passes()[0]
    for stop in range(40, 80):
        backend.run(pass_, backend.rows(block, slice(0, stop)))
    assert len(block.X.workspace._plans) <= 16
    backend.run(pass_, block)
    assert block.X.workspace._scratch.nbytes < 4 * block.X.nbytes
    assert len(block.X.workspace._plans) == 1, "plans with views of a smaller buffer are made anew"


def test_an_interrupted_evaluation_waits_and_leaves_the_buffers_to_the_next(counts, monkeypatch):
    backend = cpu_or_gpu("cupy")
    block, pass_ = backend.upload(matrix_of("dense")), some_passes()[0]
    expected = bits(backend, pass_, block)

    def interrupted(*arguments):
        raise KeyboardInterrupt

    for plan in block.X.workspace._plans.values():
        monkeypatch.setattr(plan, "summing", interrupted)
    counts.clear()
    with pytest.raises(KeyboardInterrupt):
        backend.run(pass_, block)
    assert counts["waits"] == 1
    monkeypatch.undo()
    assert bits(backend, pass_, block) == expected


def test_a_result_that_is_not_waited_for_is_caught(counts, monkeypatch):
    """The stand-in copies to the host only when the stream is synchronised, so that an early read gives
    zeros."""
    from logreg_accel.backends.cupy import dense

    backend = cpu_or_gpu("cupy")
    block, pass_ = backend.upload(matrix_of("dense")), some_passes()[0]
    expected = backend.run(pass_, block)
    assert expected.value > 0
    block = backend.upload(matrix_of("dense"))
    monkeypatch.setattr(dense, "waited_for", lambda: contextlib.nullcontext(fake_cupy.Stream()))
    assert backend.run(pass_, block).value == 0
