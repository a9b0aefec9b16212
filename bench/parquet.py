"""Parquet files of four times the memory, end to end: decoded once, killed, gone on with, and beside others.

    python bench/parquet.py --gigabytes 12 --memory 3GB --folder /tmp/rows --output bench/results/parquet.json

The folder needs room for the files and for the cache of their blocks, and is removed afterwards. With
`--step` (write, kill, resume, unbroken, found, memory, others, judge, in this order) it stays until the last
one, and the output grows step by step. Every fit is a process of its own; files are dropped from the system's
memory before each (`posix_fadvise`), so that rates are those of the disk. Values of others are judged by one
exact read of the same rows.
"""

import argparse
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.linear_model import SGDClassifier
from stream import dropped, plain_read

from logreg_accel import LogisticRegression, Objective, scan
from logreg_accel.backends import get_backend
from logreg_accel.cli.doctor import machine
from logreg_accel.losses import loss_of
from logreg_accel.penalty import Penalty
from logreg_accel.rows import StreamRows, opened

FEATURES, PARTS, EPOCHS = 100, 24, 3
NAMES = [f"x{j}" for j in range(FEATURES)]


def write(folder, gigabytes):
    """The files: float32 columns and a label of a logistic model; how many rows there are."""
    rng = np.random.default_rng(0)
    w, m = rng.standard_normal(FEATURES) / 10, int(gigabytes * 1e9 / (4 * FEATURES) / PARTS)
    for i in range(PARTS):
        X = rng.standard_normal((FEATURES, m), dtype=np.float32)
        y = w.astype(np.float32) @ X + rng.logistic(size=m) > 0.5
        table = pa.table([*X, y.astype(np.int8)], names=[*NAMES, "y"])
        pq.write_table(table, folder / f"part-{i:02}.parquet", use_dictionary=False)
    return m * PARTS


def source(folder, memory):
    return scan(folder / "part-*.parquet", target="y", memory=memory, cache=folder / "cache")


def fit(folder, memory):
    """What a process does: it fits, and tells what came of it."""
    rows, told, first = source(folder, memory), [], []
    rows.progress = lambda piece: first.append(time.perf_counter())
    began = time.perf_counter()
    model = LogisticRegression(backend="numba", callback=lambda record, w: told.append(record))
    model.fit(rows, checkpoint=folder / "log")
    np.save(folder / "coef.npy", np.append(model.coef_, model.intercept_))
    return {
        "seconds": time.perf_counter() - began,
        "first read, seconds": first[-1] - began if first else None,
        "reads": model.n_passes_,
        "status": model.status_,
        "suboptimality": model.suboptimality_,
        "bound": model.suboptimality_bound_,
        "reads, GB/s": [record.gb_per_s for record in model.history_],
        "peak of the resident set, GB": peak(),
    }


def peak():
    """Of this process, in GB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 / 1e9


def in_process(what, folder, memory, kill_at=None):
    """What a function gives in a new process; None where that is killed once its checkpoint is so long."""
    for path in folder.rglob("*"):
        dropped(path)
    line = [sys.executable, __file__, "--run", what, "--folder", str(folder), "--memory", memory]
    child = subprocess.Popen(line, stdout=subprocess.PIPE, text=True)
    while kill_at is not None and child.poll() is None:
        time.sleep(0.05)
        if (folder / "log").exists() and (folder / "log").stat().st_size > kill_at:
            child.send_signal(signal.SIGKILL)
            child.wait()
            return None
    try:
        text, _ = child.communicate()
    finally:
        child.kill()  # where this process is ended before
    return json.loads(text.splitlines()[-1])


def in_memory(folder, memory):
    """The same fit of the same rows as an array."""
    files = sorted(folder.glob("part-*.parquet"))
    counts = [pq.read_metadata(path).num_rows for path in files]
    X, y, start = np.empty((sum(counts), FEATURES), dtype=np.float32), np.empty(sum(counts), dtype=np.int8), 0
    began = time.perf_counter()
    for path in files:
        for batch in pq.ParquetFile(path).iter_batches(1 << 16):
            rows = slice(start, start + batch.num_rows)
            for j, name in enumerate(NAMES):
                X[rows, j] = batch.column(name)
            y[rows], start = batch.column("y"), rows.stop
    read, began = time.perf_counter() - began, time.perf_counter()
    model = LogisticRegression(backend="numba").fit(X, y)
    np.save(folder / "in-memory.npy", np.append(model.coef_, model.intercept_))
    return {"reading": read, "seconds": time.perf_counter() - began, "reads": model.n_passes_}


def stochastic(folder, memory):
    """Epochs of scikit-learn's SGDClassifier over batches of the same files."""
    files = sorted(folder.glob("part-*.parquet"))
    m = sum(pq.read_metadata(path).num_rows for path in files)
    # Its own schedule begins with huge steps where the penalty is small: this one is for these columns.
    step = {"learning_rate": "constant", "eta0": 0.01, "average": True}
    model, told = SGDClassifier(loss="log_loss", alpha=1 / m, random_state=0, **step), []
    began = time.perf_counter()
    for _ in range(EPOCHS):
        for path in files:
            for batch in pq.ParquetFile(path).iter_batches(1 << 16):
                X = np.column_stack([batch.column(name).to_numpy() for name in NAMES])
                model.partial_fit(X, batch.column("y").to_numpy(), classes=[0, 1])
        told.append((time.perf_counter() - began, np.append(model.coef_, model.intercept_).tolist()))
    return told


def values(folder, memory, points):
    """The objective at some points, in float64; also the plain read of the blocks, in GB/s."""
    backend, _ = get_backend("numba", 0)
    with opened(source(folder, memory)) as streamed:
        (path,) = (folder / "cache").glob("*/blocks")
        dropped(path)
        began = time.perf_counter()
        plain_read(streamed.store, False)
        rate = streamed.store.nbytes / (time.perf_counter() - began) / 1e9
        rows = StreamRows(streamed, backend)
        exact = rows.in_float64(True) or rows
        exact._subtracted = exact.centre = None
        objective = Objective(exact, loss_of(2), Penalty.of_strength(1.0, float(rows.n_rows), 0.0))
        return [objective.value_and_gradient(np.asarray(w))[0] for w in points], rate


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=12)
    parser.add_argument("--memory", default="3GB")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--run", choices=["fit", "in_memory", "stochastic"])
    parser.add_argument("--only-streamed", action="store_true", help="neither in memory nor others")
    parser.add_argument("--step", choices=list(STEPS), help="one of them, for runs of a few minutes each")
    parser.add_argument("--output")
    options = parser.parse_args()
    folder, memory = options.folder, options.memory
    if options.run:
        print(json.dumps(globals()[options.run](folder, memory)))
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the folder is removed then, too
    steps = [options.step] if options.step else [name for name in STEPS if wanted(name, options)]
    result = known(options.output) if options.step not in (None, "write") else {}
    try:
        for step in steps:
            STEPS[step](folder, memory, options, result)
            told(result, options.output)
    finally:
        if options.step in (None, "judge"):
            shutil.rmtree(folder, ignore_errors=True)


def wanted(name, options):
    return not (options.only_streamed and name in ("memory", "others"))


def known(path):
    """What earlier steps have written."""
    return json.loads(Path(path).read_text(encoding="utf-8"))


def told(result, path):
    text = json.dumps(result, indent=2)
    print(text)
    if path:
        Path(path).write_text(text + "\n", encoding="utf-8")


def step_write(folder, memory, options, result):
    folder.mkdir()
    result |= {"machine": machine(), "memory": memory, "gigabytes": options.gigabytes}
    result["rows"] = write(folder, options.gigabytes)


def step_kill(folder, memory, options, result):
    began = time.perf_counter()
    result["killed"] = in_process("fit", folder, memory, kill_at=3000) is None
    result["killed after, seconds"] = time.perf_counter() - began


def step_resume(folder, memory, options, result):
    result["gone on with"] = in_process("fit", folder, memory)
    (folder / "coef.npy").rename(folder / "resumed.npy")
    shutil.rmtree(folder / "cache")
    (folder / "log").unlink()


def step_unbroken(folder, memory, options, result):
    result["unbroken"] = in_process("fit", folder, memory)
    coef = np.load(folder / "coef.npy")
    result["the same bits"] = bool((coef == np.load(folder / "resumed.npy")).all())
    (folder / "log").unlink()


def step_found(folder, memory, options, result):
    """A fit that finds the cache."""
    result["the cache found"] = in_process("fit", folder, memory)


def step_memory(folder, memory, options, result):
    result["in memory"] = in_process("in_memory", folder, memory)
    coef, known = np.load(folder / "coef.npy"), np.load(folder / "in-memory.npy")
    apart = float(abs(coef - known).max() / abs(known).max())
    result["largest difference of a coefficient, relative"] = apart


def step_others(folder, memory, options, result):
    told = in_process("stochastic", folder, memory)
    (folder / "others.json").write_text(json.dumps(told), encoding="utf-8")


def step_judge(folder, memory, options, result):
    others = folder / "others.json"
    told = json.loads(others.read_text(encoding="utf-8")) if others.exists() else []
    points = [np.load(path) for path in (folder / "coef.npy", folder / "in-memory.npy") if path.exists()]
    found, rate = values(folder, memory, [*points, *(w for _, w in told)])
    result["plain read of the blocks, GB/s"] = rate
    if told:
        least, theirs = min(found), found[len(points) :]
        result["SGDClassifier, steps of 0.01, averaged: seconds, relative suboptimality"] = [
            [seconds, value / least - 1] for (seconds, _), value in zip(told, theirs, strict=True)
        ]


STEPS = {
    "write": step_write,
    "kill": step_kill,
    "resume": step_resume,
    "unbroken": step_unbroken,
    "found": step_found,
    "memory": step_memory,
    "others": step_others,
    "judge": step_judge,
}


if __name__ == "__main__":
    main()
