"""What encoding a table costs beside reading it: python bench/tables.py [--rows N] [--output FILE]

A generated CSV of 20 columns, ten of them text with 2 to 1,000 levels. Reading it by pyarrow alone is the
yardstick; the steps are run in turns, and each counts by its fastest run. The target of the whole is twice
pyarrow's reading plus the fit of the encoded matrix.
"""

import argparse
import contextlib
import io
import json
import os
import tempfile
import time
from pathlib import Path

import numpy as np

from logreg_accel import LogisticRegression, TableEncoder
from logreg_accel.cli import main as command_line
from logreg_accel.cli.doctor import machine
from logreg_accel.data.reader import TableReader

LEVELS = (2, 3, 5, 10, 20, 50, 100, 200, 500, 1000)


def write_table(path, rows):
    """Ten columns of numbers, ten of text and labels, as CSV."""
    import pyarrow as pa
    import pyarrow.csv

    rng = np.random.default_rng(0)
    columns = {}
    for i in range(10):
        columns[f"n{i}"] = rng.normal(size=rows).round(4) if i % 2 else rng.integers(0, 1000, rows)
    for i, count in enumerate(LEVELS):
        names = np.array([f"level {j} of {count}" for j in range(count)])
        columns[f"t{i}"] = names[rng.integers(0, count, rows)]
    z = columns["n1"] + (columns["t0"] == "level 0 of 2")
    columns["label"] = np.where(rng.random(rows) < 1 / (1 + np.exp(-z)), "yes", "no")
    pyarrow.csv.write_csv(pa.table(columns), path)


def fastest(jobs, repeats):
    """Seconds of each job, the least of several runs in turns."""
    seconds = dict.fromkeys(jobs, float("inf"))
    for _ in range(repeats):
        for name, job in jobs.items():
            start = time.perf_counter()
            job()
            seconds[name] = min(seconds[name], time.perf_counter() - start)
    return seconds


def measure(path, repeats):
    """Seconds of pyarrow's reading, ours, learning, encoding, the fit, and the command line end to end."""
    import pyarrow.csv

    table = TableReader(path).read()
    features, y = table.drop_columns(["label"]), np.array(table["label"].to_pylist())
    encoder = TableEncoder().fit(features)
    X = encoder.transform(features)

    def train():
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            model = os.path.join(os.path.dirname(path), "model.npz")
            assert command_line(["train", path, "--target", "label", "--model", model, "--quiet"]) == 0

    return fastest(
        {
            "pyarrow": lambda: pyarrow.csv.read_csv(path),
            "reading": lambda: TableReader(path).read(),
            "learning": lambda: TableEncoder().fit(features),
            "encoding": lambda: encoder.transform(features),
            "fit": lambda: LogisticRegression().fit(X, y),
            "train": train,
        },
        repeats,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--output", type=Path, help="JSON")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "table.csv")
        write_table(path, arguments.rows)
        seconds = measure(path, arguments.repeats)
    ratios = {
        "reading / pyarrow": seconds["reading"] / seconds["pyarrow"],
        "learning and encoding / reading": (seconds["learning"] + seconds["encoding"]) / seconds["reading"],
        "train / (pyarrow + fit)": seconds["train"] / (seconds["pyarrow"] + seconds["fit"]),
    }
    for name, value in {**seconds, **ratios}.items():
        print(f"{name:32} {value:.3f}")
    if arguments.output:
        facts = {"machine": machine(), "load": os.getloadavg()[0], "rows": arguments.rows}
        facts |= {"repeats": arguments.repeats, "seconds": seconds, "ratios": ratios}
        arguments.output.write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
