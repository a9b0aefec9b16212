"""The budget of memory of a source holds: the resident set of a process grows by 10 % more at most."""

import json
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest
import scipy.sparse

from logreg_accel import LogisticRegression, TableEncoder, scan

PEAKS = """
import json, sys, threading, time
import numpy as np
import scipy.sparse
from logreg_accel import LogisticRegression, LogisticRegressionCV, TableEncoder, load, scan
from logreg_accel.cli import main

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

jobs = json.loads(sys.argv[1])
X = np.random.default_rng(0).standard_normal((300_000, 30), dtype=np.float32)
LogisticRegression(backend="numba").fit(X, X[:, 0] > 0)  # what is compiled and loaded once
for what, *_ in jobs:
    if what in ("accuracy", "roc_auc"):
        LogisticRegressionCV(backend="numba", Cs=2, cv=2, scoring=what).fit(X[:9999], X[:9999, 0] > 0)
if "npz" in jobs[0][1]:
    X = scipy.sparse.csr_array(np.where(X[:20_000] > 2, X[:20_000], 0))
    LogisticRegression(backend="numba").fit(X, X[:, [0]].toarray()[:, 0] > 0)
del X
base, peak, done = resident(), [0], threading.Event()

def watch():
    while not done.wait(0.005):
        peak[0] = max(peak[0], resident() - base)

def work(what, pattern, budget, model, l1_ratio):
    encoder = TableEncoder() if "parquet" in pattern and what == "fit" else None
    target = -1 if "npy" in pattern else "y"
    source = scan(pattern, memory=f"{budget // 1_000_000}MB", target=target, encoder=encoder)
    if what == "fit":
        clf = LogisticRegression(backend="numba", l1_ratio=l1_ratio).fit(source)
        assert clf.status_ == "converged", clf.status_
    elif what in ("accuracy", "roc_auc"):
        clf = LogisticRegressionCV(backend="numba", Cs=[0.1, 1.0], cv=3, scoring=what).fit(source)
        assert (clf.status_ == "converged").all()
    elif what == "score":
        load(model).score(source)
    elif what == "command line":
        assert main(["predict", pattern, "--model", model, "--output", model + ".csv", "--quiet"]) == 0
    elif what == "evaluate":
        assert main(["evaluate", pattern, "--model", model, "--target", "y"]) == 0
    else:
        for piece in getattr(load(model), what)(source):
            pass

watcher = threading.Thread(target=watch, daemon=True)
watcher.start()
for job in jobs:
    peak[0] = 0
    work(*job)
    time.sleep(0.01)
    print("peak", peak[0])
done.set()
watcher.join()
"""


def budgets_hold(*jobs, model="", l1_ratio=0):
    """Do several things to files in a process: (what, pattern, budget). For each, compare the bytes by which
    its resident set has grown since its start with the budget."""
    given = [(what, str(pattern), budget, str(model), l1_ratio) for what, pattern, budget in jobs]
    line = [sys.executable, "-c", PEAKS, json.dumps(given)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    peaks = re.findall(r"^peak (\d+)$", done.stdout, re.MULTILINE)
    assert len(peaks) == len(jobs)
    for (what, _, budget), peak in zip(jobs, peaks, strict=True):
        assert int(peak) <= 1.1 * budget, what


def arrays(folder, n, budget, classes=2):
    """Shards of four times the budget."""
    rng, m = np.random.default_rng(0), 4 * budget // (4 * n) // 8
    for i in range(8):
        X = rng.standard_normal((m, n + 1), dtype=np.float32)
        z = X[:, :-1].sum(axis=1) / np.sqrt(n) + rng.logistic(size=m) + 0.5
        X[:, -1] = np.clip(np.ceil(z), 1, classes)
        np.save(folder / f"{i}.npy", X)
    return folder / "*.npy"


def tables(folder, parts, town=True):
    """Write tables of one row group each, of which Arrow would keep much more than a batch by default."""
    rng, m = np.random.default_rng(0), 700_000
    for i in range(parts):
        frame = pd.DataFrame(rng.standard_normal((m, 12)), columns=list("abcdefghijkl"))
        there = rng.choice(["Bern", "Oslo", "Rom"], m)
        frame["y"] = np.where(frame.a + (there == "Rom") + rng.logistic(size=m) > 0.5, "yes", "no")
        frame = frame.assign(town=there) if town else frame
        frame.to_parquet(folder / f"{i}.parquet", row_group_size=m)
    return folder / "*.parquet"


@pytest.fixture(scope="module")
def one_table(tmp_path_factory):
    return tables(tmp_path_factory.mktemp("one"), 1)


@pytest.fixture(scope="module")
def two_tables(tmp_path_factory):
    """The pattern of the tables, and the file of a model of some of their rows."""
    folder = tmp_path_factory.mktemp("two")
    pattern = tables(folder, 2, town=False)
    some = pd.read_parquet(folder / "0.parquet")[:1000]
    LogisticRegression().fit(some.drop(columns="y"), some.y).save(folder / "model.npz")
    return pattern, folder / "model.npz"


@pytest.mark.parametrize(
    "n, classes, megabytes, whats",
    [
        (30, 2, 140, ["fit", "roc_auc"]),
        *(pytest.param(n, 2, 200, ["fit", "accuracy"], marks=pytest.mark.slow) for n in (10, 30, 100)),
        *(pytest.param(n, 2, 200, ["roc_auc"], marks=pytest.mark.slow) for n in (10, 30)),
        pytest.param(30, 5, 200, ["accuracy"], marks=pytest.mark.slow),
    ],
)
def test_the_budget_of_memory_holds(tmp_path, n, classes, megabytes, whats):
    """For data of four times the budget, the process grows by at most 10 % more than the budget.

    In a cross-validation this includes folds, labels, scores and margins of all rows.
    """
    budget = megabytes * 1_000_000
    pattern = arrays(tmp_path, n, budget, classes)
    budgets_hold(*((what, pattern, budget) for what in whats))


@pytest.mark.parametrize(
    "entries, megabytes, l1_ratio",
    [
        (30, 120, 0),
        pytest.param(30, 120, 1, marks=pytest.mark.slow),
        *(pytest.param(100, 170, l1_ratio, marks=pytest.mark.slow) for l1_ratio in (0, 1)),
    ],
)
def test_the_budget_holds_for_sparse_rows_whose_proof_forms_matrices(tmp_path, entries, megabytes, l1_ratio):
    """The budget is about the least that is accepted; a matrix takes 8 MB, and each lane makes one."""
    rng, m, n = np.random.default_rng(0), 40_000, 1000
    for i in range(10):
        columns, starts = (n * rng.random((m, entries)) ** 1.5).astype(int), entries * np.arange(m + 1)
        numbers = rng.random((m, entries), dtype=np.float32)
        X = scipy.sparse.csr_array((numbers.ravel(), columns.ravel(), starts), shape=(m, n))
        X.sum_duplicates()
        y = X @ np.linspace(-1, 1, n) + rng.logistic(size=m) > 0
        parts = {"data": X.data, "indices": X.indices, "indptr": X.indptr, "shape": X.shape}
        np.savez(tmp_path / f"{i}.npz", **parts, y=y)
    budgets_hold(("fit", tmp_path / "*.npz", megabytes * 1_000_000), l1_ratio=l1_ratio)


def test_the_budget_holds_for_tables_in_large_row_groups(one_table):
    """Also the least budget that is told."""
    with pytest.raises(MemoryError, match="takes") as told:
        next(scan(one_table, target="y", memory="96MB", encoder=TableEncoder()).pieces())
    least = int(re.search(r"takes (\d+) MB", str(told.value))[1]) * 1_000_000 + 1_000_000
    assert least < 120_000_000
    budgets_hold(*(("fit", one_table, budget) for budget in (least, 140_000_000)))


@pytest.mark.slow
def test_the_budget_holds_for_many_tables(tmp_path):
    budgets_hold(("fit", tables(tmp_path, 4), 140_000_000))


@pytest.mark.parametrize(
    "whats",
    [
        ["predict_proba", "command line"],
        ["evaluate"],
        pytest.param(["predict", "score"], marks=pytest.mark.slow),
    ],
)
def test_the_budget_holds_for_predictions(two_tables, whats):
    """The predictions are of more rows than the budget has room for."""
    pattern, model = two_tables
    budgets_hold(*((what, pattern, 120_000_000) for what in whats), model=model)


@pytest.mark.parametrize("encoder", [None, TableEncoder()])
def test_files_whose_pages_have_no_room_are_refused_before_they_are_read(tmp_path, encoder, monkeypatch):
    """Each of a hundred columns has pages of a megabyte and a dictionary of another one."""
    rng, m, n = np.random.default_rng(0), 200_000, 60
    table = pyarrow.table([*rng.standard_normal((n, m)), np.arange(m) % 2], names=[*map(str, range(n)), "y"])
    pyarrow.parquet.write_table(table, tmp_path / "0.parquet")
    pyarrow.parquet.write_table(table, tmp_path / "1.parquet", row_group_size=4000)
    with pytest.raises(MemoryError, match=r"0.parquet' takes \d+ MB.*`memory` is 120 MB.*smaller row groups"):
        LogisticRegression().fit(scan(tmp_path, target="y", memory="120MB", encoder=encoder))
    options = {"target": "y", "memory": "120MB", "encoder": encoder}
    monkeypatch.setattr("logreg_accel.data.binary._BUFFER", 1 << 14)
    assert next(scan(tmp_path / "1.parquet", **options).pieces()).chunk.X.shape[1] == n
    few = scan(tmp_path / "0.parquet", features=["1", "2"], **options)
    assert next(few.pieces()).chunk.X.shape[1] == 2
    with pytest.raises(MemoryError) as told:
        next(scan(tmp_path / "0.parquet", **options).pieces())
    enough = re.search(r"takes (\d+ MB)", str(told.value))[1]
    assert next(scan(tmp_path / "0.parquet", **options | {"memory": enough}).pieces()).chunk.X.shape[1] == n
