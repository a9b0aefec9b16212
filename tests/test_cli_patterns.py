"""Patterns of files on the command line: train, evaluate and predict read them as one table."""

import json

import numpy as np
import pytest
from command_line import run
from sklearn.datasets import dump_svmlight_file

PARTS = {"X-1": slice(0, 40), "X-2": slice(40, 90), "whole": slice(0, 90)}


def write_parts(folder, suffix):
    """Rows in two files and in one; arrays also without the target. The second file has a column of zeros."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(90, 3)).round(3)
    y = (X[:, 0] + rng.normal(size=90) > 0).astype(int)
    X[40:, 2] = 0
    for name, rows in PARTS.items():
        path = folder / f"{name}{suffix}"
        if suffix == ".npy":
            np.save(path, np.column_stack([X[rows], y[rows]]))
            np.save(folder / f"for {name}.npy", X[rows])
        elif suffix == ".svm":
            dump_svmlight_file(X[rows], y[rows], str(path), zero_based=False)
        else:
            arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
            columns = {"a": X[rows, 0], "b": X[rows, 1], "c": X[rows, 2], "y": y[rows]}
            parquet.write_table(arrow.table(columns), path)


@pytest.mark.parametrize("suffix", [".npy", ".svm", ".parquet"])
@pytest.mark.parametrize("valid", [False, True])
def test_files_of_a_pattern_are_one_table(tmp_path, capsys, suffix, valid):
    write_parts(tmp_path, suffix)
    target = {".npy": ["--target", "-1"], ".parquet": ["--target", "y"]}.get(suffix, [])
    model, scores, said = tmp_path / "model.npz", tmp_path / "scores.csv", []
    for name in ("whole", "X-*"):
        given, bare = tmp_path / f"{name}{suffix}", tmp_path / f"{'for ' * (suffix == '.npy')}{name}{suffix}"
        held_out = ["--valid", given] if valid else []
        train = ["train", given, *target, *held_out, "--model", model, "--encode", "none", "--json"]
        code, out, err = run(*train, capsys=capsys)
        assert code == 0, err
        measured = json.loads(out).get("test")
        code, out, err = run("evaluate", given, *target, "--model", model, "--json", capsys=capsys)
        assert code == 0, err
        assert run("predict", bare, "--model", model, "--output", scores, "--quiet") == 0
        assert bool(measured) == valid and json.loads(out)["rows"] == 90
        table = np.genfromtxt(scores, delimiter=",", skip_header=1)
        said.append([json.loads(out)["loss"], measured and measured["loss"], *table[:, 1]])
    assert len(said[0]) == 92
    np.testing.assert_allclose(*np.array(said, dtype=float), rtol=1e-6)  # array layouts differ, and sums


def test_files_of_different_width_are_told(tmp_path, capsys):
    np.save(tmp_path / "X-1.npy", np.ones((4, 3)))
    np.save(tmp_path / "X-2.npy", np.ones((4, 2)))
    model = tmp_path / "model.npz"
    code, _, err = run("train", tmp_path / "X-*.npy", "--target", "0", "--model", model, capsys=capsys)
    assert code == 3 and "X-2.npy' has 1 columns of features" in err and not model.exists()
