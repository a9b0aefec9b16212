"""The questions that a solver may ask, and their answers.

A solver is a generator: `answer = yield Question(...)`. It holds float64 vectors on the host and knows
neither the data nor the device; the driver answers, counts reads of X and decides when to stop. Every
question contains all that is needed to answer it again: handles and margins are caches. The generator's
return value is its status, one of the words below.

Most questions take `on=`, a handle on drawn rows; None means all rows.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from .draws import Batch, Columns, InFloat64, RowSpace, Sample, Witnesses

CONVERGED = "converged"
NOISE_FLOOR = "noise floor"
DIVERGED = "diverged"
STALLED = "stalled"
PARTIAL = "partial"

MATRIX, SOLVE, DIAGONAL = "matrix", "solve", "diagonal"
BY_COLUMNS, BY_LEVELS = "by columns", "by levels"
CLASS_MEAN, CLASS_BLOCKS = "class mean", "class blocks"
IN_PARTS = DIAGONAL, CLASS_MEAN, CLASS_BLOCKS
"""The forms in which a Curvature can be requested."""


class Start(NamedTuple):
    """What a solver knows before it asks.

    Attributes
    ----------
    w : ndarray (size,)
        The starting point.
    seed, n_rows, n_features : int
    l1 : ndarray (size,)
        Strength of the L1 penalty on each parameter, 0 for intercepts.
    ridge : ndarray (size,)
        What the L2 penalty adds to the diagonal of the Hessian, 0 for intercepts.
    lasso : function (H, gradient, w) -> u
        `quadratic.lasso` for this problem.
    scale, offset : ndarray (size,), float
        Root mean squares of the columns, about; 1 for intercepts. That of the offset of the margins.
    blur : function (w, gradient) -> float
        What F may rise by when the point is given to the user.
    piled : float
        Roundings that a sum may pile up, beside that of each of its terms.
    tol : float
        The relative suboptimality that is wanted, by which a solver may spare evaluations.
    n_outputs : int
        Margins of a row: w is (features and intercept) x outputs, by rows.
    with_diagonal : bool
        Whether the diagonal of a Hessian comes with an evaluation, at no read, and for one model alone.
    gathers : bool
        Whether a draw that an evaluation announces as likely costs nothing beside that evaluation.
    by_levels : function (most) -> float
        The number of products with the Hessian that take as long as a Curvature by levels; inf where none is
        offered, or would factor more than `most` parameters.
    entries : int
        Numbers of X that are stored.
    cholesky : function A -> (v -> A⁻¹v, diagonal of the factor) or None
        The fastest one for a matrix on the host, where it is not LAPACK's.
    """

    w: np.ndarray
    seed: int = 0
    n_rows: int = 0
    l1: Any = 0.0
    ridge: Any = 0.0
    lasso: Callable | None = None
    scale: Any = 1.0
    offset: float = 0.0
    blur: Callable = lambda w, gradient: 0.0
    piled: float = 1.0
    tol: float = 0.0
    n_outputs: int = 1
    n_features: int = 0
    with_diagonal: bool = False
    gathers: bool = False
    by_levels: Callable = lambda most: math.inf
    entries: int = 0
    cholesky: Callable | None = None


class Point(NamedTuple):
    """A point where the objective was evaluated.

    Attributes
    ----------
    w : ndarray (size,)
        Rounded to the arithmetic of the passes, so that it is exactly the point that was evaluated.
    value : float
        F, including the whole penalty.
    gradient : ndarray (size,)
        Gradient of F without l1·‖w‖₁.
    rounding : float
        Changes in value up to this size are meaningless.
    margins : handle or None
        Margins of the rows, for LineMinimum and other questions.
    diagonal : ndarray (size,) or None
        Diagonal of ∇²F(w), if it was asked for.
    dual : handle or None
        Residuals that a solver keeps, which prove how far it is from the optimum.
    change : Change or None
        How margins changed since another point, if that was asked for.
    """

    w: np.ndarray
    value: float
    gradient: np.ndarray
    rounding: float
    margins: Any = None
    diagonal: Any = None
    dual: Any = None
    change: Any = None


@dataclass(frozen=True)
class Evaluate:
    """-> a Point at w, out of one read of X; with the diagonal of the Hessian if that is requested, on a GPU
    out of another read, and with what MarginChange tells of it beside a Point `since`.
    Rows from disk gather what the `likely` Samples and Witnesses there will take, so that no draw is a read.
    """

    w: np.ndarray
    on: Any = None
    diagonal: bool = False
    since: Point | None = None
    likely: tuple = ()


@dataclass(frozen=True)
class HessianVector:
    """-> ∇²F(w)·v. It takes one read.

    `margins` are those of a Point at w on the same rows, if there is one, and save work.
    """

    w: np.ndarray
    v: np.ndarray
    on: Any = None
    margins: Any = None


@dataclass(frozen=True)
class Curvature:
    """-> ∇²F(w) of the smooth part in some form. It takes one read, and a factorisation for the solves.

    MATRIX : an array (size, size)
    SOLVE : a function v -> (∇²F(w))⁻¹·v
    CLASS_MEAN : a function v -> P⁻¹·v, where P is the Hessian with the same block, the mean, for every class
    CLASS_BLOCKS : the same where P has each class's own block
    DIAGONAL : an array (size,)
    BY_COLUMNS : a `descent.ColumnModel`, whose minimum takes no matrix; None where it is not offered
    BY_LEVELS : as SOLVE, of several classes for v of mean zero over them; offered where `Start.by_levels` is
        a number

    `margins` are as of a HessianVector; all but DIAGONAL are spared work by them.
    """

    w: np.ndarray
    form: str
    on: Any = None
    margins: Any = None


@dataclass(frozen=True)
class LineMinimum:
    """-> the t ≥ 0 that minimises F(start.w + t·(end.w − start.w)), from the margins of both; no read."""

    start: Point
    end: Point
    on: Any = None


@dataclass(frozen=True)
class Draw:
    """-> a handle on some rows, for `on=`; None if a Sample would be most of the rows, or Witnesses are all,
    or sums are made in float64 already, or Columns cannot be gathered where the rows are.

    It costs the share of the rows that it reads.
    """

    what: Sample | Witnesses | Batch | RowSpace | Columns | InFloat64


@dataclass(frozen=True)
class Combine:
    """-> the weights w that a point u in the space of the rows stands for. It takes one read."""

    u: np.ndarray
    on: Any


@dataclass(frozen=True)
class DualValue:
    """-> a bound on how far F(point) lies above its minimum, from a point of the dual problem.

    It is inf if no bound is known, and costs next to no read. What would probably lie above `hope` is not
    looked for.
    """

    point: Point
    hope: float = np.inf
    on: Any = None


class Walked(NamedTuple):
    """Where an epoch ends.

    Attributes
    ----------
    w : ndarray (size,)
        Where the next one starts.
    state : handle
        Residuals, the dual variables.
    best : ndarray (size,)
        w with the intercept that goes best with it, if that was asked for.
    gap : float
        About F − F*, or a little more: of `best` if that was asked for, else of a point on the way.
    """

    w: np.ndarray
    state: Any
    best: np.ndarray
    gap: float


@dataclass(frozen=True)
class Epoch:
    """-> Walked: one visit of dual coordinate ascent to every row; None where that is not offered.

    It takes one read, and another one if `settle` asks for `best`. The first epoch has no state and starts
    from the residuals at w.
    """

    w: np.ndarray
    state: Any
    seed: int
    settle: bool = False


@dataclass(frozen=True)
class MarginChange:
    """-> the Change of margins between two points: largest, and least and most towards a row's own class.

    Where margins are unknown, any of them may have changed: inf, -inf, inf. No read.

    With `in_loss`, -> how far the mean loss at `start` lies above its tangent at `end`, nan where margins are
    unknown. It is summed row by row: a difference of values is off by the rounding of every margin.
    """

    start: Point
    end: Point
    on: Any = None
    in_loss: bool = False


@dataclass(frozen=True)
class Accept:
    """Reports an accepted point; -> True if it is good enough for `tol`.

    `gap` estimates F(point) − F*; None leaves the estimate to the certificate. If the estimate is `rough`,
    the gap is measured before a fit ends on it. The best point is the one with the least value or, if the
    solver gives scores (the loss on held-out rows), the one with the least score. `proven` is a bound on
    F(point) − F* that somebody has proven.
    """

    point: Point
    gap: float | None = None
    score: float | None = None
    rough: bool = False
    proven: float = np.inf
