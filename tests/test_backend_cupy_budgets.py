"""What a fit costs the host of a GPU, counted by the stand-in for CuPy, and how strict that stand-in is."""

import ast
import types
import weakref
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse
from cuda_on_cpu import cupy_api, device_array, fake_cupy

import logreg_accel.backends
from conftest import draw
from logreg_accel import LogisticRegression

API = cupy_api.load()
SOURCES = sorted(Path(logreg_accel.backends.__file__).parent.glob("cupy/*.py"))
M, N = 6000, 21  # rows of float32 that are padded

BUDGETS = {  # launches, CuPy's own and ours, and waits
    "newton-subsampled": (71, 19),
    "newton-cholesky": (26, 12),
    "lbfgs": (37, 12),
    "newton-cg": (31, 16),
}


@pytest.fixture
def cupy(emulated_kernels):
    with fake_cupy.in_place_of_cupy(emulated_kernels):
        import cupy

        yield cupy


def names_in(tree):
    """Dotted names that begin with cupy or cupyx: pairs of a room and a name in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            room = ast.unparse(node.value)
            if room == "cupy" or room == "cupyx" or room.startswith("cupy."):
                yield room.removeprefix("cupy.") if room != "cupy" else room, node.attr


def test_cupy_has_what_is_asked_of_it():
    asked = {pair for path in SOURCES for pair in names_in(ast.parse(path.read_text(encoding="utf-8")))}
    known = {(room, name) for room, name in asked if room in API["rooms"]}
    assert len(known) > 25 and ("cuda.runtime", "memcpyAsync") in known
    assert not [(room, name) for room, name in known if name not in API["rooms"][room]]


def test_the_stand_in_has_no_more_than_cupy(emulated_kernels):
    modules = fake_cupy.modules(emulated_kernels)
    for room in ("cupy", "cupyx", "cuda", "cuda.runtime", "cuda.memory", "cuda.nvrtc"):
        found = modules.get(room) or modules["cupy"]
        for part in room.split(".") if room not in modules else []:
            found = getattr(found, part)
        names = {name for name in vars(found) if not name.startswith("_")}
        assert names and names <= set(API["rooms"][room]) | {"scipy"}, room


@pytest.mark.parametrize(
    "misuse, error",
    [
        (lambda x, np_x: x + np_x, TypeError),
        (lambda x, np_x: np.concatenate([x, np_x]), TypeError),
        (lambda x, np_x: x[np_x > 0], TypeError),
        (lambda x, np_x: x.min(initial=0), TypeError),
        (lambda x, np_x: np.block([x, x]), AttributeError),
        (lambda x, np_x: np.matmul(x, x), TypeError),
        (lambda x, np_x: np.add.reduce(x), TypeError),
        (lambda x, np_x: np.ascontiguousarray(x), TypeError),
        (lambda x, np_x: np_x.__setitem__(slice(None), x), TypeError),
        (lambda x, np_x: x.__setitem__(slice(None), np_x), TypeError),
        (lambda x, np_x: np_x @ x, TypeError),
        (lambda x, np_x: x.dumpss, AttributeError),
        (lambda x, np_x: x.tostring(), AttributeError),
    ],
)
def test_what_cupy_refuses_is_refused(cupy, misuse, error):
    plain = np.arange(4.0)
    with pytest.raises(error):
        misuse(cupy.asarray(plain), plain)


def test_numbers_stay_on_the_device_until_they_are_asked_for(cupy):
    x = cupy.asarray(np.arange(4.0))
    fake_cupy.counts.clear()
    for number in (x.sum(), x[1], np.sqrt(x[2]), x.max()):
        assert isinstance(number, device_array.DeviceArray) and number.shape == ()
    assert not fake_cupy.counts["waits"]
    assert float(x.sum()) == 6 and bool((x < 4).all())
    assert fake_cupy.counts["waits"] == fake_cupy.counts["to the host"] == 2
    wide = cupy.asarray(np.ones((6, 5)))
    assert (wide[:, :3] @ cupy.asarray(np.ones(3))).get().tolist() == [3] * 6
    assert fake_cupy.counts["contiguity copies"] == 1


@pytest.mark.parametrize("solver", BUDGETS)
def test_a_fit_keeps_to_its_budget(cupy, solver):
    X, y, _, _ = draw(M, N, "float32")
    there = cupy.asarray(X), cupy.asarray(y)
    fake_cupy.counts.clear()
    fake_cupy.sizes_to_host.clear()
    model = LogisticRegression(tol=1e-6, solver=solver).fit(*there)
    counts, most = fake_cupy.counts, BUDGETS[solver]
    assert model.status_ == "converged" and model.backend_ == "cupy"
    spent = counts["calls"] + counts["launches"], counts["waits"]
    assert all(one <= limit for one, limit in zip(spent, most, strict=True)), spent
    assert counts["contiguity copies"] == 0, "products are those of whole padded rows"
    rows_looked_at = 512 * N
    assert max(fake_cupy.sizes_to_host) <= max(rows_looked_at, M - 1), "nothing with a number a row"


OTHERS = {  # the same of a softmax with 4 classes, and of sparse rows
    ("dense", 4, "newton-subsampled"): (178, 24),
    ("dense", 4, "newton-cholesky"): (69, 9),
    ("sparse", 2, "newton-subsampled"): (180, 94),
    ("sparse", 2, "newton-cholesky"): (58, 36),
    ("sparse", 4, "newton-cholesky"): (266, 94),
}


@pytest.mark.parametrize("kind, n_classes, solver", OTHERS)
def test_fits_of_classes_and_of_sparse_rows_keep_to_theirs(cupy, kind, n_classes, solver):
    X, y, _, _ = draw(M, N, "float32")
    if kind == "sparse":
        X = scipy.sparse.csr_array(X * (np.random.default_rng(0).random(X.shape) < 0.3))
    y = y if n_classes == 2 else (np.arange(M) % n_classes).astype(np.uint8)
    fake_cupy.counts.clear()
    model = LogisticRegression(tol=1e-6, solver=solver, backend="cupy").fit(X, y)
    counts, most = fake_cupy.counts, OTHERS[kind, n_classes, solver]
    spent = counts["calls"] + counts["launches"], counts["waits"]
    assert model.status_ == "converged" and counts["contiguity copies"] == 0
    assert all(one <= limit for one, limit in zip(spent, most, strict=True)), spent


@pytest.fixture
def row_vectors(monkeypatch):
    """Bytes of the arrays on the device that have a number for each of M rows: now, and at most so far."""
    memory, known, init = types.SimpleNamespace(now=0, most=0), set(), device_array.DeviceArray.__init__

    def gone(key, nbytes):
        known.remove(key)
        memory.now -= nbytes

    def made(self, *arguments):
        init(self, *arguments)
        owner = device_array.owner_of(self)
        if owner.size == M and id(owner) not in known:
            known.add(id(owner))
            weakref.finalize(owner, gone, id(owner), owner.nbytes)
            memory.now += owner.nbytes
            memory.most = max(memory.most, memory.now)

    monkeypatch.setattr(device_array.DeviceArray, "__init__", made)
    return memory


@pytest.mark.parametrize("weighted, most", [(False, 29), (True, 45)])
def test_few_bytes_a_row_live_beside_X_and_labels(cupy, row_vectors, weighted, most):
    """They are codes, the margins of two points and masses; with weights, also these in float64."""
    X, y, s, _ = draw(M, N, "float32", weighted=weighted)
    there = [cupy.asarray(array) for array in (X, y, s) if array is not None]
    before = row_vectors.now
    LogisticRegression(tol=1e-6, solver="newton-subsampled").fit(*there)
    assert 0 < row_vectors.most - before <= most * M


def test_a_prediction_keeps_to_its_budget(cupy):
    X, y, _, _ = draw(M, N, "float32")
    there = cupy.asarray(X)
    model = LogisticRegression(tol=1e-6).fit(there, cupy.asarray(y))
    fake_cupy.counts.clear()
    model.predict(there)
    counts = fake_cupy.counts
    # margins, whether they are finite and which class they tell; CuPy fills a number with zeros
    assert counts["launches"] <= 3 and counts["calls"] <= 1 and counts["waits"] <= 3, counts
    assert counts["to the host"] <= 2 and not counts["templates"]
