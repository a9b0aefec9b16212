"""What a solver may ask, and what it is told.

A solver is a generator: `answer = yield Question(...)`. It holds float64 vectors on the host and knows neither data nor
device; the driver answers, counts reads of X and decides when to stop. Every question can be answered again from what
is in it alone. The generator's return value is its status, one of the sentences below.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

CONVERGED = "converged"
NOISE_FLOOR = "noise floor"
DIVERGED = "diverged"
STALLED = "stalled"
PARTIAL = "partial"


class Point(NamedTuple):
    """A place where the objective was evaluated.

    w is rounded to the arithmetic of the passes: what was judged is what comes back. value is F, with all of its penalty;
    gradient is that of F without l1·‖w‖₁. `rounding` is the size of changes
    in value that mean nothing. `margins` is a cache on the backend's side, for `LineMinimum`; `diagonal` that of ∇²F(w), where
    it was asked for.
    """

    w: np.ndarray
    value: float
    gradient: np.ndarray
    rounding: float
    margins: Any = None
    diagonal: Any = None


@dataclass(frozen=True)
class Sample:
    """-> a handle on about `size` rows gathered into memory, for `on=`. Costs the share of the rows that it reads.

    Rows come as many from every class; with `at`, a Point of the full data, in proportion to what they add to its Hessian.
    With the `RowNorms` half of them come by weight and curvature alone, and it reads half as many.
    """

    size: int
    seed: int
    at: Point | None = None
    norms: Any = None


@dataclass(frozen=True)
class RowNorms:
    """-> the squared norms of all rows in columns scaled to one size, for samples of at least `size`. Two reads.

    None, and no read, where such a sample would be all rows.
    """

    size: int


@dataclass(frozen=True)
class Batches:
    """-> into how many batches the rows are cut for batches of a size; None leaves the size to the driver. No read."""

    size: int | None = None


@dataclass(frozen=True)
class Batch:
    """-> a handle on the rows of some of the batches, for `on=`: views, so that every question on it costs their share."""

    numbers: tuple
    of: int


@dataclass(frozen=True)
class Gradient:
    """-> Point at w, with the diagonal of the Hessian if wanted. One read of X, or none `on` a sample.

    On a GPU the diagonal takes a read of its own.
    """

    w: np.ndarray
    on: Any = None
    diagonal: bool = False


@dataclass(frozen=True)
class HessianVector:
    """-> ∇²F(w)·v. One read, or none `on` a sample. `margins`: of a Point at w on the same rows, which spare work."""

    w: np.ndarray
    v: np.ndarray
    on: Any = None
    margins: Any = None


@dataclass(frozen=True)
class Diagonal:
    """-> the diagonal of ∇²F(w). One read, or none `on` a sample."""

    w: np.ndarray
    on: Any = None


@dataclass(frozen=True)
class Metric:
    """-> a function v -> (∇²F(point))⁻¹·v. One read, or none `on` a sample, and the factorisation."""

    point: Point
    on: Any = None


@dataclass(frozen=True)
class L1:
    """-> l1 of every parameter, (size,): 0 for intercepts. No read."""


@dataclass(frozen=True)
class Ridge:
    """-> what the penalty adds to the diagonal of the Hessian, (size,): 0 for intercepts. No read."""


@dataclass(frozen=True)
class Hessian:
    """-> ∇²F(point) of the smooth part, (size, size). One read, or none `on` a sample."""

    point: Point
    on: Any = None


@dataclass(frozen=True)
class LassoStep:
    """-> the u that minimises g·(u − w) + ½·(u − w)ᵀH(u − w) + Σ l1·|u|. No read."""

    H: np.ndarray
    gradient: np.ndarray
    w: np.ndarray
    l1: np.ndarray


@dataclass(frozen=True)
class Preconditioner:
    """-> a function v -> P⁻¹·v, where P is the Hessian with one block for all classes. Costs as `Metric`."""

    point: Point
    on: Any = None


@dataclass(frozen=True)
class LineMinimum:
    """-> t ≥ 0 with F least at start.w + t·(end.w − start.w), from the margins of both. No read."""

    start: Point
    end: Point
    on: Any = None


@dataclass(frozen=True)
class RowSpace:
    """-> a handle on the problem in the space of the rows, for `on=` and `Lift`; its size and a start at 0. One read.

    Raises ValueError without a penalty, and where rows are too many for their Gram matrix.
    """


@dataclass(frozen=True)
class Lift:
    """-> w, the weights that a point u of the space of the rows stands for. One read."""

    u: np.ndarray
    on: Any


@dataclass(frozen=True)
class Progress:
    """Tells of an accepted point; -> True when it is good enough for `tol`.

    gap estimates F(point) − F*; None leaves the estimate to the driver, and a `rough` one is measured before a fit ends on
    it. The best point is that of the least value, or of the least score where the solver has one (loss on rows held out).
    """

    point: Point
    gap: float | None = None
    score: float | None = None
    rough: bool = False
