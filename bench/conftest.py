"""Problems, the plain read and the plain way, shared by all benchmarks.

LOGREG_ACCEL_BENCH_ROWS bounds the rows (the ordinary tests run everything at 2,000).
"""

import os

import numpy as np
import pytest

from logreg_accel import read_bandwidth
from logreg_accel.backends import get_backend, unusable
from logreg_accel.cli.doctor import machine
from logreg_accel.data import Block, as_matrix

ROWS = int(os.environ.get("LOGREG_ACCEL_BENCH_ROWS", 1_000_000))
BACKENDS = [
    "numpy",
    "numba",
    pytest.param(
        "cupy", marks=pytest.mark.skipif(unusable("cupy") is not None, reason=f"cupy: {unusable('cupy')}")
    ),
]
DTYPES = ["float32", "float64"]
SHAPES = [(4_000_000, 16), (1_000_000, 100), (200_000, 512), (50_000, 2048)]
FIT_SHAPES = [(1_000_000, 100), (200_000, 512)]


def _id(shape):
    return f"{shape[0]}x{shape[1]}"


SHAPE_PARAMS = [pytest.param(shape, id=_id(shape)) for shape in SHAPES]
FIT_SHAPE_PARAMS = [pytest.param(shape, id=_id(shape)) for shape in FIT_SHAPES]


class Problem:
    """X, y and weights W of a logistic model, and how fast this machine reads this X."""

    def __init__(self, shape, dtype):
        m, n = min(shape[0], ROWS * 4), shape[1]
        m = m if ROWS >= 1_000_000 else min(m, ROWS)
        rng = np.random.default_rng(0)
        self.X = rng.standard_normal((m, n), dtype=np.dtype(dtype))
        self.X[:, 1:] += 0.5 * self.X[:, :-1]
        w = rng.standard_normal(n) / np.sqrt(n)
        self.y = (rng.random(m) < 1 / (1 + np.exp(-(self.X @ w.astype(dtype))))).astype(np.uint8)
        self.W = np.append(w, 0.1)[:, None] * 0.7
        self.block = Block(as_matrix(self.X), self.y)
        self.read = {"cpu": read_bandwidth(self.X, repeats=5 if ROWS >= 1_000_000 else 1)}


_problems = {}


@pytest.fixture
def problem(shape, dtype):
    """One problem is kept at a time: they are large."""
    if (shape, dtype) not in _problems:
        _problems.clear()
        _problems[shape, dtype] = Problem(shape, dtype)
    return _problems[shape, dtype]


def backend_and_block(name, problem):
    """A backend with the problem's block uploaded, and where its plain read was measured."""
    backend, _ = get_backend(name, problem.X.nbytes)
    block = backend.upload(problem.block)
    if name == "cupy" and "gpu" not in problem.read:
        problem.read["gpu"] = read_bandwidth(block.X.stored)
    return backend, block, "gpu" if name == "cupy" else "cpu"


def report(benchmark, problem, where, reads=1):
    """GB/s of X and the share of the plain read, beside the times in the JSON."""
    read = problem.read[where]
    benchmark.extra_info.update(
        rows=problem.X.shape[0],
        features=problem.X.shape[1],
        dtype=str(problem.X.dtype),
        plain_read_GB_per_s=round(read, 2),
    )
    if benchmark.enabled:
        rate = reads * problem.X.nbytes / benchmark.stats.stats.min / 1e9
        benchmark.extra_info.update(GB_per_s=round(rate, 2), share_of_plain_read=round(rate / read, 3))


def pytest_benchmark_update_machine_info(config, machine_info):
    """The machine as `logreg-accel doctor` sees it; no host or user name."""
    machine_info.clear()
    machine_info.update(machine())


def pytest_benchmark_update_commit_info(config, commit_info):
    for name in ("author_time", "branch", "project"):
        commit_info.pop(name, None)
