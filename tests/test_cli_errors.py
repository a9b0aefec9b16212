"""The command line when something is wrong: bad input, full disks, interrupts, fits that do not converge."""

import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from command_line import FORMATS, run, write

from logreg_accel import load

NONE = ["--target", "t", "--encode", "none"]
ARFF = "Title, source\n%\n\n@RELATION some\n@ATTRIBUTE a REAL\n@ATTRIBUTE t {0, 1}\n@DATA\n1,0\n2,1\n"
BAD = {
    "missing file": (5, lambda d: ["train", d / "none.csv", "--target", "t", "--model", d / "m"], "none.csv"),
    "missing folder": (
        5,
        lambda d: ["train", write(d / "x.csv"), "--target", "t", "--model", d / "no" / "m"],
        "not a folder",
    ),
    "missing model": (5, lambda d: ["predict", write(d / "x.csv"), "--model", d / "none"], "none"),
    "no such column": (
        3,
        lambda d: ["train", write(d / "x.csv"), "--target", "tt", "--model", d / "m"],
        "Did you mean 't'?",
    ),
    "no such column beside a long name": (
        3,
        lambda d: [
            "train",
            _text(d / "x.csv", "a" + " word" * 99 + ",b\n1,0\n"),
            "--target",
            "t",
            "--model",
            "m",
        ],
        "It has: a word word word word word word word wor..., b.",
    ),
    "ARFF": (
        3,
        lambda d: ["train", _text(d / "x", f"% {ARFF}"), "--target", "t", "--model", d / "m"],
        "is an ARFF file; expected a table. The lines after its line @data",
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
        lambda d: ["train", _text(d / "x.svm", "a,t\n1,0\n"), "--model", d / "m"],
        "not a readable svmlight file",
    ),
    "svmlight from 0": (
        3,
        lambda d: ["train", _text(d / "x.svm", "1 0:2\n0 2:1\n"), "--model", d / "m"],
        "indices from 1 on",
    ),
    "empty svmlight": (3, lambda d: ["train", _text(d / "x.svm", ""), "--model", d / "m"], ""),
    "text column": (
        3,
        lambda d: ["train", _text(d / "x.csv", "a,b,t\n1,x,0\n2,y,1\n"), *NONE, "--model", d / "m"],
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
        "'a'",
    ),
    "missing value": (
        3,
        lambda d: [
            "train",
            _text(d / "x.csv", "a,b,t\n1,1,0\n2,,1\n3,1,1\n"),
            *NONE,
            "--model",
            d / "m",
        ],
        "",
    ),
    "NaN": (
        3,
        lambda d: [
            "train",
            _text(d / "x.csv", "a,b,t\n1,1,0\n2,nan,1\n3,1,1\n"),
            *NONE,
            "--model",
            d / "m",
        ],
        "NaN: first at row 1, column 1 ('b')",
    ),
    "seed below zero": (
        2,
        lambda d: ["train", write(d / "x.csv"), "--target", "t", "--model", d / "m", "--seed", "-1"],
        "'-1' is not an integer from 0",
    ),
    "missing label": (
        3,
        lambda d: ["train", _text(d / "x.csv", "a,t\n1,0\n2,\n3,1\n"), "--target", "t", "--model", d / "m"],
        "column 't' has",
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
def test_bad_input_exits_with_its_code_and_message(tmp_path, capsys, monkeypatch, kind, reader):
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


def test_strict_exits_with_4_if_the_fit_did_not_converge(tmp_path, capsys):
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
    code, out, err = run(*arguments, "--strict", "--quiet", capsys=capsys)
    assert code == 4 and (tmp_path / "m").exists() and out == ""
    assert err.startswith("warning: Solver gd stopped (max_iter)") and err.count("\n") == 1
    assert run(*arguments, "--quiet", capsys=capsys) == (0, "", "")
    assert run(*arguments, "--strict") == 4
    assert run(*arguments[:-4], "--strict") == 0  # the default solver converges
    separable = _text(tmp_path / "s.csv", "a,t\n1,0\n2,0\n3,1\n4,1\n")
    assert run("train", separable, "--target", "t", "--model", tmp_path / "m", "--C", "inf", "--strict") == 4


def test_a_full_disk_is_an_error_of_output(tmp_path, capsys):
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


def test_ctrl_c_saves_the_model_so_far(tmp_path):
    """A fit that is interrupted exits with code 130, and the model so far is saved."""
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
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a background job ignores it
    )
    bound = threading.Timer(60, child.kill)
    bound.start()
    try:
        for line in child.stderr:
            if line.split()[:1] == ["5"]:
                break
        time.sleep(0.1)
        child.send_signal(signal.SIGINT)
        child.stderr.read()
        assert child.wait(30) == 130
    finally:
        bound.cancel()
        child.kill()
    assert load(tmp_path / "m").status_ == "interrupted"


def test_errors_of_usage_are_short(capsys):
    """They have two lines, and suggest what scikit-learn's names and misspelt options are here."""
    cases = {
        ("train", "x.csv"): "required: --model",
        ("inspect",): "one of the arguments MODEL.npz --model is required",
        ("train", "x.csv", "--model", "m", "--penalty", "l1"): "here it is --l1-ratio",
        ("train", "x.csv", "--model", "m", "--tset-size", "0.2"): "did you mean --test-size?",
        ("evalate",): "did you mean evaluate?",
        ("demo", "--report", "page.html"): "--report page.html; it is an option of train and evaluate\n",
        ("evaluate", "x.csv", "--model", "m", "--quiet"): "an option of train, predict, bench and demo\n",
        ("predict", "x.csv", "--model", "m", "--firth"): "--firth; it is an option of train\n",
    }
    for words, told in cases.items():
        code, out, err = run(*words, capsys=capsys)
        assert code == 2 and not out and told in err and err.count("\n") == 2 and "--help" in err
    code, out, err = run(capsys=capsys)
    assert code == 2 and not out and "evaluate  measure a model" in err
