"""What comes from the host: the upload alone, and whole fits on every backend."""

import time
import warnings

import cupy
import cupyx
import numpy as np
from gpu_data import free_memory
from gpu_timing import median, wall_ms

from logreg_accel import LogisticRegression
from logreg_accel.backends.cupy import CupyBackend
from logreg_accel.data import Block, as_matrix


def upload(options, budget, part):
    """Host float32 to the device: through pinned buffers, against cupy.asarray.

    A copy from pinned memory is the ceiling.
    """

    def rate(nbytes, job):
        return (
            nbytes / median(lambda: wall_ms(job), repeats=3, warm_up=1) / 1e6
        )  # pool and buffers are there from the first on

    def ceiling():
        pinned = cupyx.empty_pinned((options.bytes // 16,), dtype=np.float32)
        pinned[...] = 1
        there = cupy.empty(pinned.shape, dtype=np.float32)
        return {"GB_per_s": {"pinned copy": rate(pinned.nbytes, lambda: there.set(pinned))}}

    def both(n):
        m, some = options.bytes // 4 // n, np.random.default_rng(0).standard_normal(1 << 22, dtype=np.float32)
        X = np.resize(some, (m, n))
        block = Block(as_matrix(X), np.zeros(m, dtype=np.uint8))
        jobs = {"upload": lambda: CupyBackend().upload(block), "cupy.asarray": lambda: cupy.asarray(X)}
        return {"GB_per_s": {name: rate(X.nbytes, job) for name, job in jobs.items()}, "bytes": X.nbytes}

    part.case("pinned memory", budget, ceiling)
    for n in (256, 250):
        part.case(f"{n} features", budget, both, n)
        free_memory()


def break_even(options, budget, part):
    """Whole fits from host arrays, by size and backend.

    Told are the first fit and the better of two later ones, when nothing is compiled any more.
    """
    warnings.simplefilter("ignore")
    n = 100

    def fit(X, y, megabytes, backend):
        taken = []
        for _ in range(3):
            began = time.perf_counter()
            model = LogisticRegression(backend=backend).fit(X, y)
            taken.append(time.perf_counter() - began)
        return {
            "megabytes": megabytes,
            "backend": backend,
            "first_s": taken[0],
            "second_s": min(taken[1:]),
            "solver": str(model.solver_),
            "passes": model.n_passes_,
        }

    for megabytes in options.megabytes:
        m, rng = int(megabytes * 1e6) // (4 * n), np.random.default_rng(int(8 * megabytes))
        X = rng.standard_normal((m, n), dtype=np.float32)
        y = (rng.random(m) < 1 / (1 + np.exp(-2 * X @ (rng.standard_normal(n) / 10)))).astype(np.uint8)
        for backend in ("cupy", "numba", "numpy"):
            part.case(f"{megabytes} MB on {backend}", budget, fit, X, y, megabytes, backend)
