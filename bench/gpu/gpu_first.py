"""The first fit of each kind where nothing was compiled before, beside the second one."""

import functools
import tempfile
import time
import warnings
from pathlib import Path
from unittest import mock

import numpy as np
import scipy.sparse
from gpu_data import free_memory

from logreg_accel import LogisticRegression
from logreg_accel.kernels.cuda import caching


def first(options, budget, part):
    """Seconds of fits from the host, with nothing compiled when the section begins.

    CuPy's cache is that of the section's process (`gpu_runs.py`), since it is named when CuPy is imported.

    What one kind compiles, later ones find.
    """
    warnings.simplefilter("ignore")
    m = options.model_rows // 20
    kinds = {
        "2 classes": functools.partial(dense, m, 2),
        "sparse, 2 classes": functools.partial(sparse, m, 2),
        "sparse, 4 classes": functools.partial(sparse, m, 4),
        "10 classes": functools.partial(dense, m, 10),
    }
    with (
        tempfile.TemporaryDirectory() as empty,
        mock.patch.object(caching, "folder", lambda: Path(empty)),
    ):
        for name, draw in kinds.items():
            part.case(name, budget, fit_twice, draw)
            free_memory()


def dense(m, n_classes, n=50):
    rng = np.random.default_rng(n_classes)
    X = rng.standard_normal((m, n), dtype=np.float32)
    return X, labels(rng, X @ rng.standard_normal((n, n_classes)).astype(np.float32))


def sparse(m, n_classes, n=500):
    rng = np.random.default_rng(n_classes)
    X = scipy.sparse.random_array((m, n), density=0.05, format="csr", dtype=np.float32, rng=rng)
    return X, labels(rng, X @ rng.standard_normal((n, n_classes)).astype(np.float32))


def labels(rng, Z):
    return (Z + rng.gumbel(size=Z.shape)).argmax(axis=1).astype(np.uint8)


def fit_twice(draw):
    X, y = draw()
    taken = []
    for _ in range(2):
        began = time.perf_counter()
        model = LogisticRegression(backend="cupy", tol=1e-6).fit(X, y)
        taken.append(time.perf_counter() - began)
    return {"first_s": taken[0], "second_s": taken[1], "solver": str(model.solver_), "status": model.status_}
