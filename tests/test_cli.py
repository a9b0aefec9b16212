"""The command line, run as a user runs it."""

import csv
import gzip
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from sklearn.datasets import dump_svmlight_file
from sklearn.metrics import confusion_matrix

from conftest import draw
from logreg_accel import LogisticRegression, load
from logreg_accel.cli import main
from logreg_accel.data import files

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
    """Sparse, labels in the file; the last column has no entry in the rows that are predicted."""
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
    np.testing.assert_allclose(fitted.coef_, LogisticRegression().fit(A, labels).coef_, atol=1e-6)
    code, out, _ = run("evaluate", data, "--model", model, "--json", capsys=capsys)
    facts = json.loads(out)
    assert code == 0 and facts["classes"] == [-1, 1, 3]
    assert facts["confusion"] == confusion_matrix(labels, fitted.predict(A)).tolist()
    code, out, _ = run("evaluate", data, "--model", model, capsys=capsys)
    assert code == 0 and "taken for" in out

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
    assert summary["solver"] == "lbfgs" and set(summary["test"]) == {"loss", "accuracy", "auc"}
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
        "train loss",
        "train auc",
        "test accuracy",
    ):
        assert word in out
    code, out, err = run(
        "train", data, "--target", "t", "--drop", "w", "--model", tmp_path / "m", "--quiet", capsys=capsys
    )
    assert (code, out, err) == (0, "", "")


def test_inspect(tmp_path, capsys):
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
    code, out, _ = run("inspect", tmp_path / "m", "--json", capsys=capsys)
    assert list(json.loads(out)["coefficients"]) == NAMES


def test_doctor(capsys):
    code, out, _ = run("doctor", capsys=capsys)
    assert code == 0 and all(name in out for name in ("numpy", "numba", "cupy", "blas", "threads", "memory"))
    code, out, _ = run("doctor", "--json", capsys=capsys)
    assert json.loads(out)["backends"]["numpy"] is None


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


BAD = {
    "missing file": (5, lambda d: ["train", d / "none.csv", "--target", "t", "--model", d / "m"], "none.csv"),
    "missing folder": (
        5,
        lambda d: ["train", write(d / "x.csv"), "--target", "t", "--model", d / "no" / "m"],
        "no folder",
    ),
    "missing model": (5, lambda d: ["predict", write(d / "x.csv"), "--model", d / "none"], "none"),
    "no such column": (
        3,
        lambda d: ["train", write(d / "x.csv"), "--target", "tt", "--model", d / "m"],
        "Did you mean 't'?",
    ),
    "no such number": (
        3,
        lambda d: ["train", write(d / "x.npy"), "--target", "9", "--model", d / "m"],
        "0 to 3",
    ),
    "no such array": (
        3,
        lambda d: ["train", write(d / "x.npz"), "--target", "q", "--model", d / "m"],
        "no column 'q'",
    ),
    "no target": (
        2,
        lambda d: ["train", _text(d / "x.csv", "a,t\n1,0\n2,1\n"), "--model", d / "m"],
        "--target is missing",
    ),
    "target of svmlight": (
        3,
        lambda d: ["train", _text(d / "x.svm", "1 1:2\n0 2:1\n"), "--target", "t", "--model", d / "m"],
        "expected none",
    ),
    "text as svmlight": (
        3,
        lambda d: ["train", _text(d / "x", "a,t\n1,0\n"), "--model", d / "m"],
        "not a readable svmlight file",
    ),
    "svmlight from 0": (
        3,
        lambda d: ["train", _text(d / "x.svm", "1 0:2\n0 2:1\n"), "--model", d / "m"],
        "indices from 1 on",
    ),
    "empty svmlight": (3, lambda d: ["train", _text(d / "x.svm", ""), "--model", d / "m"], ""),
    "unknown suffix": (
        3,
        lambda d: ["train", _text(d / "x.txt", "a,t\n1,0\n"), "--target", "t", "--model", d / "m"],
        "suffix '.txt'",
    ),
    "text column": (
        3,
        lambda d: ["train", _text(d / "x.csv", "a,b,t\n1,x,0\n2,y,1\n"), "--target", "t", "--model", d / "m"],
        "not numbers",
    ),
    "two of a name": (
        3,
        lambda d: ["train", _text(d / "x.csv", "a,a,t\n1,2,0\n2,1,1\n"), "--target", "t", "--model", d / "m"],
        "two columns of one name",
    ),
    "nothing left": (
        3,
        lambda d: [
            "train",
            _text(d / "x.csv", "a,t\n1,0\n2,1\n"),
            "--target",
            "t",
            "--drop",
            "a",
            "--model",
            d / "m",
        ],
        "no column left",
    ),
    "empty file": (
        3,
        lambda d: ["train", _text(d / "x.csv", ""), "--target", "t", "--model", d / "m"],
        "mpty",
    ),
    "only a header": (
        3,
        lambda d: ["train", _text(d / "x.csv", "a,t\n"), "--target", "t", "--model", d / "m"],
        "",
    ),
    "one class": (
        3,
        lambda d: ["train", _text(d / "x.csv", "a,t\n1,0\n2,0\n"), "--target", "t", "--model", d / "m"],
        "only one class",
    ),
    "infinite value": (
        3,
        lambda d: ["train", _text(d / "x.csv", "a,t\n1,0\ninf,1\n"), "--target", "t", "--model", d / "m"],
        "row 1, column 0",
    ),
    "missing value": (
        3,
        lambda d: [
            "train",
            _text(d / "x.csv", "a,b,t\n1,1,0\n2,,1\n3,1,1\n"),
            "--target",
            "t",
            "--model",
            d / "m",
        ],
        "",
    ),
    "missing label": (
        3,
        lambda d: ["train", _text(d / "x.csv", "a,t\n1,0\n2,\n3,1\n"), "--target", "t", "--model", d / "m"],
        "missing",
    ),
    "damaged model": (3, lambda d: ["inspect", _text(d / "m", "PK nonsense")], "not a complete model file"),
    "unknown label": (3, lambda d: _evaluate_with_other_labels(d), "labels that the model does not know"),
    "bad C": (
        2,
        lambda d: ["train", write(d / "x.csv"), "--target", "t", "--model", d / "m", "--C", "0"],
        "positive number",
    ),
    "bad share": (
        2,
        lambda d: ["train", write(d / "x.csv"), "--target", "t", "--model", d / "m", "--test-size", "1.5"],
        "share",
    ),
    "unknown solver": (
        2,
        lambda d: ["train", write(d / "x.csv"), "--target", "t", "--model", d / "m", "--solver", "sag"],
        "newton-cg",
    ),
    "unknown backend": (
        2,
        lambda d: ["train", write(d / "x.csv"), "--target", "t", "--model", d / "m", "--backend", "gpu"],
        "cupy",
    ),
    "no verb": (2, lambda d: [], "VERB"),
    "model is a folder": (
        5,
        lambda d: ["train", write(d / "x.csv"), "--target", "t", "--model", d],
        "is a folder",
    ),
}


def _text(path, text):
    path.write_text(text)
    return path


def _evaluate_with_other_labels(folder):
    run("train", write(folder / "x.csv"), "--target", "t", "--drop", "w", "--model", folder / "m", "--quiet")
    return [
        "evaluate",
        write(folder / "y.csv", labels=("no", "maybe")),
        "--target",
        "t",
        "--model",
        folder / "m",
    ]


@pytest.mark.parametrize("reader", ["pyarrow", "numpy"])
@pytest.mark.parametrize("kind", BAD)
def test_bad_input(tmp_path, capsys, monkeypatch, kind, reader):
    if reader == "numpy":
        monkeypatch.setitem(sys.modules, "pyarrow", None)
    code, arguments, words = BAD[kind]
    arguments = arguments(tmp_path)
    capsys.readouterr()
    got, out, err = run(*arguments, capsys=capsys)
    assert got == code, err
    assert words in err and "Traceback" not in err and out == ""
    assert kind in ("damaged model", "unknown label") or not (tmp_path / "m").exists()


@pytest.mark.parametrize("suffix", FORMATS)
def test_truncated_files(tmp_path, capsys, suffix):
    path = write(tmp_path / f"data{suffix}")
    whole = path.read_bytes()
    target = "-1" if suffix == ".npy" else "t"
    for share in (0, 0.1, 0.5, 0.9, 0.999):
        path.write_bytes(whole[: int(share * len(whole))])
        code, out, err = run("train", path, "--target", target, "--model", tmp_path / "m", capsys=capsys)
        if suffix in (".csv", ".tsv") and share > 0.1:
            assert code in (0, 3)  # text that is cut may still be a table
        else:
            assert code == 3 and "Traceback" not in err, (share, err)


def test_strict(tmp_path, capsys):
    arguments = [
        "train",
        write(tmp_path / "x.csv"),
        "--target",
        "t",
        "--drop",
        "w",
        "--model",
        tmp_path / "m",
        "--solver",
        "gd",
        "--max-iter",
        2,
    ]
    code, _, err = run(*arguments, capsys=capsys)
    assert code == 0 and "warning: Solver gd stopped (max_iter)" in err
    assert run(*arguments, "--strict") == 4 and (tmp_path / "m").exists()
    assert run(*arguments[:-4], "--strict") == 0  # the default solver converges
    separable = _text(tmp_path / "s.csv", "a,t\n1,0\n2,0\n3,1\n4,1\n")
    assert run("train", separable, "--target", "t", "--model", tmp_path / "m", "--C", "inf", "--strict") == 4


def test_a_full_disk(tmp_path, capsys):
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full on this system")
    data = write(tmp_path / "x.csv")
    run("train", data, "--target", "t", "--drop", "w", "--model", tmp_path / "m", "--quiet")
    done = subprocess.run(
        [sys.executable, "-m", "logreg_accel", "predict", str(data), "--model", str(tmp_path / "m")],
        stdout=open("/dev/full", "w"),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert done.returncode == 5 and "No space left" in done.stderr


def test_ctrl_c(tmp_path):
    """Interrupted in the middle of a fit: exit code 130, and the model so far is saved whole."""
    rng = np.random.default_rng(0)
    A = rng.standard_normal((20_000, 50)) * np.logspace(-4, 4, 50)
    np.save(tmp_path / "x.npy", np.column_stack([A, rng.random(20_000) < 0.5]))
    child = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "logreg_accel",
            "train",
            str(tmp_path / "x.npy"),
            "--target",
            "-1",
            "--model",
            str(tmp_path / "m"),
            "--solver",
            "gd",
            "--tol",
            "0",
            "--max-iter",
            "100000000",
        ],
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in child.stderr:
        if line.split()[:1] == ["5"]:
            break
    time.sleep(0.1)
    child.send_signal(signal.SIGINT)
    child.stderr.read()
    assert child.wait(30) == 130
    assert load(tmp_path / "m").status_ == "interrupted"


def test_help_is_quick_to_import():
    """No library that takes long to load is touched before a verb runs."""
    code = (
        "import sys, contextlib, io\nfrom logreg_accel.cli import main\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit): main(['--help'])\n"
        "print(sorted({'numpy', 'scipy', 'sklearn', 'numba', 'cupy', 'pyarrow', 'matplotlib', 'rich', 'pandas'} & set(sys.modules)))"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        == "[]\n"
    )


def test_demo(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    page = tmp_path / "page.html"
    code, out, err = run("demo", "--rows", 2000, "--features", 8, "--output", page, capsys=capsys)
    assert code == 0 and str(page) in out and "diff. from numpy" in out
    html = page.read_text()
    assert html.count("<svg") == 3 and html.rstrip().endswith("</html>")
    assert "<script" not in html and 'src="http' not in html and "@import" not in html
    code, out, _ = run("demo", "--rows", 2000, "--features", 8, "--output", page, "--json", capsys=capsys)
    report = json.loads(out)
    assert code == 0 and {run["backend"] for run in report["generated"]} >= {"numpy", "numba"}
    assert all(run["difference"] < 1e-4 for run in report["generated"] + report["breast_cancer"])
