"""The variants of our kernel's launch, measured."""

import concurrent.futures
from unittest import mock

import numpy as np
from gpu_compilers import compilers
from gpu_contestants import Problem, our_launches
from gpu_data import Pool, relative_error
from gpu_results import attempt
from gpu_timing import device_ms, measure_read, median
from gpu_variants import variants

from logreg_accel.kernels.cuda import shapes

_WRONG = 1e-4  # relative distance of a variant's gradient from the base launch's


def measure_launch(problem, launch, repeats, expected=None):
    """Milliseconds of a launch's kernel alone, and its gradient.

    The gradient is checked against `expected`, if there is one.
    """
    with mock.patch.object(shapes, "dense", lambda *arguments: launch):
        result, launches = our_launches(problem)
    kernel, name, *arguments = launches[0]
    error = 0.0 if expected is None else relative_error(result.gradient, expected)
    if not error <= _WRONG:
        raise ArithmeticError(f"another gradient, by {error:.1e}")
    ms = median(lambda: device_ms(lambda: kernel(*arguments)), repeats)
    return {
        "ms": ms,
        "kernel": name,
        "slices": launch.grid,
        "slice_rows": launch.slice_rows,
        "difference": error,
        "registers": getattr(kernel, "num_regs", None),
        "local_bytes": getattr(kernel, "local_size_bytes", None),
    }, result.gradient


def base_launch(dtype, m, n):
    """What the backend launches for a matrix whose rows are not padded."""
    vector = shapes.widest_vector(np.dtype(dtype).itemsize, 0, n, n)
    return shapes.dense("LossGradient", dtype, m, n, 1, vector)


def sweep_case(pool, part, dtype, n, best_read, repeats, budget, compiled):
    """The base launch and its variants for one matrix; `compiled` has a future for each kernel."""
    X = pool.matrix(dtype, n)
    m, problem = X.shape[0], Problem(X)
    launch = base_launch(dtype, m, n)
    base, gradient = measure_launch(problem, launch, repeats)
    measured, late, failed = [{"change": {}, **base}], [], {}
    for change, other in variants(launch, m, n):
        key = f"{dtype} {n} {change}"
        concurrent.futures.wait([compiled[other.kernel]], timeout=max(0, budget.left()))
        if budget.left() < 1:
            late.append(key)
        elif part.refuses(key):
            failed[key] = "ended the process"
        else:
            with part.under(key):
                found = attempt(failed, key, measure_launch, problem, other, repeats, gradient)
            if found:
                measured.append({"change": change, **found[0]})
    for entry in measured:
        entry["share_of_read"] = X.nbytes / entry["ms"] / 1e6 / best_read
    best = min(measured, key=lambda entry: entry["ms"])
    return {
        "dtype": dtype,
        "features": n,
        "rows": m,
        "bytes": X.nbytes,
        "base_ms": base["ms"],
        "best": best,
        "gain": base["ms"] / best["ms"],
        "variants": measured,
        "failed": failed,
        "not_measured": late,
    }


def sweep(options, budget, part):
    """Every dtype and width in order of importance; the compilers work ahead of the measurements."""
    wanted, names = [(dtype, n) for dtype in ("float32", "float16") for n in options.sweep_widths], {}
    for dtype, n in wanted:
        m = options.bytes // np.dtype(dtype).itemsize // n
        names |= dict.fromkeys(other.kernel for _, other in variants(base_launch(dtype, m, n), m, n))
    with compilers(names) as compiled:
        pool = Pool(options.bytes)
        part["read"] = read = measure_read(pool.matrix("float32", 256), options.repeats)
        for i, (dtype, n) in enumerate(wanted):
            limit = budget.share(max(0.3, 1 / (len(wanted) - i)))
            case = (dtype, n, read["best_read_GB_per_s"], 5, limit, compiled)
            part.case(f"{dtype} {n}", budget, sweep_case, pool, part, *case)
