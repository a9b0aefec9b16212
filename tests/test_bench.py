"""Every benchmark runs once, at a tiny size: it checks its result against the NumPy reference before it times."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_benchmarks_run(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "bench", "-q", "--benchmark-disable", "-p", "no:cacheprovider"],
        cwd=ROOT, env={**os.environ, "LOGREG_ACCEL_BENCH_ROWS": "2000"}, capture_output=True, text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout and " failed" not in done.stdout


def test_readme_figures_are_those_of_the_results():
    done = subprocess.run([sys.executable, "bench/readme.py", "--check"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_alternatives_run():
    done = subprocess.run(
        [sys.executable, "bench/alternatives.py", "--gigabytes", "0.001", "--repeats", "1", "--features", "16"],
        cwd=ROOT, capture_output=True, text=True,
    )
    assert done.returncode == 0 and "prange" in done.stderr, done.stderr
