"""What a solver may ask, and what it is told.

A solver is a generator: `answer = yield Question(...)`. It holds float64 vectors on the host and knows
neither data nor device; the driver answers, counts reads of X and decides when to stop. Every question can be
answered again from what is in it alone: handles and margins are caches. The generator's return value is its
status, one of the words below.

Most questions take `on=`, a handle on drawn rows; None means all rows.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

CONVERGED = "converged"
NOISE_FLOOR = "noise floor"
DIVERGED = "diverged"
STALLED = "stalled"
PARTIAL = "partial"

MATRIX, SOLVE, CLASS_MEAN, DIAGONAL = "matrix", "solve", "class mean", "diagonal"
"""Forms in which a Curvature comes."""


class Start(NamedTuple):
    """What a solver knows before it asks.

    w : ndarray (size,)
        Where to start from.
    seed : int
    n_rows : int
    l1 : ndarray (size,)
        Strength of the L1 penalty on each parameter: 0 for intercepts.
    ridge : ndarray (size,)
        What the L2 penalty adds to the diagonal of the Hessian: 0 for intercepts.
    lasso : function (H, gradient, w) -> u
        `quadratic.lasso` for this problem.
    """

    w: np.ndarray
    seed: int = 0
    n_rows: int = 0
    l1: Any = 0.0
    ridge: Any = 0.0
    lasso: Callable | None = None


class Point(NamedTuple):
    """A place where the objective was evaluated.

    w : ndarray (size,)
        Rounded to the arithmetic of the passes: what was judged is what comes back.
    value : float
        F, with all of its penalty.
    gradient : ndarray (size,)
        That of F without l1·‖w‖₁.
    rounding : float
        The size of changes in value that mean nothing.
    margins : handle or None
        With the rows, for LineMinimum and others.
    diagonal : ndarray (size,) or None
        That of ∇²F(w), where it was asked for.
    """

    w: np.ndarray
    value: float
    gradient: np.ndarray
    rounding: float
    margins: Any = None
    diagonal: Any = None


@dataclass(frozen=True)
class Evaluate:
    """-> Point at w, with the diagonal of the Hessian if wanted. One read of X.

    On a GPU the diagonal takes a read of its own.
    """

    w: np.ndarray
    on: Any = None
    diagonal: bool = False


@dataclass(frozen=True)
class HessianVector:
    """-> ∇²F(w)·v. One read. `margins`: of a Point at w on the same rows, which spare work."""

    w: np.ndarray
    v: np.ndarray
    on: Any = None
    margins: Any = None


@dataclass(frozen=True)
class Curvature:
    """-> ∇²F(w) of the smooth part in some form. One read, and for the solves a factorisation.

    MATRIX : (size, size)
    SOLVE : a function v -> (∇²F(w))⁻¹·v
    CLASS_MEAN : a function v -> P⁻¹·v, where P is the Hessian with one block, the mean, for all classes
    DIAGONAL : (size,)
    """

    w: np.ndarray
    form: str
    on: Any = None


@dataclass(frozen=True)
class LineMinimum:
    """-> t ≥ 0 with F least at start.w + t·(end.w − start.w), from the margins of both. No read."""

    start: Point
    end: Point
    on: Any = None


class Sample(NamedTuple):
    """About `size` rows gathered into memory, weighted so that their sums estimate those of all.

    They come as many from every class; with `at`, a Point of all rows, in proportion to what they add to its
    Hessian. `by_norms` spends two reads, once, on the norms of all rows: half of the rows then come by weight
    and curvature alone, and a draw reads half as many candidates.
    """

    size: float
    seed: int
    at: Point | None = None
    by_norms: bool = False


class Batch(NamedTuple):
    """Some of the `of` batches that the rows are cut into: views, so that every question on them costs their share."""

    numbers: tuple
    of: int


class RowSpace(NamedTuple):
    """The problem with as many unknowns as rows, for Combine to go back from. One read.

    Raises ValueError without an L2 penalty, and where rows are too many for their Gram matrix.
    """


@dataclass(frozen=True)
class Draw:
    """-> a handle on some rows, for `on=`; None where a Sample would be most rows. Costs the share of the rows it reads."""

    what: Sample | Batch | RowSpace


@dataclass(frozen=True)
class Combine:
    """-> w, the weights that a point u of the space of the rows stands for. One read."""

    u: np.ndarray
    on: Any


@dataclass(frozen=True)
class DualValue:
    """-> how far F(point) can lie above its minimum at most, from a point of the dual problem; inf where none
    is known.

    No read worth counting.
    """

    point: Point


@dataclass(frozen=True)
class LargestChange:
    """-> the largest change of a margin between two points; 0 where their margins are not known. No read."""

    start: Point
    end: Point


@dataclass(frozen=True)
class Accept:
    """Tells of an accepted point; -> True when it is good enough for `tol`.

    gap estimates F(point) − F*; None leaves the estimate to the certificate, and a `rough` one is measured
    before a fit ends on it. The best point is that of the least value, or of the least score where the solver
    has one (loss on rows held out).
    """

    point: Point
    gap: float | None = None
    score: float | None = None
    rough: bool = False
