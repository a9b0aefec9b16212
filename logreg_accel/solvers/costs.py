"""The cost model of solvers for small X: expected reads times seconds per read.

The number of reads is a power law of facts known before a fit, and the seconds per read are a sum over the
work of a read. bench/auto.py fits the coefficients to fits of random data; on other machines only their
ratios are meaningful.
"""

import math
from typing import NamedTuple

import numpy as np

ENTRIES_UP_TO = {"dense": 1 << 22, "sparse": 1 << 20}
"""How many numbers X may have for the cost model, which was fitted on the numpy backend."""

_CURVATURE_UP_TO = 13.0  # the largest logarithm of the curvature in the data that COSTS were fitted to
_FIXED_READS = 4.0  # the time that a fit takes outside its solver, in reads
_SAMPLE_ROWS, _SAMPLE_SHARE = 50, 0.2  # newton-subsampled: rows per parameter; Hessians of a sample per read
_SAMPLE_FROM = 1 << 16  # numbers of X times outputs, below which calls for a sample take longer than all rows
_HESSIAN_UP_TO_SIZE = 600
# newton-cholesky may take this much longer up to this size (numbers of X times outputs), since its results
# agree to rounding; the difference in a larger fit would be noticed.
_WORTH_OF_ROUNDING, _WORTH_UP_TO = 1.2, 1 << 18
# Columns of real tables can be more correlated than random ones, which costs these solvers reads, most of all
# with more columns than rows; row-space takes the same time on any data.
_PRICE_OF_CORRELATION = {"lbfgs": 1.2, "newton-cg": 1.15}
_PRICE_BESIDE_ROW_SPACE = {"lbfgs": 1.6, "newton-cg": 1.4}
_FURTHER_PAIR = 3e-10
"""Seconds a read that newton-cholesky takes for each number of a dense X and each pair of classes but the
first, besides what was fitted: rows are weighted anew for each, which takes longer than their products where
rows are short. Fitted with the others, this rate makes those of two classes worse."""
_LBFGS_FROM_WIDTH = 2  # features a row
_LBFGS_UP_TO_UNEVEN = 30.0
"""The largest `Seen.uneven` of sparse data for which the costs of lbfgs hold. The frequencies of words, and
numbers beside the levels of a category, differ by more, which takes lbfgs many times as many reads."""
_WORDS_FROM = 3000  # sparse columns from which vectors of weights take as long as products with X
_ROW_SPACE_UP_TO_ROWS = 1000
_ROW_SPACE_FROM_WIDTH = 0.5  # features a row


class Seen(NamedTuple):
    """Facts about X, estimated from some rows.

    Attributes
    ----------
    curvature : float
        C·Σs times the mean of ‖x − x̄‖².
    apart : float
        ‖x̄‖² divided by the mean of ‖x − x̄‖².
    entries : int
        Numbers of X that are stored.
    layout : "dense" or "sparse"
    uneven : float
        The largest mean square of a column divided by their mean.
    """

    curvature: float
    apart: float
    entries: int
    layout: str
    uneven: float = 1.0


def known(n_rows, n_features, n_outputs, seen):
    """The facts on which the number of reads depends, with exponents in COSTS."""
    mean = seen.curvature / 4 / max(min(n_rows, n_features), 1)  # eigenvalue, in units of the penalty's
    curvature = min(math.log1p(mean), _CURVATURE_UP_TO)
    apart = 0.0 if seen.layout == "sparse" else math.log1p(seen.apart)
    return np.array([1, math.log(n_features), math.log(n_rows), math.log(n_outputs), curvature, apart])


def work(solver, n_rows, n_features, n_outputs, seen):
    """The amounts of work in a read, which COSTS weights: the number of calls, then of numbers processed."""
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
    """The candidate solvers."""
    size = n_features * n_outputs
    yield "newton-cg"
    even = seen.layout == "dense" or seen.uneven <= _LBFGS_UP_TO_UNEVEN
    if (n_outputs > 1 and even) or n_features >= _LBFGS_FROM_WIDTH * n_rows:
        yield "lbfgs"
    if size <= _HESSIAN_UP_TO_SIZE:
        yield "newton-cholesky"
    many = n_rows >= _SAMPLE_ROWS * size and seen.entries * n_outputs >= _SAMPLE_FROM
    if seen.layout == "dense" and many:
        yield "newton-subsampled"
    rows = n_rows * n_outputs
    if penalised and rows <= _ROW_SPACE_UP_TO_ROWS and n_features >= _ROW_SPACE_FROM_WIDTH * n_rows:
        yield "row-space"


def table_of(n_features, seen):
    """The name of the table in COSTS: the layout, or "words" for very many sparse columns."""
    return "words" if seen.layout == "sparse" and n_features >= _WORDS_FROM else seen.layout


def seconds(solver, n_rows, n_features, n_outputs, seen):
    """The expected time of a fit."""
    reads, rates = COSTS[table_of(n_features, seen)][solver]
    n_reads = math.exp(known(n_rows, n_features, n_outputs, seen) @ reads) + _FIXED_READS
    read = float(work(solver, n_rows, n_features, n_outputs, seen) @ rates)
    if solver == "newton-cholesky" and seen.layout == "dense":
        read += _FURTHER_PAIR * (n_outputs * (n_outputs + 1) / 2 - 1) * n_rows * n_features
    return n_reads * read


def cheapest(n_rows, n_features, n_outputs, penalised, seen):
    """The solver that is expected to be fastest; on few numbers newton-cholesky where it is nearly so, since
    its last step makes results agree to rounding."""
    shape = n_rows, n_features, n_outputs
    expected = {solver: seconds(solver, *shape, seen) for solver in offered(*shape, penalised, seen)}
    if "newton-cholesky" in expected and seen.entries * n_outputs <= _WORTH_UP_TO:
        expected["newton-cholesky"] /= _WORTH_OF_ROUNDING
    if seen.layout == "dense":
        prices = _PRICE_BESIDE_ROW_SPACE if "row-space" in expected else _PRICE_OF_CORRELATION
        for solver, price in prices.items():
            if solver in expected:
                expected[solver] *= price
    return min(expected, key=expected.get)


# fitted by: python bench/auto.py --fit
COSTS: dict[str, dict] = {
    "dense": {
        "lbfgs": ([1.434, 0.376, -0.124, 0.418, 0.2, 0.755], [0.000155, 8.78e-09, 1.27e-10, 0.0]),
        "newton-cg": ([2.441, 0.218, -0.074, 0.25, 0.114, 0.137], [9.27e-05, 7.5e-09, 1.67e-10, 4.2e-08]),
        "newton-cholesky": (
            [2.406, 0.053, -0.059, 0.118, 0.044, -0.032],
            [3.87e-05, 1.29e-08, 3.49e-10, 6.2e-12, 5.02e-06, 5.44e-09, 0.0],
        ),
        "newton-subsampled": (
            [2.072, 0.071, -0.085, 0.126, 0.021, -0.001],
            [0.000351, 1.26e-08, 0.0, 0.0, 9.22e-08],
        ),
        "row-space": ([1.528, 0.065, -0.13, -0.004, 0.046, -0.004], [0.000483, 6.05e-12, 7.53e-09, 0.0]),
    },
    "sparse": {
        "lbfgs": ([2.494, 0.117, -0.255, 0.142, 0.333, 0.0], [0.000255, 1.75e-08, 2.21e-10, 2.07e-08]),
        "newton-cg": ([3.138, -0.005, -0.125, 0.133, 0.245, 0.0], [0.000144, 1.71e-08, 1.47e-10, 1.03e-07]),
        "newton-cholesky": (
            [1.795, 0.11, -0.051, 0.076, 0.102, 0.0],
            [0.000152, 6.7e-08, 0.0, 1.03e-12, 4.2e-05, 6.9e-09, 0.0],
        ),
        "newton-subsampled": ([1.739, -0.0, 0.0, 0.0, -0.0, 0.0], [0.0, 0.0, 0.0, 6.5e-10, 0.0]),
        "row-space": ([1.386, -0.0, -0.0, -0.0, -0.0, 0.0], [0.000656, 6.57e-12, 4.12e-09, 0.0]),
    },
    "words": {
        "lbfgs": ([1.327, -0.147, 0.278, 0.183, 0.588, 0.0], [0.000212, 8.47e-09, 2.53e-09, 1.79e-08]),
        "newton-cg": ([1.733, -0.109, 0.211, 0.101, 0.566, 0.0], [0.000205, 1.04e-08, 1.39e-09, 4.73e-09]),
        "row-space": ([1.386, -0.0, 0.0, 0.0, 0.0, 0.0], [0.00278, 1.28e-14, 3.24e-09, 0.0]),
    },
}
