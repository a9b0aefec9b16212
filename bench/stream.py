"""What reading rows from blocks costs: beside rows in memory, and beside a plain read of the cached file.

    python bench/stream.py --gigabytes 1.2 --memory 300MB --output bench/results/stream.json

All rates of one line come from one process and the best of several rounds, taken in turn. The cached file was
just written, so it lies in the page cache of a machine with enough memory: rates are those of memory copies,
checksums and arithmetic, which is what a fast disk has to compete with.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

import numpy as np
from distributed import Client, LocalCluster

from logreg_accel import LogisticRegression, scan
from logreg_accel.backends import get_backend, passes
from logreg_accel.cli.doctor import machine
from logreg_accel.cluster.processes import Processes
from logreg_accel.cluster.rows import ClusterRows
from logreg_accel.cluster.rows import opened as open_on_workers
from logreg_accel.data import Block, Matrix
from logreg_accel.data.packed import buffer_of
from logreg_accel.losses import Logistic
from logreg_accel.rows import MemoryRows, StreamRows, cache, opened
from logreg_accel.rows.checked import checksums_for


def shards(folder, gigabytes, n, parts=8):
    """Write float32 rows of a logistic model in .npy shards; how many there are."""
    rng = np.random.default_rng(0)
    w, m = rng.standard_normal(n) / np.sqrt(n), int(gigabytes * 1e9 / (4 * n) / parts)
    for i in range(parts):
        X = rng.standard_normal((m, n), dtype=np.float32)
        np.save(folder / f"X-{i}.npy", X)
        np.save(folder / f"y-{i}.npy", (X @ w + rng.logistic(size=m) > 0.5).astype(np.int8))
    return m * parts


def best_of(rounds, works):
    """The least seconds of each of several works, which take turns."""
    least = dict.fromkeys(works, np.inf)
    for _ in range(rounds):
        for name, work in works.items():
            began = time.perf_counter()
            work()
            least[name] = min(least[name], time.perf_counter() - began)
    return least


def dropped(path):
    """Have the system forget what it has of a file in memory."""
    if path.is_file():
        file = os.open(path, os.O_RDONLY)
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(file)


def plain_read(store, check):
    """Read every block of the file by preadv, on one thread, with checksums or without."""
    buffer = buffer_of(max(store.sizes))
    checksums = checksums_for(store.nbytes)
    for size, offset, sums in zip(store.sizes, store.offsets, store.sums, strict=True):
        part = buffer[:size]
        assert os.preadv(store.file, [memoryview(part)], offset) == size
        if check:
            assert (checksums(part) == sums).all()


def evaluations(folder, memory, rounds):
    """Rates of an evaluation: from blocks of which some are held, from rows in memory, and of plain reads."""
    backend, _ = get_backend("numba", 0)
    pattern = {"data": folder / "X-*.npy", "target": folder / "y-*.npy", "cache": folder / "cache"}
    X = np.concatenate([np.load(path) for path in sorted(folder.glob("X-*.npy"))])
    y = np.concatenate([np.load(path) for path in sorted(folder.glob("y-*.npy"))]).astype(np.uint8)
    memory_rows = MemoryRows([Block(Matrix(X), y)], backend)
    W = np.zeros((X.shape[1] + 1, 1))
    pass_ = passes.LossGradient(W, Logistic(), keep_margins=True)
    began = time.perf_counter()
    with opened(scan(**pattern, memory=memory)) as streamed:
        decode = time.perf_counter() - began
        rows = StreamRows(streamed, backend)
        with opened(scan(**pattern, memory=int(4 * X.nbytes))) as roomy:
            held = StreamRows(roomy, backend)
            held.sum(pass_)  # takes the blocks into memory
            works = {
                "in memory": lambda: memory_rows.sum(pass_),
                "blocks, all held": lambda: held.sum(pass_),
                "blocks, a part held": lambda: rows.sum(pass_),
                "plain read": lambda: plain_read(streamed.store, False),
                "plain read with checksums": lambda: plain_read(streamed.store, True),
            }
            seconds = best_of(rounds, works)
            share = sum(map(len, streamed.store.resident.values())) / X.nbytes
            size = streamed.store.nbytes
    compute, read = seconds["in memory"], seconds["plain read"]
    return {
        "first read, seconds": decode,
        "share of the blocks held": share,
        "GB/s": {name: size / took / 1e9 for name, took in seconds.items()},
        "share of the plain read rate, or of the compute rate where that is lower": max(compute, read)
        / seconds["blocks, a part held"],
        "all held, times the time in memory": seconds["blocks, all held"] / compute,
    }


def fits(folder, memory):
    """Whole fits: in memory, streamed with the cache there, and streamed with a checkpoint."""
    pattern = {"data": folder / "X-*.npy", "target": folder / "y-*.npy", "cache": folder / "cache"}
    X = np.concatenate([np.load(path) for path in sorted(folder.glob("X-*.npy"))])
    y = np.concatenate([np.load(path) for path in sorted(folder.glob("y-*.npy"))])
    models = {}

    def streamed(name, memory=memory, **options):
        def fit():
            (folder / "log").unlink(missing_ok=True)
            models[name] = LogisticRegression(backend="numba").fit(scan(**pattern, memory=memory), **options)

        return fit

    def after_the_first_read(name):
        records = models[name].history_
        return records[-1].seconds - records[0].seconds

    def in_memory():
        models["in memory"] = LogisticRegression(backend="numba").fit(X, y)

    works = {
        "in memory": in_memory,
        "streamed": streamed("streamed"),
        "streamed, memory for all": streamed("streamed, memory for all", memory=int(1.5 * X.nbytes)),
        "with a checkpoint": streamed("with a checkpoint", checkpoint=folder / "log"),
    }
    seconds = best_of(3, works)
    known = models["in memory"].coef_
    off = abs(models["streamed"].coef_ - known).max() / abs(known).max()
    return {
        "seconds": seconds,
        "reads": {name: model.n_passes_ for name, model in models.items()},
        "streamed, times the time in memory": seconds["streamed"] / seconds["in memory"],
        "from the second read on, times the time in memory": {
            name: after_the_first_read(name) / after_the_first_read("in memory")
            for name in ("streamed", "streamed, memory for all")
        },
        "checkpoint, share of the time": seconds["with a checkpoint"] / seconds["streamed"] - 1,
        "checkpoint, bytes": (folder / "log").stat().st_size,
        "largest difference of a coefficient, relative": float(off),
    }


def on_workers(folder, memory):
    """Whole fits of the same files on one process and on two, and what asking them costs."""
    pattern = {"data": folder / "X-*.npy", "target": folder / "y-*.npy", "memory": memory}
    seconds, coefs = {}, []
    for count in (1, 2):
        began = time.perf_counter()
        model = LogisticRegression(backend="numba").fit(scan(**pattern, client=count))
        seconds[f"{count} workers, with their start and the first read"] = time.perf_counter() - began
        coefs.append(model.coef_)
    return {"seconds": seconds, "the same bits": bool((coefs[0] == coefs[1]).all()), **asking(folder)}


def asking(folder, rounds=60):
    """Milliseconds of an evaluation of a hundred rows on two workers, which is all overhead."""
    tiny = folder / "tiny"
    tiny.mkdir()
    shards(tiny, 4 * 100 * 100 / 1e9, 100, parts=4)
    backend, _ = get_backend("numpy", 0)
    pass_ = passes.LossGradient(np.zeros((101, 1)), Logistic(), keep_margins=True)
    found = {}
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as there,
        Client(there) as dask,
    ):
        for name, pool in (("processes", Processes(2)), ("dask", dask)):
            with open_on_workers(scan(tiny / "X-*.npy", target=tiny / "y-*.npy", client=pool)) as streamed:
                rows = ClusterRows(streamed, backend)
                taken = []
                for _ in range(rounds):
                    began = time.perf_counter()
                    rows.sum(pass_)
                    taken.append(1e3 * (time.perf_counter() - began))
            found[name] = {"least": min(taken), "median": float(np.median(taken))}
            if isinstance(pool, Processes):
                pool.close()
        found["dask, an empty task a worker"] = empty_tasks(dask, rounds)
    return {"overhead of an evaluation, ms": found}


def empty_tasks(client, rounds):
    """What Dask itself takes for as many tasks as an evaluation has."""
    taken = []
    for _ in range(rounds):
        began = time.perf_counter()
        workers = client.scheduler_info()["workers"]
        client.gather([client.submit(int, pure=False, workers=[name]) for name in workers])
        taken.append(1e3 * (time.perf_counter() - began))
    return {"least": min(taken), "median": float(np.median(taken))}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=1.2)
    parser.add_argument("--features", type=int, default=100)
    parser.add_argument("--memory", default="300MB")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        m = shards(folder, options.gigabytes, options.features)
        result = {
            "machine": machine(),
            "data": f"{m} x {options.features} float32, memory {options.memory}",
            "load of the machine": os.getloadavg()[0],
            "resident share of the memory": cache.RESIDENT,
            "an evaluation": evaluations(folder, options.memory, options.rounds),
            "a fit": fits(folder, options.memory),
            "on workers": on_workers(folder, options.memory),
        }
    text = json.dumps(result, indent=2)
    print(text)
    if options.output:
        Path(options.output).write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
