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

from .draws import Batch, Columns, Finer, InFloat64, RowSpace, Sample, Unrounded, Witnesses

CONVERGED = "converged"
NOISE_FLOOR = "noise floor"
DIVERGED = "diverged"
STALLED = "stalled"
PARTIAL = "partial"

MATRIX, SOLVE, DIAGONAL = "matrix", "solve", "diagonal"
BY_COLUMNS, BY_LEVELS, BY_ROWS = "by columns", "by levels", "by rows"
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
    scale : ndarray (size,)
        Approximate root mean squares of the columns; 1 for intercepts.
    offset : float
        Root mean square of the offset of the margins.
    blur : function (w, gradient, value) -> float
        Bound on the rise of F when the point is rounded to the dtype of `coef_`.
    piled : float
        Number of roundings that a sum may accumulate, beside that of each of its terms.
    tol : float
        The relative suboptimality that is wanted, by which a solver may spare evaluations.
    n_outputs : int
        Number of margins of a row: w holds a C-ordered matrix (n_features and the intercept, n_outputs).
    with_diagonal : bool
        Whether an evaluation can return the diagonal of the Hessian without another read, for one model.
    gathers : bool
        Whether a draw that an evaluation announces as likely costs nothing beside that evaluation.
    by_levels : function (most) -> float
        The number of products with the Hessian that take as long as Curvature BY_LEVELS; inf where that is
        not offered, or would factor more than `most` parameters.
    entries : int
        Numbers of X that are stored.
    cholesky : function (A, overwrite) -> (v -> A⁻¹v, diagonal of the factor) or None
        The fastest factorisation of a matrix on the host; None means LAPACK's.
    lower : float
        A number that an earlier run has proven to be at most F*.
    """

    w: np.ndarray
    seed: int = 0
    n_rows: int = 0
    l1: Any = 0.0
    ridge: Any = 0.0
    lasso: Callable | None = None
    scale: Any = 1.0
    offset: float = 0.0
    blur: Callable = lambda w, gradient, value: 0.0
    piled: float = 1.0
    tol: float = 0.0
    n_outputs: int = 1
    n_features: int = 0
    with_diagonal: bool = False
    gathers: bool = False
    by_levels: Callable = lambda most: math.inf
    entries: int = 0
    cholesky: Callable | None = None
    lower: float = 0.0

    def of_finer(self, fineness):
        """The same where products with X are rounded less: what has no scale has no rounding."""
        of_columns = np.arange(len(self.w)) < self.n_features * self.n_outputs
        return self._replace(scale=np.where(of_columns, fineness, 1.0) * self.scale)


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
        Residuals that a solver keeps: dual variables from which a bound on F(w) − F* follows.
    change : Change or None
        The change of the margins since another point, if that was asked for.
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
    """-> a Point at w. It takes one read of X.

    The Point has the diagonal of the Hessian if that is requested, which takes another read on a GPU, and the
    answer of a MarginChange from the Point `since`. Rows from disk gather those of the `likely` Samples and
    Witnesses during the read, so that drawing them later takes none.
    """

    w: np.ndarray
    on: Any = None
    diagonal: bool = False
    since: Point | None = None
    likely: tuple = ()


@dataclass(frozen=True)
class HessianVector:
    """-> ∇²F(w)·v. It takes one read, also for several v, (q, size), whose products are rows, too.

    `margins` are those of a Point at w on the same rows, if there is one; they need not be computed again.
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
    BY_COLUMNS : a `descent.ColumnModel`, which is minimised without a matrix; None where it is not offered
    BY_LEVELS : as SOLVE, with the levels of a category eliminated; with several classes, for a v whose mean
        over the classes is zero; offered where `Start.by_levels` is finite
    BY_ROWS : as SOLVE, on rows of a RowSpace and for one output, by a matrix with a row for each of them

    `margins` are as in HessianVector; every form but DIAGONAL uses them, and BY_ROWS needs them.
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
    """-> a handle on what is drawn, for `on=`, or None. It takes the share of a read that it reads.

    The answer is None if a Sample would be most of the rows, if Witnesses would be all of them, if sums are
    made in float64 already (InFloat64), or if Columns cannot be gathered where the rows are.
    """

    what: Sample | Witnesses | Batch | RowSpace | Columns | InFloat64 | Finer | Unrounded


@dataclass(frozen=True)
class Combine:
    """-> the weights w that a point u in the space of the rows stands for. It takes one read."""

    u: np.ndarray
    on: Any


@dataclass(frozen=True)
class DualValue:
    """-> a bound on how far F(point) lies above its minimum, from a point of the dual problem.

    It is inf if no bound is known, and takes next to no time. A bound that would lie above `hope`
    is not computed.
    """

    point: Point
    hope: float = np.inf
    on: Any = None


class EpochEnd(NamedTuple):
    """The state at the end of an Epoch.

    Attributes
    ----------
    w : ndarray (size,)
        Where the next epoch starts.
    state : handle
        The residuals, which are the dual variables.
    best : ndarray (size,)
        w with the best intercept for it, if that was asked for.
    gap : float
        Approximate upper bound on F − F*: at `best` if that was asked for, else at a point during the epoch.
    """

    w: np.ndarray
    state: Any
    best: np.ndarray
    gap: float


@dataclass(frozen=True)
class Epoch:
    """-> EpochEnd: one visit of dual coordinate ascent to every row; None where that is not offered.

    It takes one read, and another one if `settle` asks for `best`. The first epoch has no state and starts
    from the residuals at w.
    """

    w: np.ndarray
    state: Any
    seed: int
    settle: bool = False


@dataclass(frozen=True)
class MarginChange:
    """-> the Change of the margins between two points. It takes no read.

    That is the largest absolute change, and the least and the largest change towards the class of the row;
    inf, -inf and inf where margins are unknown.

    With `in_loss`, -> how far the mean loss at `start` lies above its tangent at `end`, nan where margins are
    unknown. It is summed row by row, because the rounding of the two mean losses can exceed their difference.
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
    solver gives scores (the loss on held-out rows), the one with the least score. `proven` is an upper bound
    on F(point) − F* that the solver has proven.
    """

    point: Point
    gap: float | None = None
    score: float | None = None
    rough: bool = False
    proven: float = np.inf
