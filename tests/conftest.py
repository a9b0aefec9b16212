"""Lists that every test file shares, each built once: backends, dtypes, layouts, problems."""

import gc
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

# OpenBLAS reads it when NumPy is imported: idle threads sleep at once. By default they spin for a while after
# every product and take the cores from tests and compilers that run beside. Fewer threads would do as well,
# but tests are to run on those that a user has.
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")

import ml_dtypes  # noqa: F401  np.dtype("bfloat16") from here on
import numpy as np
import pytest
import scipy.sparse
from cuda_on_cpu import fake_cupy
from cuda_on_cpu.emulator import why_not
from cuda_on_cpu.foreseen import foresee

from logreg_accel import LogisticRegression, scan
from logreg_accel.backends import ahead, get_backend, unusable
from logreg_accel.certificate import Certificate
from logreg_accel.losses import Logistic
from logreg_accel.rows import MemoryRows
from logreg_accel.solvers import questions

pytest.register_assert_rewrite("reference")  # its asserts tell what they compared, as those of a test do

from reference import Reference, block_of, check_all_passes, check_loss_gradient  # noqa: E402, F401

CPU_BACKENDS = ["numpy", "numba"]


@pytest.fixture(autouse=True)
def nothing_compiled_ahead():
    """What `logreg-accel doctor --warm` has left on this machine decides nothing here."""
    ahead.compiled_ahead.cache_clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ahead, "marker", lambda: None)
        ahead.compiled_ahead()
    yield
    ahead.compiled_ahead.cache_clear()


# where there is no GPU the cupy backend runs on a stand-in for CuPy and its kernels on the CPU
EMULATED = unusable("cupy") is not None
if EMULATED and os.environ.get("LOGREG_ACCEL_REQUIRE_GPU"):
    raise RuntimeError(f"LOGREG_ACCEL_REQUIRE_GPU is set and the cupy backend cannot run: {unusable('cupy')}")
if (
    os.environ.get("LOGREG_ACCEL_NO_POOL") and not EMULATED
):  # under a memory checker every array has bounds of its own
    import cupy

    cupy.cuda.set_allocator(None)
BACKENDS = [
    *CPU_BACKENDS,
    pytest.param("cupy", marks=pytest.mark.gpu, id="cupy-emulated" if EMULATED else "cupy"),
]
DTYPES = [
    "float64",
    "float32",
    "float16",
    "bfloat16",
    "int64",
    "int32",
    "int16",
    "uint16",
    "int8",
    "uint8",
    "bool",
]
FLOATS = ["float64", "float32"]
COMPILED = {"float64", "float32"}  # each takes Numba some 3 s a layout; the others are compiled by `-m slow`


def backends_and(dtypes):
    """Every backend with every dtype."""
    slow = [pytest.mark.slow]
    return [
        pytest.param(*name.values, dtype, marks=name.marks, id=f"{name.id}-{dtype}")
        if hasattr(name, "marks")
        else pytest.param(
            name, dtype, marks=slow if name == "numba" and dtype not in COMPILED else [], id=f"{name}-{dtype}"
        )
        for name in BACKENDS
        for dtype in dtypes
    ]


def _wider(X):
    wide = np.full((X.shape[0], X.shape[1] + 3), 77, dtype=X.dtype)
    wide[:, 1 : 1 + X.shape[1]] = X
    return wide[:, 1 : 1 + X.shape[1]]


def _spread(X):
    wide = np.full((2 * X.shape[0], 3 * X.shape[1]), 77, dtype=X.dtype)
    wide[::2, ::3] = X
    return wide[::2, ::3]


def _read_only(X):
    X = X.copy()
    X.flags.writeable = False
    return X


def _memory_mapped(X, folder):
    np.save(folder / "X.npy", X)
    return np.load(folder / "X.npy", mmap_mode="r")


LAYOUTS = {
    "C": lambda X: np.ascontiguousarray(X),
    "Fortran": lambda X: np.asfortranarray(X),
    "columns of a wider table": _wider,
    "every second row, every third column": _spread,
    "rows and columns reversed": lambda X: np.ascontiguousarray(X[::-1, ::-1])[::-1, ::-1],
    "read-only": _read_only,
    "swapped bytes": lambda X: X.astype(X.dtype.newbyteorder()),
}


def _repeated(X):
    """Every entry as two halves of it, in an order of no meaning."""
    halves = scipy.sparse.coo_array(X)
    order = np.random.default_rng(0).permutation(2 * halves.nnz)
    rows, columns = (np.tile(a, 2)[order] for a in halves.coords)
    X = scipy.sparse.csr_array((np.tile(halves.data / 2, 2)[order], (rows, columns)), shape=X.shape)
    counts = np.bincount(rows, minlength=X.shape[0])
    by_row = np.argsort(rows, kind="stable")
    return scipy.sparse.csr_array(
        (np.tile(halves.data / 2, 2)[order][by_row], columns[by_row], np.append(0, counts.cumsum())),
        shape=X.shape,
    )


def _unsorted(X):
    X = scipy.sparse.csr_array(X)
    order = np.concatenate([np.arange(a, b)[::-1] for a, b in zip(X.indptr[:-1], X.indptr[1:], strict=True)])
    return scipy.sparse.csr_array((X.data[order], X.indices[order], X.indptr), shape=X.shape)


def _int64_indices(X):
    X = scipy.sparse.csr_array(X)
    X.indices, X.indptr = X.indices.astype(np.int64), X.indptr.astype(np.int64)
    return X


SPARSE = {
    "csr_array": scipy.sparse.csr_array,
    "csr_matrix": scipy.sparse.csr_matrix,
    "64-bit indices": _int64_indices,
    "unsorted": _unsorted,
    "repeated entries": _repeated,
    "csc": scipy.sparse.csc_array,
    "coo": scipy.sparse.coo_matrix,
}

# rows: none, one, around four at a time, around a tile (1024 rows up to 64 features, fewer beyond) and more
# than one lane; columns: one, odd, a vector's width
SHAPES = [
    (0, 3),
    (1, 1),
    (1, 5),
    (3, 1),
    (4, 8),
    (5, 2),
    (31, 33),
    (1023, 3),
    (1024, 7),
    (1025, 16),
    (656, 100),
    (3000, 257),
]


def draw(m, n, dtype="float64", seed=0, weighted=False):
    """X, y, s, W of a random problem whose values every dtype holds."""
    rng = np.random.default_rng([seed, m, n])
    dtype = np.dtype(dtype)
    if dtype.kind == "f" or dtype.name == "bfloat16":
        X = rng.standard_normal((m, n)).astype(dtype)
    else:
        X = rng.integers(0 if dtype.kind in "ub" else -5, 2 if dtype.kind == "b" else 6, (m, n)).astype(dtype)
    y = (rng.random(m) < 0.4).astype(np.uint8)
    s = rng.random(m) * 3 * (rng.random(m) < 0.9) if weighted else None
    W = rng.standard_normal((n + 1, 1)) / np.sqrt(n)
    return X, y, s, W


def rows_of(X, y, s=None, name="numpy", blocks=1, n_classes=2):
    """Rows in memory, in some blocks."""
    cuts = np.linspace(0, X.shape[0], blocks + 1).astype(int)
    parts = [
        block_of(X[a:b], y[a:b], None if s is None else s[a:b]) for a, b in zip(cuts, cuts[1:], strict=False)
    ]
    return MemoryRows(parts, cpu_or_gpu(name), n_classes)


def chunked(X, y, s=None, step=1100, **options):
    """A source of the rows, some at a time."""

    def chunks():
        for a in range(0, X.shape[0], step):
            rows = slice(a, a + step)
            yield (X[rows], y[rows]) if s is None else (X[rows], y[rows], s[rows])

    return scan(chunks, **options)


def evaluate(objective, w):
    """The Point at w, with margins."""
    return objective.answer(questions.Evaluate(w))


def bound_on(objective, point):
    """The certificate's bound on the suboptimality of a point."""
    start = objective.start(point.w)
    asked, answer = Certificate(objective.penalty, start, 0.0, lambda: np.inf).bound(point), None
    while True:
        try:
            question = asked.send(answer)
        except StopIteration as end:
            return end.value
        answer = (getattr(question, "on", None) or objective).answer(question)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """With `-n` a file's tests stay with one process: two of them would compile the same loops at once.

    Files go in their order: by the number of their tests, long ones with few tests would come last.
    """
    from xdist.scheduler import LoadFileScheduling

    config.option.loadscopereorder = False
    return LoadFileScheduling(config, log) if config.option.dist == "load" else None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """Files with tests on the stand-in come after a third of the others, during which it is compiled."""
    waiting = {item.path for item in items if EMULATED and _on_stand_in(item)}
    others = list(dict.fromkeys(item.path for item in items if item.path not in waiting))
    third = len(others) // 3
    places = {path: i for i, path in enumerate([*others[:third], *sorted(waiting), *others[third:]])}
    items.sort(key=lambda item: places[item.path])


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """What is imported stays: while it grows, Python would look for garbage among it again and again."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


_early = {}


def pytest_collection_finish(session):
    """Compilers and other processes that tests wait for run beside the tests, on another core.

    A test module names them: EARLY maps a fixture to what prepares it; the fixture returns early(its name).
    """
    if session.config.option.collectonly:
        return
    gc.collect()
    gc.freeze()  # all that is imported stays, and every collection would go over it again
    pool = ThreadPoolExecutor(1)
    for item in session.items:
        wanted = {"emulated_kernels": _emulated_kernels} if EMULATED and _on_stand_in(item) else {}
        wanted |= {
            name: work
            for name, work in getattr(item.module, "EARLY", {}).items()
            if name in item.fixturenames
        }
        for name, work in wanted.items():
            assert _early.setdefault(name, (work, None))[0] is work, f"two test modules prepare a {name!r}"
            if _early[name][1] is None:
                _early[name] = (work, pool.submit(work))
    pool.shutdown(wait=False)


def _on_stand_in(item):
    return item.get_closest_marker("gpu") or "emulated_kernels" in item.fixturenames


def early(name):
    return _early[name][1].result()


def _emulated_kernels():
    if why_not():
        pytest.skip(f"cupy: {unusable('cupy')}; {why_not()}")
    kernels = fake_cupy.Kernels()
    foresee(kernels, {n for _, n in SHAPES})
    return kernels


@pytest.fixture(scope="session")
def emulated_kernels():
    """The kernels of the cupy backend, compiled for the CPU; None where there is a GPU."""
    return early("emulated_kernels") if EMULATED else None


@pytest.fixture(autouse=True)
def _emulation_where_there_is_no_gpu(request):
    """Tests of the cupy backend run everywhere."""
    parameters = getattr(getattr(request.node, "callspec", None), "params", {})
    if EMULATED and parameters.get("name") == "cupy":
        with fake_cupy.in_place_of_cupy(request.getfixturevalue("emulated_kernels")):
            yield
    else:
        yield


def cpu_or_gpu(name):
    """A backend by its name."""
    return get_backend(name, nbytes=0)[0]


@pytest.fixture
def cupy(emulated_kernels):
    """The cupy backend, on a GPU or on the stand-in for CuPy."""
    if not EMULATED:
        yield cpu_or_gpu("cupy")
        return
    with fake_cupy.in_place_of_cupy(emulated_kernels):
        yield cpu_or_gpu("cupy")


@pytest.fixture
def loss():
    return Logistic()


@pytest.fixture
def saved(tmp_path):
    """The file of a small model."""
    X, y, _, _ = draw(60, 3)
    path = tmp_path / "model.npz"
    LogisticRegression(C=2.0).fit(X, y).save(path)
    return path


@pytest.fixture(scope="session")
def real_data():
    """The folder of larger real data sets, named by LOGREG_ACCEL_DATA."""
    folder = os.environ.get("LOGREG_ACCEL_DATA")
    if not folder:
        pytest.skip("LOGREG_ACCEL_DATA does not name the folder of real data")
    return Path(folder)
