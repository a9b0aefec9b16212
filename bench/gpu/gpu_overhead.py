"""What an evaluation costs beside its kernels: over few rows it is all that it costs."""

import functools
import statistics

import numpy as np
import scipy.sparse
from gpu_contestants import Problem, our_gradient, our_launches, our_product
from gpu_data import Pool
from gpu_timing import device_ms, median, wall_ms

from logreg_accel.backends import passes
from logreg_accel.backends.cupy import CupyBackend
from logreg_accel.data import Block, as_matrix
from logreg_accel.losses import Logistic


def overhead(options, budget, part):
    """Microseconds of an evaluation and of its kernels alone, by shape."""
    for m, n in options.overhead_shapes:
        part.case(f"{m} x {n}", budget, dense_case, m, n, 10 * options.repeats)
    part.case("1000 x 100, sparse", budget, sparse_case, 1000, 100, 10 * options.repeats)


def dense_case(m, n, repeats):
    problem = Problem(Pool(4 * m * n).matrix("float32", n))
    _, launches = our_launches(problem)
    kept = passes.LossGradient(problem.W, Logistic(), keep_margins=True)

    def kernels():
        for kernel, _, *launch in launches:
            kernel(*launch)

    return {
        "evaluation_us": _microseconds(our_gradient(problem).run, repeats),
        "evaluation_with_margins_us": _microseconds(
            lambda: problem.backend.run(kept, problem.block), repeats
        ),
        "hessian_vector_us": _microseconds(our_product(problem).run, repeats),
        "kernels_us": 1e3 * median(functools.partial(device_ms, kernels), repeats),
    }


def sparse_case(m, n, repeats):
    rng, backend = np.random.default_rng(0), CupyBackend()
    X = scipy.sparse.random_array((m, n), density=0.1, format="csr", dtype=np.float32, rng=rng)
    block = backend.upload(Block(as_matrix(X), (rng.random(m) < 0.5).astype(np.uint8)))
    pass_ = passes.LossGradient(rng.standard_normal((n + 1, 1)), Logistic())
    return {"evaluation_us": _microseconds(lambda: backend.run(pass_, block), repeats)}


def _microseconds(run, repeats):
    return 1e3 * statistics.median(wall_ms(run) for _ in range(repeats))
