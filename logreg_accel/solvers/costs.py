"""What solvers are expected to take on rows of moderate number: reads times seconds a read.

Reads are a power law of what is known of the data before a fit, seconds a read are a sum of what one works
through. The coefficients are fitted to fits of random data by bench/auto.py; only their ratios mean
anything elsewhere.
"""

import math
from typing import NamedTuple

import numpy as np

ENTRIES_UP_TO = {"dense": 1 << 22, "sparse": 1 << 20}
"""Numbers of X up to which costs are known: those of the numpy backend."""

_CURVATURE_UP_TO = 13.0  # the logarithm, beyond which no data were seen
_FIXED_READS = 4.0  # that a fit takes beside those of its solver, in time
_SAMPLE_ROWS, _SAMPLE_SHARE = 50, 0.2  # of newton-subsampled, and of a Hessian on it in each read
_SAMPLE_FROM = 1 << 16  # numbers of X times outputs, below which its calls take longer than all rows
_HESSIAN_UP_TO_SIZE = 600
_WORTH_OF_ROUNDING, _WORTH_UP_TO = 1.2, 1 << 18  # numbers of X times outputs: larger fits take a while
_PRICE_OF_CORRELATION = 1.5  # real columns are more alike than random ones: lbfgs takes longer on them
_LBFGS_FROM_WIDTH = 2  # features a row
_ROW_SPACE_UP_TO_ROWS = 1000
_ROW_SPACE_FROM_WIDTH = 0.5  # features a row


class Seen(NamedTuple):
    """What some rows say of X.

    Attributes
    ----------
    curvature : float
        C·Σs times the mean of ‖x − x̄‖².
    apart : float
        ‖x̄‖² beside the mean of ‖x − x̄‖².
    entries : int
        Numbers of X that are stored.
    layout : "dense" or "sparse"
    """

    curvature: float
    apart: float
    entries: int
    layout: str


def known(n_rows, n_features, n_outputs, seen):
    """What reads depend on: the exponents of COSTS are theirs."""
    mean = (
        seen.curvature / 4 / max(min(n_rows, n_features), 1)
    )  # of the eigenvalues, beside that of the penalty
    curvature = min(math.log1p(mean), _CURVATURE_UP_TO)
    apart = 0.0 if seen.layout == "sparse" else math.log1p(seen.apart)
    return np.array([1, math.log(n_features), math.log(n_rows), math.log(n_outputs), curvature, apart])


def work(solver, n_rows, n_features, n_outputs, seen):
    """What a read works through: the calls, then numbers of some size."""
    m, n, k = n_rows, n_features, n_outputs
    pairs, size = k * (k + 1) / 2, n * k
    products = [1, m * k, seen.entries * k]
    if solver == "newton-cholesky":
        return np.array([*products, pairs * m * n * n, pairs, pairs * n * n, size**3], dtype=float)
    if solver == "newton-subsampled":
        sample = _SAMPLE_SHARE * min(_SAMPLE_ROWS * size, m)
        return np.array([*products, pairs * sample * n * n, size * size], dtype=float)
    if solver == "row-space":
        rows = m * k
        return np.array([1, m * m * n, rows * rows, rows**3], dtype=float)
    return np.array([*products, size], dtype=float)


def offered(n_rows, n_features, n_outputs, penalised, seen):
    """The solvers that come into question."""
    size = n_features * n_outputs
    yield "newton-cg"
    if n_outputs > 1 or n_features >= _LBFGS_FROM_WIDTH * n_rows:
        yield "lbfgs"
    if size <= _HESSIAN_UP_TO_SIZE:
        yield "newton-cholesky"
    many = n_rows >= _SAMPLE_ROWS * size and seen.entries * n_outputs >= _SAMPLE_FROM
    if seen.layout == "dense" and many:
        yield "newton-subsampled"
    rows = n_rows * n_outputs
    if penalised and rows <= _ROW_SPACE_UP_TO_ROWS and n_features >= _ROW_SPACE_FROM_WIDTH * n_rows:
        yield "row-space"


def seconds(solver, n_rows, n_features, n_outputs, seen):
    """About how long a fit takes."""
    reads, rates = COSTS[seen.layout][solver]
    n_reads = math.exp(known(n_rows, n_features, n_outputs, seen) @ reads) + _FIXED_READS
    return n_reads * float(work(solver, n_rows, n_features, n_outputs, seen) @ rates)


def cheapest(n_rows, n_features, n_outputs, penalised, seen):
    """The solver that is expected to be fastest; on few numbers newton-cholesky where it is nearly so, since
    its last step makes results agree to rounding."""
    shape = n_rows, n_features, n_outputs
    expected = {solver: seconds(solver, *shape, seen) for solver in offered(*shape, penalised, seen)}
    if "newton-cholesky" in expected and seen.entries * n_outputs <= _WORTH_UP_TO:
        expected["newton-cholesky"] /= _WORTH_OF_ROUNDING
    if "lbfgs" in expected and seen.layout == "dense":
        expected["lbfgs"] *= _PRICE_OF_CORRELATION
    return min(expected, key=expected.get)


# fitted by: python bench/auto.py --fit
COSTS: dict[str, dict] = {
    "dense": {
        "lbfgs": ([1.757, 0.172, -0.104, 0.349, 0.155, 0.943], [0.000537, 4.12e-08, 7.69e-10, 4.57e-08]),
        "newton-cg": ([2.617, 0.11, -0.066, 0.214, 0.121, 0.083], [0.000345, 3.57e-08, 5.7e-10, 7.11e-08]),
        "newton-cholesky": (
            [2.173, 0.024, -0.02, 0.104, 0.041, -0.027],
            [0.000424, 6.26e-08, 0.0, 2.3e-11, 1.74e-05, 1.73e-09, 1.14e-11],
        ),
        "newton-subsampled": (
            [2.892, 0.164, -0.237, 0.176, 0.057, 0.062],
            [0.000818, 8.28e-08, 0.0, 0.0, 2.43e-07],
        ),
        "row-space": ([1.386, -0.0, 0.0, 0.0, 0.0, -0.0], [0.00108, 2.52e-11, 1.79e-08, 1.55e-11]),
    },
    "sparse": {
        "lbfgs": ([1.722, 0.164, -0.198, 0.239, 0.386, 0.0], [0.000822, 7.87e-08, 3.24e-09, 7.5e-08]),
        "newton-cg": ([2.6, 0.067, -0.108, 0.164, 0.268, 0.0], [0.000623, 8.27e-08, 2.73e-09, 9.94e-08]),
        "newton-cholesky": (
            [2.142, 0.008, -0.044, 0.036, 0.133, 0.0],
            [0.000636, 1.81e-07, 1.01e-08, 7.05e-12, 0.000164, 4.19e-09, 7.47e-12],
        ),
        "newton-subsampled": (
            [4.467, -0.221, -0.236, 0.0, 0.102, 0.0],
            [0.00217, 1.59e-07, 0.0, 1.28e-10, 0.0],
        ),
        "row-space": ([1.386, 0.0, 0.0, 0.0, 0.0, 0.0], [0.00138, 1.21e-11, 1.99e-08, 1.8e-13]),
    },
}
