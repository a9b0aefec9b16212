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
