"""Loss and gradient at one point, at every width, and those of several outputs.

The contestants are ours, two cuBLAS products, the tiled generic body, PyTorch and JAX.
"""

import concurrent.futures
import time

import gpu_fused
import numpy as np
from gpu_compilers import compilers
from gpu_contestants import COMPILED, OURS, QUICK, TILED, Problem, our_gradient, two_products
from gpu_data import Pool, free_memory, reference
from gpu_timing import Contestant, Race, measure_read, read_jobs

from logreg_accel.kernels.cuda import shapes

_OTHERS = [(dtype, n) for n in (256, 1024, 4096) for dtype in ("uint8", "float64", "bfloat16")]


def evaluate(pool, part, dtype, n, contestants, best_read, repeats, budget, outputs=1):
    """One case: its contestants are prepared and checked as long as the budget lasts, then timed.

    `contestants` maps a name to a function of the problem.
    """
    X = pool.matrix(dtype, n)
    problem, longest, late = Problem(X, outputs), part.setdefault("seconds_to_prepare", {}), []
    race = Race(reference(X, problem.y, problem.W, problem.V))
    for name, make in contestants.items():
        key = f"{dtype} {n} {name}"
        if part.refuses(key):
            race.failed[name] = "ended the process"
        elif budget.left() < max(3.0, 1.2 * longest.get(name, 0.0)):
            late.append(name)
        else:
            began = time.perf_counter()
            with part.under(key):
                race.enter(name, make, problem)
            longest[name] = max(time.perf_counter() - began, longest.get(name, 0.0))
    return {
        "dtype": dtype,
        "features": n,
        "outputs": outputs,
        "rows": X.shape[0],
        "bytes": X.nbytes,
        "floor_ms": X.nbytes / best_read / 1e6,
        **race.run(X.nbytes, best_read, repeats),
        "not_measured": late,
    }


def evaluations(options, budget, part):
    """All cases, in three rounds: what is quick to prepare, what has to be compiled, the other dtypes."""
    pool = Pool(options.bytes)
    part["read"] = read = measure_read(pool.matrix("float32", 256), options.repeats)
    ours = OURS | {"plain read": lambda p: Contestant(read_jobs(p.X)[read["fastest"]])}
    required = [(dtype, n) for dtype in ("float32", "float16") for n in options.features]
    others = [case for case in _OTHERS if case[1] in options.features]
    for label, cases, contestants, share in (
        ("quick", required, QUICK, 1),
        ("compiled", required, COMPILED, 0.75),
        ("other dtypes", others, QUICK, 1),
    ):
        limit = budget.share(share)
        for dtype, n in cases:
            part.case(
                f"{label}: {dtype} {n}",
                limit,
                evaluate,
                pool,
                part,
                dtype,
                n,
                ours | contestants,
                read["best_read_GB_per_s"],
                options.repeats,
                limit,
            )
            free_memory()


def outputs(options, budget, part):
    """2 to 16 columns of weights, softmax and many models: ours against the generic body on tiles."""
    pool = Pool(options.bytes)
    part["read"] = read = measure_read(pool.matrix("float32", 64), options.repeats)
    for dtype, n, columns, softmax in gpu_fused.CASES if options.bytes > 1e6 else (("float32", 16, 3, True),):
        what = f"softmax of {columns}" if softmax else f"{columns} models"
        speed, repeats = read["best_read_GB_per_s"], options.repeats
        case = pool, dtype, n, columns, softmax, speed, repeats
        part.case(f"{dtype} {n}, {what}", budget, gpu_fused.fused_case, *case)
        free_memory()
    for n in (64, 784) if options.bytes > 1e6 else options.features:
        for k in (4, 2, 10, 16, 50):
            part.case(
                f"{n} features, {k} outputs",
                budget,
                evaluate,
                pool,
                part,
                "float32",
                n,
                {"ours": our_gradient, **TILED, "two products": two_products},
                read["best_read_GB_per_s"],
                options.repeats,
                budget,
                k,
            )


def widths(options, budget, part):
    """Ours and two cuBLAS products at widths that are no powers of two, with the Hessian-vector product."""
    cases = [(dtype, n) for dtype in ("float32", "float16", "uint8") for n in options.widths]
    names = {_kernel(name, dtype, n, options.bytes) for dtype, n in cases for name in _OURS}
    with compilers(names) as compiled:
        concurrent.futures.wait(compiled.values(), timeout=budget.left() / 3)
    pool = Pool(options.bytes)
    part["read"] = read = measure_read(pool.matrix("float32", 256), options.repeats)
    ours = OURS | {
        "plain read": lambda p: Contestant(read_jobs(p.X)[read["fastest"]]),
        "two products": two_products,
    }
    for dtype, n in cases:
        case = (dtype, n, ours, read["best_read_GB_per_s"], options.repeats, budget)
        part.case(f"{dtype} {n}", budget, evaluate, pool, part, *case)
        free_memory()


_OURS = ("LossGradient", "HessianVector")


def _kernel(name, dtype, n, nbytes):
    """The kernel that a pass over rows of n numbers takes, as they are drawn, without padding."""
    itemsize = np.dtype(dtype).itemsize
    vector = shapes.widest_vector(itemsize, 0, n, n)
    return shapes.dense(name, dtype, nbytes // itemsize // n, n, 1, vector).kernel
