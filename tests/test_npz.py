"""Shards in .npz files: read in ranges of rows, in memory that does not grow with the file."""

import tracemalloc

import numpy as np
import pytest
import scipy.sparse

from logreg_accel import LogisticRegression, scan
from logreg_accel.data import npz, shards

M, N = 4000, 30


def problem(dtype=np.float64):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((M, N)) * (rng.random((M, N)) < 0.2)
    X[5:9] = 0  # rows without entries
    return X.astype(dtype), (X[:, 0] + 0.3 * rng.standard_normal(M) > 0).astype(int), rng.random(M)


def arrays_of(X, layout):
    if layout != "sparse":
        return {"X": np.asarray(X, order="F" if layout == "by columns" else "C")}
    X = scipy.sparse.csr_array(X)
    return {"data": X.data, "indices": X.indices, "indptr": X.indptr, "shape": X.shape, "format": b"csr"}


def read(path, **told):
    chunks = [piece.chunk for piece in scan(path, **told).pieces()]
    dense = [c.X.toarray() if scipy.sparse.issparse(c.X) else c.X for c in chunks]
    return len(chunks), np.concatenate(dense), np.concatenate([c.y for c in chunks]), chunks


@pytest.mark.parametrize("layout", ["by rows", "by columns", "sparse"])
@pytest.mark.parametrize("dtype", [np.float64, ">f4", np.int16])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_ranges_of_rows_are_those_of_the_whole(tmp_path, monkeypatch, layout, dtype, save):
    X, y, s = problem()
    X = (10 * X).astype(np.dtype(dtype).newbyteorder("=") if layout == "sparse" else dtype)  # SciPy's
    save(tmp_path / "a.npz", **arrays_of(X, layout), y=y, s=s)
    for chunk in (1, 5000, 1 << 23):
        monkeypatch.setattr(npz, "CHUNK", max(chunk, npz._OF_A_ROW))
        count, rows, labels, chunks = read(tmp_path / "a.npz", weight="s")
        np.testing.assert_array_equal(rows, X)
        np.testing.assert_array_equal(labels, y)
        np.testing.assert_array_equal(np.concatenate([c.weight for c in chunks]), s)
        assert count == 1 if chunk > 5000 else count > 20


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("layout", ["by rows", "sparse"])
def test_a_large_file_is_never_held_whole(tmp_path, layout, save):
    """Of an archive of 48 MB, at most a few chunks of 8 MB are."""
    m, n = 20_000, 300
    X = {"X": np.ones((m, n))}
    if layout == "sparse":
        entries = {"data": np.ones(m * 200), "indices": np.tile(np.arange(200, dtype=np.int32), m)}
        X = {**entries, "indptr": 200 * np.arange(m + 1), "shape": (m, n)}
    save(tmp_path / "a.npz", **X, y=np.arange(m) % 2)
    del X
    source = scan(tmp_path / "a.npz")
    tracemalloc.start()
    try:
        rows = sum(piece.chunk.X.shape[0] for piece in source.pieces())
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert rows == m and most < 4 << 23


def test_what_has_to_be_whole_is_counted_before_anything_is_read(tmp_path, monkeypatch):
    """Zeros take no room in the file, but all of it once they are read."""
    X = np.zeros((200_000, 40), order="F")
    np.savez_compressed(tmp_path / "a.npz", X=X, y=np.arange(len(X)) % 2)
    monkeypatch.setattr(shards, "chunks_of_npz", lambda *_: pytest.fail("was read"))
    with pytest.raises(MemoryError, match=r"a.npz' takes 15\d MB, since labels.*by columns.*order of rows"):
        LogisticRegression().fit(scan(tmp_path / "a.npz", memory="100MB"))


def entries(**changed):
    X, y, _ = problem()
    return {**arrays_of(X, "sparse"), "y": y, **changed}


@pytest.mark.parametrize(
    "arrays, message",
    [
        (entries(format=b"csc"), "in csc format; expected that of X.tocsr"),
        (entries(indptr=np.arange(M)), "`indptr` does not fit"),
        (entries(indptr=np.r_[np.arange(M, 0, -1), 0]), "`indptr` does not fit"),
        (entries(data=np.ones(3)), "`indptr` does not fit"),
        (entries(indices=np.full(len(entries()["data"]), N)), "a.npz"),
        (entries(y=np.arange(M + 1) % 2), r"4000 rows of X and a `y` of shape \(4001,\)"),
        (entries(data=np.array([None] * 3)), "`data` has Python objects"),
        ({"X": np.ones(3)}, "neither a two-dimensional `X` nor a sparse matrix; it has X"),
        ({"Z": np.ones(3)}, "it has Z"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path, arrays, message):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(ValueError, match=message) as told:
        read(tmp_path / "a.npz")
    assert "a.npz" in str(told.value)
