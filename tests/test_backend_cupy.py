"""The host side of the cupy backend: uploads, memory, transfers. On a GPU, or on a stand-in for CuPy."""

import contextlib
import inspect
import pickle
import textwrap
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from cuda_on_cpu import fake_cupy

from conftest import EMULATED, LAYOUTS, block_of, check_all_passes, check_loss_gradient, cpu_or_gpu, draw
from logreg_accel import LogisticRegression
from logreg_accel.backends import passes
from logreg_accel.losses import Logistic, Multinomial

pytestmark = pytest.mark.gpu


@pytest.fixture
def kernels(request):
    """What was launched; only the stand-in knows."""
    if not EMULATED:
        pytest.skip("a GPU is there, and the stand-in for CuPy is not needed")
    return request.getfixturevalue("emulated_kernels")


@pytest.fixture
def module(request):
    """The backend's module, over CuPy or the stand-in."""
    with (
        fake_cupy.in_place_of_cupy(request.getfixturevalue("emulated_kernels"))
        if EMULATED
        else contextlib.nullcontext()
    ):
        import logreg_accel.backends.cupy as module

        yield module


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["float32", "float16", "int32", "bool"])
def test_uploads_in_pieces_hold_the_same_numbers(module, monkeypatch, dtype, layout):
    """The rows fill several pinned buffers, and are padded where kernels read padding."""
    X, y, s, _ = draw(301, 17, dtype, weighted=True)
    monkeypatch.setattr(module.upload, "_STAGE_BYTES", 16 * X.itemsize * 20)
    block = cpu_or_gpu("cupy").upload(block_of(LAYOUTS[layout](X), y, s))
    np.testing.assert_array_equal(block.X.stored.get(), X)
    np.testing.assert_array_equal(block.y.get(), y)
    assert block.X.columns == (20 if dtype in ("float32", "int32") else 24 if dtype == "float16" else 32)
    padding = block.X.stored.base.get()[:, 17:] if block.X.columns > 17 else np.zeros(0)
    assert not padding.any(), "padding is multiplied by zero weights, and NaN times zero is NaN"


@pytest.mark.parametrize("wait", ["done.synchronize()", "stream.synchronize()"])
def test_uploads_that_do_not_wait_are_caught(module, kernels, monkeypatch, wait):
    """Two faults are planted: a buffer is filled again while it is being copied, and an upload returns before
    its copy is complete."""
    source = inspect.getsource(module.upload.Uploader.send)
    assert source.count(wait) == 1
    scope = {**vars(module.upload), "_STAGE_BYTES": 20 * 4 * 20}
    exec(textwrap.dedent(source.replace(wait, "pass")), scope)
    monkeypatch.setattr(module.upload.Uploader, "send", scope["send"])
    X, y, _, _ = draw(301, 17, "float32")
    assert not np.array_equal(cpu_or_gpu("cupy").upload(block_of(X, y)).X.stored.get(), X)


def test_an_interrupted_upload_waits_for_what_travels(module, kernels, monkeypatch):
    X, y, _, _ = draw(301, 17, "float32")
    monkeypatch.setattr(module.upload, "_STAGE_BYTES", 20 * 4 * 20)
    streams, calls = [], []
    monkeypatch.setattr(
        module.cupy.cuda, "Stream", lambda **k: streams.append(fake_cupy.Stream()) or streams[-1]
    )

    def interrupted(work, lanes, threads):
        calls.append(work)
        if len(calls) == 3:
            raise KeyboardInterrupt
        for lane in range(lanes):
            work(lane)

    monkeypatch.setattr(module.upload, "run_lanes", interrupted)
    with pytest.raises(KeyboardInterrupt):
        cpu_or_gpu("cupy").upload(block_of(X, y))
    assert len(streams) == 1 and not streams[0].waiting


def test_device_arrays_are_read_where_they_are(module):
    X, y, s, W = draw(64, 17, "float32")
    backend = cpu_or_gpu("cupy")
    for there in (
        module.cupy.asarray(X),
        module.cupy.asarray(np.hstack([X, X]))[:, :17],
        module.cupy.asarray(X[:, :1]),
    ):
        block = backend.upload(block_of(there, y))
        assert block.X.stored.data.ptr == there.data.ptr and not backend.notes
        check = W[[*range(block.X.shape[1]), -1]]
        np.testing.assert_allclose(
            backend.run(passes.Margins(check), block).get(),
            there.get() @ check[:-1] + check[-1],
            rtol=1e-4,
            atol=1e-5,
        )


def test_device_arrays_with_gaps_cost_a_copy_and_say_so(module, capsys):
    X, y, _, W = draw(64, 17, "float32")
    there = module.cupy.asarray(np.repeat(X, 2, axis=1))[:, ::2]
    backend = cpu_or_gpu("cupy")
    check_loss_gradient_there(backend, there, X, y, W)
    assert len(backend.notes) == 1 and "stored neither by rows" in backend.notes[0]
    LogisticRegression(verbose=1).fit(there, y)
    assert "copied on the GPU" in capsys.readouterr().err


def check_loss_gradient_there(backend, there, X, y, W):
    got = backend.run(passes.LossGradient(W, Logistic()), backend.upload(block_of(there, y)))
    expected = cpu_or_gpu("numpy").run(passes.LossGradient(W, Logistic()), block_of(X, y))
    np.testing.assert_allclose(got.gradient, expected.gradient, rtol=1e-4, atol=1e-5)


def test_device_data_fits_and_results_are_numpy(module):
    X, y, _, _ = draw(300, 6, "float32")
    there, labels = module.cupy.asarray(X), module.cupy.asarray(y)
    fitted = LogisticRegression().fit(there, labels)
    assert fitted.backend_ == "cupy" and fitted.backend_.reason == "X is on a GPU"
    expected = LogisticRegression(backend="numpy").fit(X, y)
    np.testing.assert_allclose(fitted.coef_, expected.coef_, rtol=1e-4, atol=1e-5)
    for result in (
        fitted.coef_,
        fitted.predict(there),
        fitted.predict_proba(there),
        fitted.decision_function(there),
    ):
        assert type(result) is np.ndarray
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict(X), fitted.predict(there))


class FrameOnTheDevice:
    """What cuDF's DataFrame shows of itself here."""

    def __init__(self, X, columns):
        self.X, self.columns = X, columns

    @property
    def shape(self):
        return self.X.shape

    def to_cupy(self):
        return fake_cupy.asarray(np.asfortranarray(self.X))


def test_frames_on_the_device_go_by_cupy(module, kernels, capsys):
    X, y, _, _ = draw(100, 3, "float32")
    fitted = LogisticRegression(verbose=1).fit(FrameOnTheDevice(X, ["a", "b", "c"]), y)
    assert fitted.backend_ == "cupy" and "copied on the GPU" not in capsys.readouterr().err
    np.testing.assert_allclose(
        fitted.coef_, LogisticRegression(backend="numpy").fit(X, y).coef_, rtol=1e-4, atol=1e-5
    )


def test_margins_beyond_float32_are_found_on_the_device(module):
    X = np.array([[1e30, 0.0], [0.0, 1.0]], dtype=np.float32)
    fitted = LogisticRegression(backend="numpy").fit(np.eye(2, dtype=np.float32), [0, 1])
    fitted.coef_[:] = [[1e30, 1.0]]
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(fitted.predict(module.cupy.asarray(X)), fitted.predict(X))


@pytest.mark.parametrize("dtype, way", [("float64", "float32"), ("float32", "float16")])
def test_what_does_not_fit_says_what_would(module, kernels, monkeypatch, dtype, way):
    X, y, _, _ = draw(1000, 17, dtype)
    monkeypatch.setattr(fake_cupy, "FREE_BYTES", module.upload._SPARE_BYTES + X.nbytes // 2)
    sent = []
    monkeypatch.setattr(module.upload.Uploader, "send", lambda *a: sent.append(a))
    with pytest.raises(
        MemoryError, match=f"`X` needs .* GB of GPU memory .*X.astype\\('{way}'\\).*backend='numba'"
    ):
        LogisticRegression(backend="cupy").fit(X, y)
    assert not sent, "the check comes before the first byte"


def test_margins_of_many_classes_are_counted(module, kernels, monkeypatch):
    from logreg_accel.backends import CUPY_FROM_BYTES, get_backend

    m = CUPY_FROM_BYTES // 16
    monkeypatch.setattr(
        fake_cupy,
        "FREE_BYTES",
        4 * module.bytes_needed(CUPY_FROM_BYTES, m) + 2 * module.CupyBackend.tile_bytes,
    )
    assert get_backend("auto", CUPY_FROM_BYTES, n_rows=m)[1] == "cupy"
    assert get_backend("auto", CUPY_FROM_BYTES, n_rows=m, n_outputs=1000)[1] == "numba"
    X, _, _, _ = draw(1000, 4, "float32")
    y = np.arange(1000) % 100
    monkeypatch.setattr(fake_cupy, "FREE_BYTES", module.bytes_needed(X.nbytes, 1000, 4))
    module.CupyBackend().upload(block_of(X, (y % 2).astype(np.uint8)))
    with pytest.raises(MemoryError, match="GB of GPU memory"):
        module.CupyBackend().upload(block_of(X, y.astype(np.uint8)))


def test_auto_leaves_alone_a_gpu_that_is_too_small(module, kernels, monkeypatch):
    from logreg_accel.backends import CUPY_FROM_BYTES, get_backend

    assert get_backend("auto", CUPY_FROM_BYTES)[1] == "cupy"
    assert get_backend("auto", CUPY_FROM_BYTES, upload=False)[1] == "numba", (
        "one pass does not win an upload back"
    )
    monkeypatch.setattr(fake_cupy, "FREE_BYTES", CUPY_FROM_BYTES)
    assert get_backend("auto", CUPY_FROM_BYTES)[1] == "numba"


def test_what_auto_sends_to_the_gpu_fits_there(module, kernels, monkeypatch):
    """Rows are narrow here, so that labels, weights, margins and padding take several times as much as X."""
    from logreg_accel.backends import get_backend

    for m, n, itemsize in [(150_000_000, 4, 1), (20_000_000, 8, 4), (1_000_000, 8192, 4)]:
        nbytes, columns = m * n * itemsize, -(-n * itemsize // 16) * 16 // itemsize
        for free in np.geomspace(nbytes, 20 * nbytes, 30).astype(int):
            monkeypatch.setattr(fake_cupy, "FREE_BYTES", int(free))
            if get_backend("auto", nbytes, n_rows=m)[1] == "cupy":
                assert module.bytes_needed(m * columns * itemsize, m, columns) <= free


def test_temporaries_that_do_not_fit_are_made_smaller(module, kernels):
    """The array for a Hessian, and the rows that no kernel can read whole, are processed in tiles."""
    X, y, s, W = draw(4000, 30, "float32")
    backend = cpu_or_gpu("cupy")
    block = backend.upload(block_of(X, y))
    refused = []

    def with_little_memory(really):
        def tiles(backend, *arguments, **keywords):
            if backend.tile_bytes > 2 << 20:
                refused.append(backend.tile_bytes)
                raise fake_cupy.OutOfMemoryError("out of memory")
            return really(backend, *arguments, **keywords)

        return tiles

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module.made, "tiles", with_little_memory(module.made.tiles))
        H = backend.run(passes.Hessian(W, Logistic()), block)
    assert len(refused) == 5 and backend.tile_bytes <= 2 << 20
    expected = cpu_or_gpu("numpy").run(passes.Hessian(W, Logistic()), block_of(X.astype(float), y))
    np.testing.assert_allclose(backend.to_host(H), expected, rtol=1e-4, atol=1e-2)

    backend.tile_bytes = module.CupyBackend.tile_bytes
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module.bodies, "tiles", with_little_memory(module.bodies.tiles))
        three = block_of(X, np.arange(4000, dtype=np.uint8) % 3)
        W3, softmax = np.repeat(W, 3, axis=1) * [1, 2, 3], Multinomial(3)
        mean = backend.run(passes.MeanHessian(W3, softmax), backend.upload(three))
        backend.tile_bytes = module.CupyBackend.tile_bytes
        own = backend.run(passes.OwnHessians(W3, softmax), backend.upload(three))
    assert len(refused) == 15
    for found, pass_ in ((mean, passes.MeanHessian), (own, passes.OwnHessians)):
        expected = cpu_or_gpu("numpy").run(pass_(W3, softmax), three)
        np.testing.assert_allclose(backend.to_host(found), expected, rtol=1e-4, atol=1e-2)

    def with_none(backend, block, columns):
        raise fake_cupy.OutOfMemoryError("out of memory")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module.made, "tiles", with_none)
        with pytest.raises(MemoryError, match="even in tiles of 1 MB"):
            backend.run(passes.Hessian(W, Logistic()), block)


def test_labels_and_weights_that_only_numpy_can_fetch(module):
    class Elsewhere:
        """A vector on the device as JAX shows it."""

        def __init__(self, array):
            self.array = array
            self.dtype, self.shape = array.dtype, array.shape

        def __len__(self):
            return len(self.array)

        def __array__(self, dtype=None, copy=None):
            return np.array(self.array, dtype=dtype)

        def __dlpack__(self, **kwargs):
            raise BufferError("on a GPU")

        def __dlpack_device__(self):
            return 2, 0

    X, y, s, _ = draw(100, 3, "float32", weighted=True)
    fitted = LogisticRegression().fit(module.cupy.asarray(X), Elsewhere(y), sample_weight=Elsewhere(s))
    np.testing.assert_allclose(fitted.coef_, LogisticRegression().fit(X, y, s).coef_, rtol=1e-4, atol=1e-5)


def test_complex_device_arrays_are_refused(module):
    with pytest.raises(ValueError, match="Complex data not supported"):
        LogisticRegression().fit(module.cupy.asarray(np.ones((4, 2), dtype=np.complex64)), [0, 1, 0, 1])


def test_wider_floats_than_cuda_has_are_sent_as_float64(module):
    X, y, _, _ = draw(50, 3)
    fitted = LogisticRegression(backend="cupy").fit(X.astype(np.longdouble), y)
    np.testing.assert_allclose(fitted.coef_, LogisticRegression().fit(X, y).coef_, rtol=1e-7)


def on_device_1(module, X):
    with module.cupy.cuda.Device(1):
        return module.cupy.asarray(X)


def test_an_array_on_another_gpu_is_refused(module, kernels):
    X, y, _, _ = draw(10, 3, "float32")
    there = on_device_1(module, X)
    for part in (there, there[2:], there.T.reshape(10, 3)):
        with pytest.raises(ValueError, match="`X` lies on <CUDA Device 1> .*cupy.cuda.Device\\(1\\)"):
            LogisticRegression(backend="cupy").fit(part, y[: len(part)])


@pytest.mark.parametrize("kind", ["float32", "float64"])
def test_labels_and_weights_on_another_gpu_come_by_way_of_the_host(module, kernels, kind):
    X, y, s, _ = draw(300, 5, "float32", weighted=True)
    X, s = module.cupy.asarray(X), s.astype(kind)
    there = [on_device_1(module, part) for part in (y, s)]
    got = LogisticRegression(backend="cupy", solver="newton-cg").fit(X, *there)
    here = LogisticRegression(backend="cupy", solver="newton-cg").fit(X, y, s)
    np.testing.assert_array_equal(got.coef_, here.coef_)


@pytest.mark.parametrize("own_stream", [False, True])
@pytest.mark.parametrize("solver", ["newton-cholesky", "newton-cg", "lbfgs", "newton-subsampled"])
def test_a_fit_on_another_gpu_stays_there(module, kernels, solver, own_stream):
    """No kernel and no product uses memory of the first device, on which an earlier fit ran."""
    X, y, _, _ = draw(300, 5, "float32")
    here = LogisticRegression(backend="cupy", solver=solver).fit(module.cupy.asarray(X), y)
    there = on_device_1(module, X)
    cuda = module.cupy.cuda
    with cuda.Device(1), cuda.Stream(non_blocking=True) if own_stream else contextlib.nullcontext():
        model = LogisticRegression(backend="cupy", solver=solver).fit(there, y)
        np.testing.assert_array_equal(model.coef_, here.coef_)
        np.testing.assert_array_equal(model.predict(there), here.predict(X))


def test_the_stand_in_sees_memory_of_another_gpu(module, kernels):
    X, y, _, W = draw(30, 5, "float32")
    backend = cpu_or_gpu("cupy")
    block = backend.upload(block_of(X, y))
    with (
        module.cupy.cuda.Device(1),
        pytest.raises(AssertionError, match="of a device that is not the current"),
    ):
        backend.run(passes.LossGradient(W, Logistic()), block)


@pytest.mark.parametrize("n, outputs", [(24_580, 1), (5, 17)])
def test_what_no_kernel_covers_runs_in_tiles(module, kernels, n, outputs):
    X, y, s, _ = draw(9, n, "float32", weighted=True)
    W = np.random.default_rng(0).standard_normal((n + 1, outputs)) / np.sqrt(n)
    before = len(kernels.launched)
    backend = cpu_or_gpu("cupy")
    got = backend.run(
        passes.LossGradient(W, Logistic(), keep_margins=True), backend.upload(block_of(X, y, s))
    )
    assert not any(launch.kernel.startswith("dense") for launch in kernels.launched[before:])
    expected = cpu_or_gpu("numpy").run(
        passes.LossGradient(W, Logistic(), keep_margins=True), block_of(X.astype(float), y, s)
    )
    np.testing.assert_allclose(got.gradient, expected.gradient, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(got.margins.get(), expected.margins, rtol=1e-4, atol=1e-4)


def test_fits_side_by_side(module):
    problems = [draw(100 + 10 * i, 5, "float32", seed=i) for i in range(6)]
    alone = [LogisticRegression(backend="cupy").fit(X, y).coef_.tobytes() for X, y, _, _ in problems]
    with ThreadPoolExecutor(3) as pool:
        together = list(
            pool.map(lambda p: LogisticRegression(backend="cupy").fit(p[0], p[1]).coef_.tobytes(), problems)
        )
    assert alone == together


def test_a_kernel_that_counts_wrong_is_no_usable_backend(module, monkeypatch):
    module.probe()
    wrong = {key: lambda *_: passes.Sums(np.ones(1), np.ones((2, 1))) for key in module.CupyBackend.kernels}
    monkeypatch.setattr(module.CupyBackend, "kernels", wrong)
    with pytest.raises(RuntimeError, match="wrong result"):
        module.probe()


def test_several_blocks_of_rows(module):
    X, y, s, W = draw(100, 7, weighted=True)
    backend = cpu_or_gpu("cupy")
    check_all_passes(backend, X[:60], y[:60], s[:60], W)
    check_loss_gradient(backend, X[60:], y[60:], s[60:], W)
