"""What a question may draw: rows or columns on which the objective is then evaluated instead of all."""

from typing import Any, NamedTuple

import numpy as np


class Sample(NamedTuple):
    """About `size` rows gathered into memory, weighted so that their sums estimate those of all rows.

    The same number of rows is drawn from every class or, if `at` is given, a Point of all rows, rows are
    drawn in proportion to what they add to its Hessian. `by_norms` spends two reads, once, on the norms of
    all rows; half of the rows are then drawn by weight and curvature alone, and a draw reads half as many
    candidates.
    """

    size: float
    seed: int
    at: Any = None
    by_norms: bool = False


class Witnesses(NamedTuple):
    """`size` rows for a proof, with their own weights and sums in float64.

    They are drawn by their curvature at a point or, without access to any row, `among` those of a Sample.
    """

    size: float
    seed: int
    at: Any = None
    among: Any = None


class Batch(NamedTuple):
    """Some of the `n_batches` batches that the rows are divided into.

    They are views, so a question on them costs their share of a read.
    """

    numbers: tuple
    n_batches: int


class RowSpace(NamedTuple):
    """The problem with as many unknowns as rows, whose solution Combine maps back. It takes one read.

    Raises ValueError if there is no L2 penalty, or if there are too many rows for their Gram matrix.
    """


class Columns(NamedTuple):
    """The same rows with some of their columns, gathered into memory in float64; no other has a weight.

    Attributes
    ----------
    which : ndarray of int
        Ascending.
    """

    which: np.ndarray


class InFloat64(NamedTuple):
    """All rows, with sums in float64.

    Attributes
    ----------
    rounded : bool
        Whether points are still rounded to the dtype of the coefficients.
    """

    rounded: bool = True


class Finer(NamedTuple):
    """All rows, with sums in long double, for a proof; None where these are no finer, or on a device."""


class Unrounded(NamedTuple):
    """The same rows, with points that keep the digits of float64; None if sums are not in float64."""
