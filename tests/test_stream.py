"""Fits on rows that are read from blocks: those in memory are the reference, and memory decides no bit."""

import glob
import os
import subprocess
import sys
import warnings

import numpy as np
import pytest
import scipy.sparse

from conftest import chunked, cpu_or_gpu, draw
from logreg_accel import LogisticRegression, Objective, scan, streaming
from logreg_accel.backends import NUMBA_FROM_BYTES, passes
from logreg_accel.data import packed
from logreg_accel.losses import loss_of
from logreg_accel.penalty import Penalty
from logreg_accel.rows import MemoryRows, StreamRows, cache, checked, opened, stream
from logreg_accel.rows.checked import checksums_for
from logreg_accel.solvers import newton_subsampled
from logreg_accel.solvers.memory import needed

M = 6000


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(packed, "BLOCK", 1 << 15)


@pytest.fixture
def short_of_memory(monkeypatch):
    """Nothing stays in memory, neither blocks nor row vectors."""
    monkeypatch.setattr(cache, "RESIDENT", 0.0)
    monkeypatch.setattr(cache, "TOGETHER", 0.0)
    monkeypatch.setattr(stream, "VECTORS", 0.0)


def problem(kind):
    X, y, s, _ = draw(M, 8, weighted=True)
    rng = np.random.default_rng(3)
    y = (X @ rng.standard_normal(8) + rng.standard_normal(M) > 0.5).astype(int)
    if kind == "float32":
        X = X.astype(np.float32)
    if kind == "sparse":
        X = scipy.sparse.csr_array(np.where(abs(X) > 1, X, 0))
    if kind == "far":
        X = X + 1e6 * np.arange(8)
    if kind == "classes":
        y = np.array(["low", "mid", "top"])[y + (X[:, 0] > 0.3)]
    return X, y, s


SETTINGS = {
    "float64": {},
    "float32": {"solver": "newton-subsampled"},  # by the same solver: tol is no nearer than rounding
    "sparse": {"C": 0.1},
    "far": {},
    "classes": {"class_weight": {"low": 2.0, "top": 0.5}},
    "weights": {"class_weight": "balanced"},
    "l1": {"l1_ratio": 1.0, "C": 0.01},
    "no penalty": {"C": np.inf},
    "lbfgs": {"solver": "lbfgs", "fit_intercept": False},
    "newton-cg": {"solver": "newton-cg", "l1_ratio": 0},
    "fista": {"solver": "fista", "l1_ratio": 0.5, "C": 0.05},
}


@pytest.mark.parametrize("kind", SETTINGS)
def test_a_fit_is_that_in_memory(kind):
    X, y, s = problem(kind)
    s = s if kind in ("weights", "classes") else None
    model = LogisticRegression(tol=1e-13 if kind != "float32" else 1e-9, **SETTINGS[kind])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        expected = model.fit(X, y, s)
        coef, intercept, passes_ = expected.coef_, expected.intercept_, expected.n_passes_
        model.fit(chunked(X, y, s))
    scale = abs(coef).max()
    exact = 1e-6 if kind == "fista" else 1e-7  # of the first order
    np.testing.assert_allclose(model.coef_, coef, rtol=0, atol=exact * scale)
    np.testing.assert_allclose(model.intercept_, intercept, rtol=1e-7, atol=1e-6 * scale)
    assert model.suboptimality_bound_ <= model.tol or model.status_ != "converged"
    assert list(model.classes_) == list(np.unique(y)) and model.n_features_in_ == 8
    assert model.n_passes_ <= passes_ + 6  # rows are drawn by the piece, and pieces of small blocks hold many


@pytest.mark.parametrize("kind", ["float32", "classes", "l1", "sparse"])
def test_memory_decides_no_bit(kind, short_of_memory, monkeypatch):
    X, y, s = problem(kind)
    model = LogisticRegression(**SETTINGS[kind])
    few = model.fit(chunked(X, y, s))
    known = few.coef_, few.intercept_, few.n_passes_, few.suboptimality_bound_
    for share in (0.0007, 0.5):
        monkeypatch.setattr(cache, "RESIDENT", share)
        monkeypatch.setattr(stream, "VECTORS", share)
        model.fit(chunked(X, y, s))
        for one, other in zip(
            (model.coef_, model.intercept_, model.n_passes_, model.suboptimality_bound_), known, strict=True
        ):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("layout", ["dense", "sparse"])
@pytest.mark.parametrize("name", ["numpy", "numba"])
def test_every_pass_is_that_in_memory(name, layout, short_of_memory):
    X, y, s = problem("sparse" if layout == "sparse" else "float64")
    y, backend = y.astype(np.uint8), cpu_or_gpu(name)
    labelled = chunked(X, y, s)
    rng = np.random.default_rng(0)
    W, V = rng.standard_normal((2, 9, 1))
    loss = loss_of(2)
    with opened(labelled) as streamed:
        rows = StreamRows(streamed, backend)
        from logreg_accel.data import as_labelled

        memory = MemoryRows([as_labelled(X, y, s).block], backend)
        assert rows.weight_sum == pytest.approx(memory.weight_sum, rel=1e-13)
        assert rows.least_weight == memory.least_weight
        for pass_ in (
            passes.HessianVector(W, V, loss),
            passes.Hessian(W, loss),
            passes.MeanHessian(W, loss),
            passes.OwnHessians(W, loss),
            passes.Diagonal(W, loss),
            passes.ColumnSquares(),
        ):
            np.testing.assert_allclose(rows.sum(pass_), memory.sum(pass_), rtol=1e-11, atol=1e-9)
        for of in (passes.Margins(W), passes.RowSquares(np.ones(8))):
            one, other = (r.to_host(r.sum(of)) for r in (rows, memory))
            np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)
        here, there = (
            [r.sum(passes.LossGradient(w, loss, keep_margins=True, diagonal=True)) for r in (rows, memory)]
            for w in (W, W + V)
        )
        for field in ("value", "gradient", "diagonal"):
            np.testing.assert_allclose(*(getattr(sums, field) for sums in here), rtol=1e-11, atol=1e-9)
        for make in (
            lambda i: passes.Line(here[i].margins, there[i].margins, 0.3, loss),
            lambda i: passes.MarginChange(here[i].margins, there[i].margins, loss),
        ):
            one, other = rows.sweep(make(0)), memory.sweep(make(1))
            np.testing.assert_allclose(one, other, rtol=1e-11)
        masses = [
            r.sweep(passes.CurvatureMass(sums.margins, loss))
            for r, sums in zip((rows, memory), here, strict=True)
        ]
        for by in (None, masses):
            one, other = (r.draw(500, 3, None if by is None else by[i]) for i, r in enumerate((rows, memory)))
            assert one.n_rows == other.n_rows  # the same rows, and the same weights
            a, b = (d.sum(passes.LossGradient(W, loss)) for d in (one, other))
            np.testing.assert_allclose(a.gradient, b.gradient, rtol=1e-9, atol=1e-9)


def test_some_rows_are_those_rows(short_of_memory):
    """Sparse rows without entries, and rows at the ends of blocks and pieces, are among them."""
    X, y, s = problem("sparse")
    X = X.toarray()
    X[::7] = X[-1] = 0
    for stored in (X, scipy.sparse.csr_array(X)):
        with opened(chunked(stored, y, s)) as streamed:
            rng = np.random.default_rng(0)
            for rows in ([0], [M - 1], [7, 14], [0, 511, 512, 1699, 1700, M - 1], rng.permutation(M)[:300]):
                rows = np.sort(rows)
                got, codes, weights = streamed.store.some(rows)
                np.testing.assert_array_equal(got.to_dense(), X[rows])
                np.testing.assert_array_equal(streamed.beside(codes, None)[0], y[rows])
                np.testing.assert_array_equal(weights, s[rows])


def test_checksums_of_some_pieces():
    """They are those of all pieces at these places, also of a last piece that is not full."""
    rng = np.random.default_rng(0)
    for size in (64, packed.PIECE, 9 * packed.PIECE, 40 * packed.PIECE + 192):
        buffer = packed.buffer_of(size)
        buffer[:] = rng.integers(256, size=size)
        whole = packed.checksums(buffer)
        compiled = checksums_for(NUMBA_FROM_BYTES)
        np.testing.assert_array_equal(compiled(buffer), whole)
        for _ in range(20):
            pieces = np.flatnonzero(rng.random(len(whole)) < rng.random())
            if not len(pieces):
                continue
            np.testing.assert_array_equal(packed.checksums(buffer, pieces), whole[pieces])
            np.testing.assert_array_equal(compiled(buffer, pieces), whole[pieces])
            runs = packed.runs(pieces)
            held = np.concatenate([np.arange(first, end) for first, end in runs])
            assert np.isin(pieces, held).all() and set(pieces) >= set(runs[:, 0]) | set(runs[:, 1] - 1)
            buffer[pieces[-1] * packed.PIECE] ^= 1
            changed = packed.checksums(buffer, pieces) != whole[pieces]
            assert changed[-1] and not changed[:-1].any()
            buffer[pieces[-1] * packed.PIECE] ^= 1


def test_checksums_of_numbers_with_other_signs():
    """A change of sign in any number of words shows, in every width of a number."""
    for dtype in (np.float64, np.float32, np.int8):
        numbers = np.random.default_rng(0).integers(1, 99, packed.PIECE).astype(dtype)
        for size in (2, 100, len(numbers)):
            changed = numbers.copy()
            changed[:size] *= -1
            for find in (packed.checksums, checksums_for(NUMBA_FROM_BYTES)):
                assert (find(numbers.view(np.uint8)) != find(changed.view(np.uint8)))[0]
            assert packed.fingerprint(numbers) != packed.fingerprint(changed)


def test_the_objective_of_blocks_in_pieces():
    """Blocks are never joined across files, and their size depends only on the size of a row."""
    X, y, _ = problem("float64")
    for step in (M, 1700, 100):
        with opened(chunked(X, y, step=step)) as streamed:
            assert [rows for rows, _ in streamed.store.layouts][:-1] == [512] * (M // 512)
            objective = Objective(StreamRows(streamed, cpu_or_gpu("numpy")), loss_of(2), Penalty(0.1))
            w = np.arange(9.0) / 9
            expected = Objective.from_arrays(X, y, C=np.inf).value_and_gradient(w)[0] + 0.05 * (w[:8] @ w[:8])
            assert objective.value_and_gradient(w)[0] == pytest.approx(expected, rel=1e-12)


# -- labels --------------------------------------------------------------------------------------------------


def parts(tmp_path, *labels):
    for i, y in enumerate(labels):
        X = np.random.default_rng(i).standard_normal((len(y), 2))
        np.savez(tmp_path / f"{i}.npz", X=X, y=np.array(y))
    return tmp_path / "*.npz"


def test_labels_that_come_up_later(tmp_path):
    pattern = parts(tmp_path, [0, 0, 0], [1, 1, 0], [0, 1, 2])
    with pytest.raises(ValueError, match=r"2.npz' has the label 2 in row 2, .* \[0, 1\].*classes=\[0, 1, 2"):
        LogisticRegression().fit(scan(pattern))
    assert list(LogisticRegression().fit(scan(pattern, classes=[2, 1, 0])).classes_) == [0, 1, 2]
    with pytest.raises(ValueError, match="no row has the labels .5"):
        LogisticRegression().fit(scan(pattern, classes=[2, 1, 0, 5]))


@pytest.mark.parametrize(
    "labels, message",
    [
        (([0, 1], ["a", "b"]), "1.npz', row 0: the label 'a' is one of text"),
        (([0.0, 1.0], [0.0, np.nan]), "1.npz' has no label .* in row 1"),
        (([0.5, 1.25, 3.75], [0.1, 0.2]), "continuous|1.npz' has the label"),
        (([1, 1], [1]), "only one class"),
    ],
)
def test_labels_that_cannot_be_used(tmp_path, labels, message):
    with pytest.raises(ValueError, match=message):
        LogisticRegression().fit(scan(parts(tmp_path, *labels)))


def test_what_is_refused_before_the_first_read():
    X, y, s = problem("float64")

    def never():
        raise AssertionError("was read")
        yield

    for fit, message in (
        (lambda: LogisticRegression().fit(scan(never), y), "`y` is given beside a source"),
        (lambda: LogisticRegression(solver="sgd").fit(scan(never)), "`solver` is 'sgd'"),
        (lambda: LogisticRegression(C=-1).fit(scan(never)), "`C`"),
    ):
        with pytest.raises((ValueError, TypeError), match=message):
            fit()
    with pytest.raises(ValueError, match="the weight -1.0 in row 3000"):
        LogisticRegression().fit(chunked(X, y, np.where(np.arange(M) == 3000, -1.0, 1.0)))
    with pytest.raises(MemoryError, match="needs .* beside the blocks, and `memory`"):
        wide = np.zeros((100, 3000))
        wide[:, 0] = np.arange(100)
        LogisticRegression(solver="newton-cholesky").fit(chunked(wide, np.arange(100) % 2, memory="100MB"))


def test_auto_takes_what_the_memory_has_room_for():
    """A Hessian of 1,600 parameters takes 20 MB several times, whereas products take vectors."""
    rng = np.random.default_rng(0)
    X = scipy.sparse.random_array((4000, 1600), density=0.003, rng=rng, format="csr")
    y = (X[:, :3].sum(axis=1) + rng.standard_normal(4000) > 0.3).astype(int)
    roomy, tight = (
        LogisticRegression(backend="numpy").fit(chunked(X, y, memory=memory)) for memory in ("1GB", "100MB")
    )
    assert roomy.solver_ == tight.solver_ == "newton-cg" and "too little" in tight.solver_.reason
    assert tight.status_ == "converged"
    np.testing.assert_allclose(tight.coef_, roomy.coef_, atol=1e-4)


def test_a_smaller_sample_is_taken_before_another_solver(monkeypatch):
    """A sample of 25 rows per parameter in place of 91 takes about as few reads to the same optimum."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((141_000, 30)).astype(np.float32)
    y = (X[:, :3].sum(axis=1) + rng.logistic(size=len(X)) > 0).astype(int)
    roomy = LogisticRegression(backend="numba").fit(chunked(X, y))
    fewer = newton_subsampled(rows_per_parameter=25)
    monkeypatch.setattr(streaming, "_room", lambda labelled, k: needed(fewer, streaming._shape(labelled, k)))
    tight = LogisticRegression(backend="numba").fit(chunked(X, y))
    assert roomy.solver_ == tight.solver_ == "newton-subsampled"
    assert (
        "more than 25 rows per parameter" in tight.solver_.reason and "too little" not in roomy.solver_.reason
    )
    assert tight.n_passes_ <= roomy.n_passes_ + 2 and tight.status_ == "converged"
    np.testing.assert_allclose(tight.coef_, roomy.coef_, atol=1e-4)


# -- the cache -----------------------------------------------------------------------------------------------


@pytest.fixture
def npy(tmp_path):
    """A source of files with a cache, and the model that it gives."""
    X, y, _ = problem("float32")
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "y.npy", y)
    files = {"data": tmp_path / "X.npy", "target": tmp_path / "y.npy", "cache": tmp_path / "cache"}
    return files, LogisticRegression().fit(scan(**files)).coef_


def only(folder, name):
    (found,) = glob.glob(os.path.join(folder, "logreg_accel-*", name))
    return found


def test_the_next_fit_finds_the_cache(npy, monkeypatch):
    files, coef = npy
    monkeypatch.setattr("logreg_accel.data.scan.Source.pieces", None)  # nothing is decoded
    np.testing.assert_array_equal(LogisticRegression().fit(scan(**files)).coef_, coef)


def test_a_changed_input_is_noticed(npy):
    """Its size is the same, and its modification time is set back."""
    files, coef = npy
    X, before = np.load(files["data"]), os.stat(files["data"])
    X[17, 3] += 100
    np.save(files["data"], X)
    os.utime(files["data"], ns=(before.st_atime_ns, before.st_mtime_ns))
    changed = LogisticRegression().fit(scan(**files)).coef_
    assert abs(changed - coef).max() > 1e-6
    np.testing.assert_array_equal(changed, LogisticRegression().fit(scan(**files | {"cache": None})).coef_)


@pytest.mark.parametrize("name", ["blocks", checked.INDEX])
def test_damage_is_an_error_or_repaired(npy, name, short_of_memory):
    """After any cut or flipped bit there is the same model, or an error that says what to do."""
    files, coef = npy
    rng, outcomes = np.random.default_rng(0), set()
    for trial in range(14):
        path = only(files["cache"], name)
        whole = bytearray(open(path, "rb").read())
        if trial < 4:
            whole = whole[: int(len(whole) * trial / 4)]
        else:
            whole[rng.integers(len(whole))] ^= 1 << rng.integers(8)
        open(path, "wb").write(whole)
        try:
            got = LogisticRegression().fit(scan(**files)).coef_
        except OSError as error:
            assert "damaged" in str(error) and "next fit makes it again" in str(error)
            outcomes.add("error")
            got = LogisticRegression().fit(scan(**files)).coef_
        np.testing.assert_array_equal(got, coef)
    assert outcomes == ({"error"} if name == "blocks" else set())


def test_damage_below_a_fit_under_way(npy, short_of_memory):
    files, _ = npy

    def cut(record, w):
        if record.n_iter == 0:
            os.truncate(only(files["cache"], "blocks"), 100_000)

    with pytest.raises(OSError, match="is damaged: it ends .* too early"):
        LogisticRegression(callback=cut, solver="lbfgs").fit(scan(**files))


def test_a_cache_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    for source in (scan(lambda: [], cache=tmp_path / "file"), scan(__file__, cache=tmp_path / "file")):
        with pytest.raises(OSError, match="`cache` cannot be used .*; expected a writable folder"):
            LogisticRegression().fit(source)


def test_a_full_disk(tmp_path, short_of_memory):
    """Nothing is left behind, and the error says how far it came."""
    X, y, _ = problem("float64")
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "y.npy", y)
    code = (
        "import resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "from logreg_accel import LogisticRegression, scan\n"
        "import logreg_accel.rows\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))\n"
        f"scanned = scan({str(tmp_path / 'X.npy')!r}, target={str(tmp_path / 'y.npy')!r}, "
        f"cache={str(tmp_path / 'c')!r})\ntry:\n    LogisticRegression().fit(scanned)\n"
        "except OSError as error:\n    print(error.errno, error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert "cannot write the cache of blocks" in done.stdout, done.stderr
    assert os.listdir(tmp_path / "c") == []
