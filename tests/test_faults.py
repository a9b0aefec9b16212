"""Faults of disks, files and neighbours, one after the other: an error with its cause, or the same bits."""

import errno
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from sklearn.datasets import dump_svmlight_file

from conftest import draw
from logreg_accel import LogisticRegression, checkpoint, load, scan
from logreg_accel.cli import main
from logreg_accel.data import packed
from logreg_accel.rows import cache, spill, store, stream

NAMES = list("abcd")


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(packed, "BLOCK", 1 << 14)


def frame(m=600):
    X, _, _, _ = draw(m, 4)
    rng = np.random.default_rng(0)
    return pd.DataFrame(X, columns=NAMES).assign(y=(X[:, 0] + rng.standard_normal(m) > 0.2).astype(int))


def write(kind, folder, rows):
    """Rows in a file, and what `scan` is told of it."""
    path = folder / f"x.{kind}"
    X, y = rows[NAMES].to_numpy(), rows.y.to_numpy()
    if kind == "npy":
        np.save(path, rows.to_numpy())
    elif kind == "npz":
        np.savez(path, X=X, y=y)
    elif kind == "svm":
        dump_svmlight_file(scipy.sparse.csr_array(np.where(abs(X) > 1, X, 0)), y, str(path), zero_based=False)
    elif kind == "csv":
        rows.to_csv(path, index=False)
    else:
        getattr(rows, f"to_{kind}")(path)
    return path, {"npy": {"target": -1}, "npz": {}, "svm": {}}.get(kind, {"target": "y"})


@pytest.mark.parametrize("kind", ["npy", "npz", "svm", "csv", "parquet", "feather"])
def test_files_cut_and_flipped_anywhere(kind, tmp_path):
    """A damaged file gives rows, or an error that names it, and nothing else."""
    path, told = write(kind, tmp_path, frame(200))
    whole, rng, refused = path.read_bytes(), np.random.default_rng(0), 0
    damaged = [whole[: len(whole) * i // 20] for i in range(20)]
    for _ in range(40):
        flipped = bytearray(whole)
        flipped[rng.integers(len(whole))] ^= 1 << rng.integers(8)
        damaged.append(bytes(flipped))
    for content in damaged:
        path.write_bytes(content)
        try:
            rows = sum(piece.chunk.X.shape[0] for piece in scan(path, **told).pieces())
            assert 0 < rows <= 250  # a flipped bit may make two lines of one
        except (ValueError, OSError, TypeError) as error:
            assert path.name in str(error) or "no rows" in str(error), error
            refused += 1
    assert refused >= 1


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("kind", ["npy", "csv", "parquet", "chunks"])
def test_a_number_that_cannot_be_fitted_is_named_wherever_it_is(kind, value, tmp_path):
    """It is in the first and the last row and column, and on both sides of the edge of a block."""
    rows = frame(1100)
    for row, column in ((0, 0), (511, 1), (512, 2), (1099, 3)):
        spoiled = rows.copy()
        spoiled.iloc[row, column] = value
        if kind == "chunks":
            source = scan(lambda spoiled=spoiled: [(spoiled[NAMES], spoiled.y)])
        else:
            path, told = write(kind, tmp_path, spoiled)
            source = scan(path, **told)
        place = rf"column '?({NAMES[column]}|{column})'?"
        where = rf"{place}, row {row}\b|row {row}, {place}"
        with pytest.raises(ValueError, match=where):
            LogisticRegression().fit(source)


def test_the_nth_read_or_write_fails(tmp_path, monkeypatch):
    """Each of them fails in turn with an OSError, and the next fit has the bits of a fit without faults."""
    monkeypatch.setattr(cache, "RESIDENT", 0.0)
    monkeypatch.setattr(cache, "TOGETHER", 0.0)
    monkeypatch.setattr(stream, "VECTORS", 0.0)
    path, told = write("npy", tmp_path, frame(1500))
    model, count, fails = LogisticRegression(solver="newton-subsampled"), 0, 0

    def failing(call):
        def counted(*arguments):
            nonlocal count
            count += 1
            if count == fails:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return call(*arguments)

        return counted

    def fit(name):
        return model.fit(scan(path, cache=tmp_path / name, **told), checkpoint=tmp_path / f"{name}.log").coef_

    expected = fit("whole")
    for place, name in ((store, "write"), (store, "read_pieces"), (spill, "write"), (spill, "read_at")):
        monkeypatch.setattr(place, name, failing(getattr(place, name)))
    monkeypatch.setattr(checkpoint, "_write", failing(checkpoint._write))
    np.testing.assert_array_equal(fit("counted"), expected)
    steps = sorted({*range(1, 8), *range(8, count, max(count // 8, 1)), count})
    assert count > 12
    raised = 0
    for fails in steps:
        count = 0
        try:
            np.testing.assert_array_equal(fit(f"f{fails}"), expected)  # what was read ahead was not wanted
        except OSError as error:
            assert "Input/output error" in str(error)
            raised += 1
        count = fails  # nothing fails from here on, also if what was read ahead ended before its turn
        assert not [name for name in os.listdir(tmp_path / f"f{fails}") if name.endswith(".tmp")]
        np.testing.assert_array_equal(fit(f"f{fails}"), expected)
    assert raised > 0.8 * len(steps)


def test_fits_that_make_the_same_cache_at_once(tmp_path):
    path, told = write("npy", tmp_path, frame(3000))

    def fit(_):
        return LogisticRegression().fit(scan(path, cache=tmp_path / "cache", **told)).coef_.tobytes()

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(fit, range(12)))) == 1
    assert len(os.listdir(tmp_path / "cache")) == 1


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_a_checkpoint_that_goes_on(how, tmp_path, monkeypatch):
    monkeypatch.undo()  # blocks are those of the other process
    rng = np.random.default_rng(0)
    X = rng.standard_normal((300_000, 8), dtype=np.float32) * np.geomspace(1, 100, 8, dtype=np.float32)
    np.save(tmp_path / "x.npy", np.column_stack([X, X[:, 0] + rng.logistic(size=len(X)) > 0.4]).astype("f4"))
    log, line = tmp_path / "log", ["train", str(tmp_path / "x.npy"), "--target", "-1", "--memory", "200MB"]
    line += ["--solver", "gd", "--tol", "1e-15", "--backend", "numpy", "--checkpoint", str(log), "--quiet"]
    command = [sys.executable, "-m", "logreg_accel", *line, "--model", str(tmp_path / "broken.npz")]
    child = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a background job ignores it
    )
    began = time.monotonic()
    while (not log.exists() or log.stat().st_size < 2000) and time.monotonic() - began < 100:
        time.sleep(0.02)
    child.send_signal(how)
    assert child.wait(60) == {signal.SIGINT: 130, signal.SIGTERM: -signal.SIGTERM}[how]
    assert not [name for name in os.listdir(tmp_path) if name.endswith(".tmp")]
    coefs = []
    for more, name in ((["--resume"], "resumed.npz"), ([], "unbroken.npz")):
        assert main([*line, *more, "--max-passes", "12", "--model", str(tmp_path / name)]) in (0, 4)
        coefs.append(load(tmp_path / name).coef_)
        log.unlink()
    np.testing.assert_array_equal(*coefs)
