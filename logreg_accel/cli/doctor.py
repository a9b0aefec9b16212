"""`logreg-accel doctor`: what this machine can use."""

import importlib
import importlib.metadata
import itertools
import os
import platform
import time
import warnings
from pathlib import Path

import numpy as np
import scipy.sparse

from .. import LogisticRegression, backends
from ..backends import CUPY_FROM_BYTES, numba_from_bytes
from ..backends.ahead import compiled_ahead, mark
from ..backends.threads import available_threads
from .output import Progress, UsageError, print_facts, print_json, print_table

_PACKAGES = (
    "logreg-accel",
    "numpy",
    "scipy",
    "scikit-learn",
    "numba",
    "cupy-cuda13x",
    "cupy-cuda12x",
    "pyarrow",
    "matplotlib",
    "rich",
)


def doctor(options):
    """Print which backends are usable, why the others are not, and what the machine and its libraries are."""
    if options.warm:
        warm()
    usable = backends()
    facts = machine()
    versions = {name: _version(name) for name in _PACKAGES}
    if options.json:
        ahead = compiled_ahead()
        print_json({"backends": usable, "compiled_ahead": ahead, "machine": facts, "versions": versions})
        return
    print_table(
        "Backends",
        ["name", "usable", "why not"],
        [[name, "no" if why else "yes", why or ""] for name, why in usable.items()],
    )
    print_facts(
        "\nbackend='auto' takes",
        {
            f"below {numba_from_bytes() >> 20} MiB of X, a quarter of that if sparse": "numpy",
            "from there": "numba" + (", compiled ahead" if compiled_ahead() else ""),
            f"from {CUPY_FROM_BYTES >> 20} MiB, or for X on a GPU": "cupy, where it is usable",
        },
    )
    print_facts("\nMachine", {name.replace("_", " "): fact for name, fact in facts.items()})
    print_facts("\nVersions", {name: version or "not installed" for name, version in versions.items()})


def warm():
    """Compile for common data by small fits, and leave the marker that "auto" checks.

    This compiles Numba's loops and, with a GPU, its kernels for float32 by rows, for every number of columns.

    Raises
    ------
    UsageError
        Numba cannot be used, or nothing can be kept on disk.
    """
    if problem := backends.unusable("numba"):
        raise UsageError(f"--warm: {problem}")
    if not importlib.import_module("logreg_accel.kernels.cpu").caching.CACHE:
        raise UsageError("--warm: compiled code cannot be kept; set XDG_CACHE_HOME to a folder with room")
    progress, began = Progress(), time.perf_counter()
    for kind, dtype, K in itertools.product(_STORED_AS, ("float32", "float64"), (2, 3)):
        progress.say(f"compiling: X {kind}, {dtype}, {'two classes' if K == 2 else 'more classes'}")
        _fits("numba", kind, dtype, K)
        if not backends.unusable("cupy"):
            _fits("cupy", kind, dtype, K)
    if not backends.unusable("cupy"):
        dense = importlib.import_module("logreg_accel.backends.cupy.dense")
        for done, total in dense.compile_ahead("float32"):
            progress.say(f"compiling: kernels for a GPU, {done} of {total}")
    try:
        path = mark()
    except OSError as error:
        raise UsageError(f"--warm: {error}") from error
    progress.say(
        f"done in {time.perf_counter() - began:.0f} s; recorded in {path}; delete that file to undo it"
    )


_STORED_AS = {
    "by rows": np.ascontiguousarray,
    "by columns": np.asfortranarray,
    "sparse": scipy.sparse.csr_array,
}


def _fits(backend, kind, dtype, n_classes):
    """Every solver that "auto" may take, with weights and without, and a prediction."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((400, 6)) * (rng.random((400, 6)) < 0.7)
    y = (X @ rng.standard_normal((6, n_classes)) + rng.gumbel(size=(400, n_classes))).argmax(axis=1)
    X, weight = _STORED_AS[kind](X.astype(dtype)), rng.random(400)
    names = ["newton-cholesky", "newton-cg", "newton-subsampled", "lbfgs"]
    smooth = [{"solver": name} for name in names + ["dual"] * (backend == "numba")]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for settings in [*smooth, {"l1_ratio": 1.0}, {"l1_ratio": 1.0, "solver": "fista"}]:
            clf = LogisticRegression(backend=backend, tol=1e-6, **settings)
            clf.fit(X, y)
            clf.fit(X, y, weight).predict(X)


def machine():
    """Describe CPU, threads, memory and BLAS in plain values; benchmark results are filed under them."""
    import threadpoolctl

    blas = [pool for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]
    return {
        "processor": _processor(),
        "threads": available_threads(),
        "memory_GiB": round(_memory_limit() / 2**30, 1),
        "blas": ", ".join(
            sorted(
                {f"{pool['internal_api']} {pool['version']} ({pool['num_threads']} threads)" for pool in blas}
            )
        ),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def _processor():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")


def _memory_limit():
    """Return the bytes of memory that this process may use, fewer in a container than the machine has."""
    limit = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        return min(limit, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    except (OSError, ValueError):  # no cgroup v2, or no limit ("max")
        return limit


def _version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
