"""One contestant on one data set, in a process of its own: python -m race.child '{"contestant": ..., "X":
FILE.npy, ...}'

It loads X, warms up on a slice, then answers each line of its input, a setting, by a line of JSON when the
fit is done and one more when the answer is judged. Whoever started it reads the clock and ends it when a fit
takes too long.
"""

import contextlib
import ctypes
import gc
import json
import math
import os
import resource
import sys
import time
import warnings

import numpy as np

_AGAIN_BELOW = 0.3  # seconds: shorter fits are repeated, and the fastest counts
_READ_FROM = 100e6  # bytes of X: a smaller one is read from the cache
_PAUSE = (
    0.05  # before a fit: OpenBLAS's threads spin for some 30 ms after a product and would take a core from it
)


def objective(X, y, w, b, C, l1_ratio=0.0):
    """C·Σ log(1 + exp(−ỹ·(x·w + b))) + (1 − l1_ratio)·½‖w‖² + l1_ratio·‖w‖₁ in float64, for any X.

    X (m, n), y (m,) of 0 and 1, w (n,); with w (K, n) the softmax loss of y from 0 to K − 1.
    """
    w, b = np.atleast_2d(np.asarray(w, dtype=np.float64)), np.ravel(np.asarray(b, dtype=np.float64))
    rows = max(1, (1 << 22) // max(X.shape[1], 1))
    sums = []
    for start in range(0, len(y), rows):
        z, codes = X[start : start + rows].astype(np.float64) @ w.T + b, y[start : start + rows]
        if len(w) == 1:
            z = z[:, 0]
            sums.append(float(np.logaddexp(0, np.where(codes > 0, -z, z)).sum()))
        else:
            top = z.max(axis=1)
            sums.append(
                float(
                    (np.log(np.exp(z - top[:, None]).sum(axis=1)) + top - z[np.arange(len(z)), codes]).sum()
                )
            )
    return C * math.fsum(sums) + (1 - l1_ratio) * 0.5 * float((w * w).sum()) + l1_ratio * float(abs(w).sum())


def memory(peak=False):
    """Bytes that this process holds, or has held at most since `forget_peak`."""
    with contextlib.suppress(OSError):
        with open("/proc/self/status") as lines:
            found = dict(line.split(":", 1) for line in lines)
        return int(found["VmHWM" if peak else "VmRSS"].split()[0]) * 1024
    kilo = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * kilo


def forget_peak():
    """Linux remembers the most memory that a process ever held, and glibc holds what was freed.

    The most may have been at the imports.
    """
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w") as file:
        file.write("5")


def slice_of(X, y, rows):
    """Some rows of every class, in X's layout."""
    codes = np.unique(y)
    each = max(rows // len(codes), 1)
    keep = np.sort(np.concatenate([np.flatnonzero(y == code)[:each] for code in codes]))
    if hasattr(X, "indptr"):
        return X[keep], y[keep]
    return np.asarray(X[keep], order="F" if X.flags.f_contiguous and not X.flags.c_contiguous else "C"), y[
        keep
    ]


def bytes_of(X):
    """Bytes of X, of a sparse one those of its entries and indices."""
    return sum(part.nbytes for part in (X.data, X.indices, X.indptr)) if hasattr(X, "indptr") else X.nbytes


def warm_up(name, contestant, X, y, C, threads, more):
    """A fit on a slice: imports, compilation, pools of threads.

    Ours must see samples and the backend of the whole.
    """
    from .calls import backend_of

    is_ours, n = name.startswith("ours"), X.shape[1]
    setting = contestant.ladder(*X.shape)[0]
    if is_ours:
        setting = {"tol": 1e-6, "backend": backend_of(bytes_of(X))}
    some = slice_of(X, y, (200 if is_ours else 20) * (n + 1) + 1000)
    contestant.fit(*some, C, threads, **setting, **more)


def timed(fit, most):
    """The fit's result, and the seconds of its runs.

    A short one is repeated up to a second, `most` times at most.
    """
    seconds, result = [], None
    while not seconds or (seconds[0] < _AGAIN_BELOW and sum(seconds) < 1 and len(seconds) < most):
        time.sleep(_PAUSE)
        began = time.perf_counter()
        result = fit()
        seconds.append(time.perf_counter() - began)
        if len(seconds) == 1:
            say({"fitted": seconds[0]})
    return result, seconds


def run(contestant, X, y, C, threads, setting, more, repeats=20):
    """Answers to one setting.

    They are the seconds of the fastest run and of all, the objective, and the most memory above X and y,
    in MB.
    """
    forget_peak()
    held = memory()
    fitted, seconds = timed(lambda: contestant.fit(X, y, C, threads, **setting, **more), repeats)
    above = max(0, memory(peak=True) - held)
    value = objective(X, y, fitted.w, fitted.b, C, **more)
    finite = math.isfinite(value)
    answer = {
        "status": "ok" if finite else "not finite",
        "seconds": float(f"{min(seconds):.4g}"),
        "value": value if finite else None,
        "iterations": fitted.iterations,
        "reads": fitted.reads,
        "memory_MB": round(above / 1e6, 1),
        "note": fitted.note,
    }
    if contestant.module == "logreg_accel" and not hasattr(X, "indptr") and X.nbytes > _READ_FROM:
        from logreg_accel import read_bandwidth

        answer["plain_read_seconds"] = X.nbytes / (1e9 * read_bandwidth(X, repeats=3, n_threads=threads))
    return answer


def steps(X, y, C, threads, dtype, tol):
    """Reads of X, stored as dtype, by ours up to each accepted point, and the objective there."""
    from .calls import steps_of_ours

    points = steps_of_ours(X.astype(dtype, copy=False), y, C, threads, tol)
    say({"fitted": 0.0})
    return {"status": "ok", "points": [[reads, objective(X, y, w, b, C)] for reads, w, b in points]}


def say(answer):
    _out.write(json.dumps(answer) + "\n")
    _out.flush()


def main(spec):
    warnings.simplefilter("ignore")
    if hasattr(os, "sched_setaffinity"):  # for pools that heed no setting
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: spec["threads"]])
    from .contestants import CONTESTANTS

    contestant = CONTESTANTS[spec["contestant"]]
    if spec["X"].endswith(".npz"):
        import scipy.sparse

        X = scipy.sparse.load_npz(spec["X"]).astype(spec["dtype"])
    else:
        X = np.array(np.load(spec["X"], mmap_mode="r"), dtype=spec["dtype"], order=contestant.order)
    more = {"l1_ratio": spec["l1_ratio"]} if spec["l1_ratio"] else {}
    y, C, threads = np.load(spec["y"]), spec["C"], spec["threads"]
    from threadpoolctl import threadpool_limits

    if spec["warm"]:
        warm_up(spec["contestant"], contestant, X, y, C, threads, more)
    else:
        from logreg_accel import LogisticRegression  # noqa: F401  the import is not what a cold fit is about
    with threadpool_limits(threads):  # after the imports: it knows the libraries that are loaded
        say({"ready": True})
        for line in sys.stdin:
            setting = json.loads(line)
            try:
                say(
                    steps(X, y, C, threads, **setting["steps"])
                    if "steps" in setting
                    else run(contestant, X, y, C, threads, setting, more, spec["repeats"])
                )
            except Exception as error:  # whatever a peer raises is its result
                first_line = str(error).splitlines()[0][:200] if str(error) else ""
                say({"status": f"{type(error).__name__}: {first_line}"})


if __name__ == "__main__":
    _out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a peer prints must not mix with the answers
    main(json.loads(sys.argv[1]))
