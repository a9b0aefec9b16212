"""The command line, run as a user runs it."""

import csv
import gzip
import importlib
import json
import subprocess
import sys

import numpy as np
import pytest
from command_line import FORMATS, NAMES, X, Y, run, write
from scipy.sparse import csr_matrix
from sklearn.datasets import dump_svmlight_file
from sklearn.metrics import confusion_matrix

from logreg_accel import LogisticRegression, load
from logreg_accel.cli.parser import EXAMPLES, command_line
from logreg_accel.data import files


@pytest.mark.parametrize("suffix", FORMATS)
def test_train_evaluate_predict(tmp_path, capsys, suffix):
    data, model = write(tmp_path / f"data{suffix}"), tmp_path / "model.npz"
    target = "-1" if suffix == ".npy" else "t"
    drop = () if suffix in (".npy", ".npz") else ("--drop", "w")
    code, out, err = run("train", data, "--target", target, *drop, "--model", model, "--json", capsys=capsys)
    assert code == 0, err
    summary = json.loads(out)
    assert (
        summary["status"] == "converged" and summary["backend"] == "numpy" and summary["train"]["auc"] > 0.4
    )
    assert "iter  passes" in err
    expected = LogisticRegression().fit(X, Y)
    np.testing.assert_allclose(load(model).coef_, expected.coef_, rtol=1e-12)

    code, out, _ = run("evaluate", data, "--model", model, "--target", target, "--json", capsys=capsys)
    assert code == 0 and json.loads(out)["accuracy"] == pytest.approx(expected.score(X, Y))

    if suffix in (".npy",):
        np.save(data, X)
    predictions = tmp_path / "out.csv"
    assert run("predict", data, "--model", model, "--output", predictions) == 0
    rows = list(csv.reader(open(predictions)))
    assert rows[0][0] == "prediction" and len(rows) == 201
    np.testing.assert_allclose(
        [float(row[1]) for row in rows[1:]], expected.predict_proba(X)[:, 1], rtol=1e-12
    )


@pytest.mark.parametrize("name", ["data.svm", "data.libsvm.gz", "data", "data.t"])
def test_svmlight_files(tmp_path, capsys, name):
    """Rows are sparse, with labels in the file; rows that are predicted have no entry in the last column."""
    A, labels, model = (
        np.where(abs(X) > 0.5, X, 0),
        np.array([-1, 1, 3])[np.arange(len(X)) % 3],
        tmp_path / "model.npz",
    )
    plain = tmp_path / "plain"
    dump_svmlight_file(A, labels, str(plain), zero_based=False)
    data = tmp_path / name
    data.write_bytes(gzip.compress(plain.read_bytes()) if name.endswith(".gz") else plain.read_bytes())
    code, out, err = run("train", data, "--model", model, "--test-size", "0.2", "--json", capsys=capsys)
    assert code == 0 and json.loads(out)["status"] == "converged", err
    assert run("train", data, "--model", model, "--quiet") == 0
    fitted = load(model)
    np.testing.assert_allclose(fitted.coef_, LogisticRegression().fit(csr_matrix(A), labels).coef_, atol=1e-6)
    code, out, _ = run("evaluate", data, "--model", model, "--json", capsys=capsys)
    facts = json.loads(out)
    assert code == 0 and facts["classes"] == [-1, 1, 3]
    assert facts["confusion"] == confusion_matrix(labels, fitted.predict(A)).tolist()
    code, out, _ = run("evaluate", data, "--model", model, capsys=capsys)
    assert code == 0 and "Confusion matrix" in out

    B = A[:10].copy()
    B[:, -1] = 0
    dump_svmlight_file(B, labels[:10], str(data), zero_based=False)
    if name.endswith(".gz"):
        data.write_bytes(gzip.compress(data.read_bytes()))
    code, out, _ = run("predict", data, "--model", model, "--json", capsys=capsys)
    assert code == 0 and json.loads(out)["prediction"] == fitted.predict(B).tolist()


def test_without_pyarrow_csv_reads_the_same(tmp_path, monkeypatch):
    path = write(tmp_path / "data.csv")
    pytest.importorskip("pyarrow")
    fast = files.read_file(path, target="t", weight="w")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    slow = files.read_file(path, target="t", weight="w")
    np.testing.assert_array_equal(fast.X, slow.X)
    assert fast.names == slow.names == NAMES and fast.target.tolist() == slow.target.tolist()
    np.testing.assert_array_equal(fast.weight, slow.weight)


@pytest.mark.parametrize("labels", [("false", "true"), ("0", "1"), ("-1.5", "2.5"), ("no", "yes")])
def test_without_pyarrow_labels_read_the_same(tmp_path, monkeypatch, labels):
    path = write(tmp_path / "data.csv", labels=labels)
    pytest.importorskip("pyarrow")
    fast = files.read_file(path, target="t").target
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert files.read_file(path, target="t").target.tolist() == fast.tolist()


def test_without_pyarrow_parquet_says_what_to_install(tmp_path, monkeypatch, capsys):
    path = write(tmp_path / "data.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.feather", None)
    code, _, err = run("train", path, "--target", "t", "--model", tmp_path / "m", capsys=capsys)
    assert code == 3 and "pip install 'logreg-accel[arrow]'" in err


def test_without_pyarrow_text_says_what_to_install(tmp_path, monkeypatch, capsys):
    path = tmp_path / "data.csv"
    path.write_text("a,b,t\n1,red,0\n2,blue,1\n3,red,0\n4,blue,1\n")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    code, _, err = run("train", path, "--target", "t", "--model", tmp_path / "m.npz", capsys=capsys)
    assert code == 3 and "pip install 'logreg-accel[arrow]'" in err and "--drop" in err and ".." not in err


def test_npy_stays_memory_mapped(tmp_path):
    table = files.read_file(write(tmp_path / "data.npy"), target="-1")
    assert isinstance(table.X.base, np.memmap) or isinstance(table.X, np.memmap)
    assert table.X.shape == (200, 3) and table.X.strides == (32, 8)
    middle = files.read_file(tmp_path / "data.npy", target="1")
    np.testing.assert_array_equal(middle.X, np.column_stack([X[:, 0], X[:, 2], Y]))


def test_options_reach_the_fit(tmp_path, capsys):
    data, model = write(tmp_path / "data.csv"), tmp_path / "m"
    code, out, err = run(
        "train",
        data,
        "--target",
        "t",
        "--weight",
        "w",
        "--model",
        model,
        "--C",
        "inf",
        "--solver",
        "lbfgs",
        "--backend",
        "numba",
        "--threads",
        1,
        "--no-intercept",
        "--class-weight",
        "balanced",
        "--dtype",
        "float32",
        "--test-size",
        0.25,
        "--tol",
        1e-4,
        "--seed",
        3,
        "--quiet",
        "--json",
        capsys=capsys,
    )
    assert code == 0 and err == ""
    clf, summary = load(model), json.loads(out)
    assert summary["solver"] == "lbfgs" and {"loss", "accuracy", "auc", "base_rate"} < set(summary["test"])
    assert clf.C == np.inf and clf.backend_ == "numba" and clf.n_threads == 1 and not clf.fit_intercept
    assert (
        clf.coef_.dtype == np.float32
        and clf.class_weight == "balanced"
        and clf.feature_names_in_.tolist() == NAMES
    )


def test_summary_for_people(tmp_path, capsys):
    data = write(tmp_path / "data.csv")
    code, out, _ = run(
        "train",
        data,
        "--target",
        "t",
        "--drop",
        "w",
        "--model",
        tmp_path / "m",
        "--test-size",
        0.5,
        capsys=capsys,
    )
    assert code == 0
    for word in (
        "backend",
        "passes",
        "seconds",
        "GB per s",
        "suboptimality",
        "log loss",
        "AUC",
        "base rate",
        "train    test",
    ):
        assert word in out
    code, out, err = run(
        "train", data, "--target", "t", "--drop", "w", "--model", tmp_path / "m", "--quiet", capsys=capsys
    )
    assert (code, out, err) == (0, "", "")


def test_inspect_shows_a_model(tmp_path, capsys):
    run(
        "train",
        write(tmp_path / "data.csv"),
        "--target",
        "t",
        "--drop",
        "w",
        "--model",
        tmp_path / "m",
        "--quiet",
    )
    code, out, _ = run("inspect", tmp_path / "m", capsys=capsys)
    assert code == 0 and "Largest coefficients (3 of 3)" in out and "newton-cholesky" in out
    assert run("inspect", "--model", tmp_path / "m", capsys=capsys) == (0, out, "")
    code, out, _ = run("inspect", tmp_path / "m", "--json", capsys=capsys)
    assert list(json.loads(out)["coefficients"]) == NAMES


def test_doctor_shows_backends_and_machine(capsys):
    code, out, _ = run("doctor", capsys=capsys)
    assert code == 0 and all(name in out for name in ("numpy", "numba", "cupy", "blas", "threads", "memory"))
    code, out, _ = run("doctor", "--json", capsys=capsys)
    assert json.loads(out)["backends"]["numpy"] is None and not json.loads(out)["compiled_ahead"]


def test_doctor_compiles_ahead_and_says_so(capsys, monkeypatch, tmp_path):
    """One small fit stands for all fits, which would take minutes."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("logreg_accel.cli.doctor._fits", lambda *what: None)
    code, out, told = run("doctor", "--warm", "--json", capsys=capsys)
    assert code == 0 and json.loads(out)["compiled_ahead"] and str(tmp_path) in told
    assert "2 MiB" in run("doctor", capsys=capsys)[1]


def test_columns_are_matched_by_name(tmp_path, capsys):
    model = tmp_path / "m"
    run("train", write(tmp_path / "data.csv"), "--target", "t", "--drop", "w", "--model", model, "--quiet")
    shuffled = tmp_path / "shuffled.csv"
    with open(shuffled, "w") as file:
        file.write(
            "c,extra,a,b\n" + "\n".join(f"{float(c)!r},9,{float(a)!r},{float(b)!r}" for a, b, c in X) + "\n"
        )
    code, out, _ = run("predict", shuffled, "--model", model, "--json", capsys=capsys)
    np.testing.assert_allclose(
        json.loads(out)["probability"], load(model).predict_proba(_frame())[:, 1], rtol=1e-12
    )


def _frame():
    return pytest.importorskip("pandas").DataFrame(X, columns=NAMES)


@pytest.mark.parametrize("verb", EXAMPLES)
def test_the_help_of_every_verb_has_an_example_that_parses(verb, capsys):
    parsed = command_line().parse_args([verb, *EXAMPLES[verb].split()])
    assert callable(getattr(importlib.import_module(f"logreg_accel.cli.{parsed.module}"), parsed.verb))
    with pytest.raises(SystemExit):
        command_line().parse_args([verb, "--help"])
    assert f"logreg-accel {verb} {EXAMPLES[verb]}" in " ".join(capsys.readouterr().out.split())


def test_help_is_quick_to_import():
    """No library that takes long to load is imported before a verb runs."""
    code = (
        "import sys, contextlib, io\nfrom logreg_accel.cli import main\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit): main(['--help'])\n"
        "slow = {'numpy', 'scipy', 'sklearn', 'numba', 'cupy', 'pyarrow', 'matplotlib', 'rich', 'pandas'}\n"
        "print(sorted(slow & set(sys.modules)))"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        == "[]\n"
    )
