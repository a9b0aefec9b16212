"""`logreg-accel bench`: how close an evaluation comes to the speed at which this machine reads X."""

import numpy as np

from .. import Objective, plain_loss_gradient
from ..persistence.writing import write_whole
from ..yardstick import fastest, plain_reads
from .doctor import machine
from .output import Progress, check_drawing, print_json, print_table

HEADINGS = ["features", "stored as", "by", "GB/s", "of a read", "x NumPy", "x 1 thread", "M rows/s"]
BY = {"C": "rows", "F": "columns"}


def bench(options):
    """Measure evaluations, print a table and, if asked for, draw the roofline."""
    progress = Progress(options.quiet)
    check_drawing("--output", options.output, suffixes=(".svg",))
    rows = []
    for layout in options.layout:
        for dtype in options.dtypes:
            for features in options.features:
                progress.say(f"{features} features, {dtype}, by {BY[layout]}")
                rows.append(measure(features, np.dtype(dtype), layout, options.gigabytes, options.repeats))
    report = {
        "machine": machine(),
        "gigabytes": options.gigabytes,
        "repeats": options.repeats,
        "passes": rows,
        "peak_GFLOP_per_s": peak(),
    }
    if not options.json and not options.quiet:
        print_table(
            f"Loss and gradient by numba, X of {options.gigabytes:g} GB, compared with a plain read of X",
            HEADINGS,
            cells(rows),
        )
    if options.output:
        from ..report.roofline import roofline

        write_whole(options.output, lambda file: file.write(roofline(report).encode()))
        progress.say(f"the roofline: {options.output}")
    if options.json:
        print_json(report)


def cells(rows):
    """Format the cells of the table."""
    return [
        [
            str(r["features"]),
            r["dtype"],
            BY[r["layout"]],
            f"{r['GB_per_s']:.1f}",
            f"{r['share_of_plain_read']:.2f}",
            "-" if r["times_plain_numpy"] is None else f"{r['times_plain_numpy']:.1f}",
            f"{r['times_one_thread']:.2f}",
            f"{r['rows_per_s'] / 1e6:.1f}",
        ]
        for r in rows
    ]


def measure(features, dtype, layout, gigabytes, repeats):
    """Measure one line of the table: jobs on the same X, run in turns; the fastest run of each counts."""
    X, y = _matrix(features, dtype, layout, gigabytes)
    w = np.random.default_rng(1).standard_normal(features + 1) / np.sqrt(features) / 100
    ours = Objective.from_arrays(X, y, C=np.inf, backend="numba")
    alone = Objective.from_arrays(X, y, C=np.inf, backend="numba", n_threads=1)
    # A plain read follows the order of X in memory, whatever its layout.
    jobs = {f"read, {name}": job for name, job in plain_reads(X if layout == "C" else X.T).items()}
    jobs |= {"ours": lambda: ours.value_and_gradient(w), "one thread": lambda: alone.value_and_gradient(w)}
    if dtype.kind == "f" and dtype.itemsize >= 4:
        jobs["plain"] = lambda: plain_loss_gradient(X, y, w[:-1], w[-1])
        _assert_same(ours, X, y, w)
    seconds = fastest(jobs, repeats)
    read = min(took for name, took in seconds.items() if name.startswith("read"))
    return {
        "features": features,
        "rows": len(X),
        "dtype": dtype.name,
        "layout": layout,
        "seconds": seconds["ours"],
        "GB_per_s": X.nbytes / seconds["ours"] / 1e9,
        "plain_read_GB_per_s": X.nbytes / read / 1e9,
        "share_of_plain_read": read / seconds["ours"],
        "rows_per_s": len(X) / seconds["ours"],
        "times_plain_numpy": seconds["plain"] / seconds["ours"] if "plain" in seconds else None,
        "times_one_thread": seconds["one thread"] / seconds["ours"],
        "flop_per_byte": 4 / dtype.itemsize,  # a multiplication and an addition in each of the two products
    }


def _matrix(features, dtype, layout, gigabytes):
    """Generate an X of `gigabytes` GB, whose values repeat after some MB to save time, and labels."""
    rng = np.random.default_rng(0)
    rows = max(8, int(gigabytes * 1e9 / (features * dtype.itemsize)))
    some = rng.standard_normal((min(rows, max(8, 4_000_000 // features)), features))
    some = (some if dtype.kind == "f" else 40 * some if dtype.kind == "i" else 128 + 40 * some).astype(dtype)
    X = np.empty((rows, features), dtype=dtype, order=layout)
    for start in range(0, rows, len(some)):
        X[start : start + len(some)] = some[: rows - start]
    return X, (rng.random(rows) < 0.5).astype(np.uint8)


def _assert_same(objective, X, y, w):
    value, gradient = plain_loss_gradient(X, y, w[:-1], w[-1])
    ours = objective.value_and_gradient(w)
    limit = 100 * np.finfo(X.dtype).eps * np.sqrt(len(X))
    assert abs(ours[0] - value / len(X)) < limit * ours[0], "the passes disagree about the value"
    assert np.abs(ours[1] - gradient / len(X)).max() < limit, "the passes disagree about the gradient"


def peak():
    """Measure the GFLOP/s of a large float32 matrix product, which is the roof of the arithmetic."""
    A = np.ones((2048, 2048), dtype=np.float32)
    return 2 * 2048**3 / fastest({"gemm": lambda: A @ A}, 3)["gemm"] / 1e9
