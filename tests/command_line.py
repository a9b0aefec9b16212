"""A table to read, in every format, and the command line as a user calls it."""

import csv

import numpy as np
import pytest

from conftest import draw
from logreg_accel.cli import main

X, Y, S, _ = draw(200, 3, weighted=True)
NAMES = ["a", "b", "c"]


def write(path, X=X, y=Y, labels=("no", "yes")):
    """A table in the format of the suffix, the target in column `t` (the last one), the weight in `w`."""
    columns = {name: X[:, j] for j, name in enumerate(NAMES)}
    if path.suffix == ".npy":
        np.save(path, np.column_stack([X, y]))
    elif path.suffix == ".npz":
        np.savez(path, X=X, t=y, w=S)
    elif path.suffix in (".csv", ".tsv"):
        with open(path, "w", newline="") as file:
            writer = csv.writer(file, delimiter="," if path.suffix == ".csv" else "\t")
            writer.writerow([*NAMES, "w", "t"])
            writer.writerows(
                [*map(repr, map(float, row)), repr(float(s)), labels[code]]
                for row, s, code in zip(X, S, y, strict=True)
            )
    else:
        pa = pytest.importorskip("pyarrow")
        from pyarrow.feather import write_feather
        from pyarrow.parquet import write_table

        table = pa.table({**columns, "w": S, "t": [labels[code] for code in y]})
        (write_table if path.suffix == ".parquet" else write_feather)(table, path)
    return path


def run(*arguments, capsys=None):
    """The exit code, or with capsys also what was printed."""
    try:
        code = main([str(argument) for argument in arguments])
    except SystemExit as stop:
        code = stop.code
    return (code, *capsys.readouterr()) if capsys else code


FORMATS = [".npy", ".npz", ".csv", ".tsv", ".parquet", ".feather"]
