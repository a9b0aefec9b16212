"""A whole day on a GPU, rehearsed on the stand-in for CuPy: bench/gpu.sh from its first step to its table."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from cuda_on_cpu.emulator import why_not

from conftest import EMULATED

ROOT = Path(__file__).parent.parent
CHECKER = """#!/usr/bin/env bash
[ "$1 $3" = "--tool --error-exitcode" ] || exit 3
shift 4
exec "$@"
"""


@pytest.mark.slow
@pytest.mark.skipif(not EMULATED or why_not() is not None, reason=f"there is a GPU, or: {why_not()}")
def test_the_day_is_rehearsed_within_its_budgets(tmp_path):
    checker = tmp_path / "bin" / "compute-sanitizer"
    checker.parent.mkdir()
    checker.write_text(CHECKER)
    checker.chmod(0o755)
    env = os.environ | {
        "PATH": f"{checker.parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHON": sys.executable,
        "REHEARSE": "1",
        "WORKERS": "2",
        "OUT": str(tmp_path / "out"),
        "TESTS": "test_backend_cupy_workspace or (test_sparse and cupy and few_lanes)",
    }
    done = subprocess.run(
        ["bash", ROOT / "bench" / "gpu.sh"], env=env, capture_output=True, text=True, timeout=600
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    for step in ("tests", "memcheck", "racecheck", "benchmark"):
        assert f"{step}: exit code 0" in done.stdout, said
    assert int(re.search(r"(\d+) s in all", done.stdout)[1]) <= 570, said
    report = json.loads((tmp_path / "out" / "gpu.json").read_text())
    assert len(report["sections"]) == 9 and {how["ending"] for how in report["sections"].values()} == {"done"}
    for section in report["sections"]:
        check_section(section, report[section])
    assert (tmp_path / "out" / "gpu.svg").read_text().startswith("<?xml")


def check_section(section, part):
    """Everything was measured but for peers that are not installed here."""
    failures, absent = dict(part["failed"]), ("PyTorch", "JAX")
    for case in part["cases"]:
        failures |= case.get("failed", {}) | case.get("wrong", {})
    assert not {name: why for name, why in failures.items() if not name.startswith(absent)}, section
    assert part["cases"] and not part["not_measured"] and not part["ended_the_process"], section
