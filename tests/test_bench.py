"""Every benchmark runs once, at a tiny size; by default at one shape.

It checks its result against the NumPy reference before it times.
"""

import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from logreg_accel import plain_loss_gradient, read_bandwidth, yardstick
from logreg_accel.cli import main
from logreg_accel.solvers import costs
from logreg_accel.yardstick import plain_reads

ROOT = Path(__file__).parent.parent


def run_benchmarks(*selection):
    command = [sys.executable, "-m", "pytest", "bench", "-q", "--benchmark-disable", "-p", "no:cacheprovider"]
    return subprocess.run(
        [*command, *selection],
        cwd=ROOT,
        env={**os.environ, "LOGREG_ACCEL_BENCH_ROWS": "2000"},
        capture_output=True,
        text=True,
    )


def test_benchmarks_run():
    check_benchmarks(run_benchmarks("-k", "float32 and 1000000x100"))


@pytest.mark.slow
def test_benchmarks_of_every_shape_and_dtype_run():
    check_benchmarks(run_benchmarks())


def check_benchmarks(done):
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout and " failed" not in done.stdout


def test_readme_figures_are_those_of_the_results():
    done = subprocess.run(
        [sys.executable, "bench/readme.py", "--check"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_the_ledger_has_the_constants_of_the_code():
    rows = re.findall(
        r"^\| `([a-z_.]+)\.(_?[A-Z_]+)` \| ([0-9.]+) \|",
        (ROOT / "bench/README.md").read_text(encoding="utf-8"),
        re.M,
    )
    assert len(rows) >= 6
    for module, name, value in rows:
        assert getattr(importlib.import_module(f"logreg_accel.{module}"), name) == float(value), name


@pytest.mark.parametrize("layout", ["C", pytest.param("F", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "dtype",
    [
        "float32",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("float64", "float16", "int8", "uint8")),
    ],
)
def test_the_bench_verb_measures_every_storage(dtype, layout, capsys, tmp_path):
    code = main(
        [
            "bench",
            "--dtypes",
            dtype,
            "--layout",
            layout,
            "--features",
            "7,64",
            "--gigabytes",
            "0.001",
            "--repeats",
            "1",
            "--json",
            "--output",
            str(tmp_path / "roofline.svg"),
        ]
    )
    report = json.loads(capsys.readouterr().out)
    assert code == 0 and [row["features"] for row in report["passes"]] == [7, 64]
    assert all(row["GB_per_s"] > 0 and row["share_of_plain_read"] > 0 for row in report["passes"])
    assert (tmp_path / "roofline.svg").read_text().startswith("<svg")


def test_plain_reads_read_all_of_x():
    X = np.arange(3 * 1024 * 2, dtype=np.float32).reshape(3, 2048)
    assert set(plain_reads(X)) == {"X @ w", "sum"} and read_bandwidth(X, repeats=1) > 0
    assert yardstick._as_words(X.astype(np.int8)).nbytes == 4096
    value, gradient = plain_loss_gradient(X / X.max(), np.array([0, 1, 1]), np.zeros(2048), 0.0)
    assert value == pytest.approx(3 * np.log(2)) and gradient[-1] == pytest.approx(-0.5)


@pytest.mark.slow
def test_alternatives_run():
    done = subprocess.run(
        [
            sys.executable,
            "bench/alternatives.py",
            "--gigabytes",
            "0.001",
            "--repeats",
            "1",
            "--features",
            "16",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and "prange" in done.stderr, done.stderr


def test_costs_are_fitted_to_the_results(monkeypatch):
    """The constants of the cost model of "auto" follow from the recorded measurements."""
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")  # which the script sets
    monkeypatch.syspath_prepend(ROOT / "bench")
    auto = importlib.import_module("auto")
    cases = json.loads((ROOT / "bench/results/auto.json").read_text(encoding="utf-8"))["cases"]
    for layout, solvers in auto.fitted(cases).items():
        for solver, found in solvers.items():
            for mine, theirs in zip(costs.COSTS[layout][solver], found, strict=True):
                np.testing.assert_allclose(mine, theirs, rtol=0.02, atol=1e-12)
    ratios = np.array([case["times_fastest"] for case in cases])
    assert np.exp(np.log(ratios).mean()) < 1.15


def test_solvers_are_compared(tmp_path):
    done = subprocess.run(
        [sys.executable, "bench/auto.py", "--quick", "--output", str(tmp_path / "auto.json")],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    cases = json.loads((tmp_path / "auto.json").read_text())["cases"]
    assert cases and all(case["times_fastest"] >= 1 for case in cases)
