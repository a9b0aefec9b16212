"""Passes: the sums over rows that can be requested, each a value with a formula, its weights and options.

A pass takes W (n + 1, k), float64 on the host, the intercept in the last row, and gives *sums over rows*: no
averaging, no penalty. With the margins Z = X·W[:-1] + W[-1]::

    LossGradient     Σ s·ℓ(z, y)     Xᵀ(s·residual)
    HessianVector    Xᵀ(s·curvature·(X·V[:-1] + V[-1]))
    Hessian          Xᵀ diag(s·curvature) X, of every pair of outputs
    OwnHessians      Xᵀ diag(s·curvature) X of every output
    MeanHessian      their mean
    Diagonal         the diagonal of the Hessian
    ColumnSquares    Σ x² of every column
    Margins          Z, a row vector
    RowSquares       Σⱼ scaleⱼ·xᵢⱼ², a row vector

and these, without X, from known row vectors::

    Line             the two derivatives of Σ s·ℓ along z0 + t·(z1 − z0)
    MarginChange     how far z1 is from z0, and how far the rows moved towards their own class
    CurvatureMass    Σ over outputs of s·curvature, a row vector
    WeightSum        Σ s of the rows that a model trains on

Several models side by side are columns of one W: see `side_by_side`.
"""

import math
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple


class Model(NamedTuple):
    """One of several models that share a read: the column of its codes in y, the split that it trains on, and
    the weight of each class, by code, or None for ones."""

    target: int = 0
    split: int | None = None
    class_weight: tuple | None = None


class Sums(NamedTuple):
    """The result of a LossGradient.

    value : (models,), float64 on the host
    gradient : (n + 1, k), float64 on the host
    margins : row vector (rows, k), or None
    diagonal : (n + 1, k) of the Hessian, or None
    change : Change of margins, if the backend has computed it in passing, or None
    """

    value: Any
    gradient: Any
    margins: Any = None
    diagonal: Any = None
    change: Any = None


class RowVector:
    """A handle on one number, or k numbers, for every row: solvers can only pass it back to the rows.

    Parameters
    ----------
    parts : list of arrays (rows of a block, k), where the backend keeps them
    """

    curvatures = None
    """The curvatures at these margins, a RowVector, once they are known."""

    def __init__(self, parts):
        self.parts = parts


@dataclass(frozen=True, eq=False)
class Pass:
    """The base class of all passes."""

    reads: ClassVar[int] = 1  # number of reads of X
    of_rows: ClassVar[bool] = False  # whether the result is a row vector
    vectors: ClassVar[tuple] = ()  # names of the fields that are row vectors
    combine: ClassVar[Any] = sum  # how the results of several blocks are combined

    def for_block(self, i):
        """The pass over block i, with that block's part of every row vector."""
        return self._with_vectors(lambda vector: vector.parts[i])

    def between(self, start, stop):
        """The pass over some rows of a block."""
        return self._with_vectors(lambda part: part[start:stop])

    def made(self):
        """The pass with all its row vectors computed: some are otherwise computed when first needed."""
        for name in self.vectors:
            if (vector := getattr(self, name)) is not None:
                _ = vector.parts
        return self

    def _with_vectors(self, part_of):
        fields = vars(self)
        parts = {name: part_of(fields[name]) for name in self.vectors if fields[name] is not None}
        if not parts:
            return self
        pass_ = object.__new__(type(self))  # dataclasses.replace takes longer than a pass over few rows
        vars(pass_).update(fields | parts)
        return pass_


def joined(pass_, parts, join_rows):
    """The result of a pass over all rows, from its results over parts; `join_rows` joins row vectors."""
    if pass_.of_rows:
        return join_rows(parts)
    if not isinstance(parts[0], Sums):
        return parts[0] if len(parts) == 1 else type(pass_).combine(parts)
    if len(parts) == 1:
        margins = parts[0].margins
        return parts[0] if margins is None else parts[0]._replace(margins=join_rows([margins]))
    return Sums(
        sum(part.value for part in parts),
        sum(part.gradient for part in parts),
        None if parts[0].margins is None else join_rows([part.margins for part in parts]),
        None if parts[0].diagonal is None else sum(part.diagonal for part in parts),
        None if parts[0].change is None else MarginChange.combine([part.change for part in parts]),
    )


class Change(NamedTuple):
    """How margins changed.

    Attributes
    ----------
    largest : float
        max |z1 − z0|; with several classes, of a difference of two margins, since shifting all is no change.
    least, most : float
        The changes in favour of a row's own class, over the rows of positive weight that have a loss.
    above : float
        The result of AboveTangent, if that was computed in passing; else nan.
    """

    largest: float = 0.0
    least: float = 0.0
    most: float = 0.0
    above: float = math.nan


UNKNOWN = Change(math.inf, -math.inf, math.inf)
"""The Change where margins are not kept: any of them may have changed."""


@dataclass(frozen=True, eq=False)
class LossGradient(Pass):
    """-> Sums from one sweep; with `keep_margins` also the margins, with `diagonal` that of the Hessian.

    models : tuple of Model, one for each loss.n_outputs columns of W; None for the block's only target.
    since : margins at another point; a backend that waits for a device computes their change in passing.
    wanted : tuple of draws that may follow, for Rows that gather rows while they read; kernels ignore it.
    """

    vectors = ("since",)
    W: Any
    loss: Any
    keep_margins: bool = False
    diagonal: bool = False
    models: tuple | None = None
    since: Any = None
    wanted: tuple = ()


@dataclass(frozen=True, eq=False)
class HessianVector(Pass):
    """-> the Hessian of the sum at W applied to V (n + 1, k).

    margins : those at W, if they are known, which saves a product; a kernel that reads X once anyway may
    ignore them.
    curvatures : the CurvatureMass of the rows at W, for one output, or None; the generic body then needs
    neither W nor the margins.
    """

    vectors = ("margins", "curvatures")
    W: Any
    V: Any
    loss: Any
    margins: Any = None
    models: tuple | None = None
    curvatures: Any = None


@dataclass(frozen=True, eq=False)
class _OfCurvature(Pass):
    """margins : as in HessianVector."""

    vectors = ("margins",)
    W: Any
    loss: Any
    models: tuple | None = None
    margins: Any = None


class Diagonal(_OfCurvature):
    """-> (n + 1, k)."""


class Hessian(_OfCurvature):
    """-> ((n + 1)·k, (n + 1)·k) in the order of W.ravel(), left on the backend's side."""


class MeanHessian(_OfCurvature):
    """-> (n + 1, n + 1), left on the backend's side."""


class OwnHessians(_OfCurvature):
    """-> (k, n + 1, n + 1), left on the backend's side."""


@dataclass(frozen=True, eq=False)
class Margins(Pass):
    """-> row vector (rows, k) in the arithmetic of X."""

    of_rows = True
    W: Any


@dataclass(frozen=True, eq=False)
class ColumnSquares(Pass):
    """-> (n,), float64 on the host."""


@dataclass(frozen=True, eq=False)
class RowSquares(Pass):
    """-> row vector (rows,); scale (n,) on the host, or None for 1/mean(x²) of the block's own columns."""

    of_rows = True
    scale: Any = None


@dataclass(frozen=True, eq=False)
class Line(Pass):
    """-> slope and curvature in t of Σ s·ℓ at the margins z0 + t·(z1 − z0), float64 (2,)."""

    reads = 0
    vectors = ("start", "end")
    start: Any
    end: Any
    t: float
    loss: Any
    models: tuple | None = None


@dataclass(frozen=True, eq=False)
class MarginChange(Pass):
    """-> a Change, of z1 − z0."""

    reads = 0
    vectors = ("start", "end")
    start: Any
    end: Any
    loss: Any
    models: Any = None

    @staticmethod
    def combine(parts):
        """The Change over all parts."""
        return Change(*(f(of) for f, of in zip((max, min, max, sum), zip(*parts, strict=True), strict=True)))


@dataclass(frozen=True, eq=False)
class AboveTangent(Pass):
    """-> Σ s·(ℓ(z0) − ℓ(z1) − ∂ℓ(z1)·(z0 − z1)), float64 (1,): row by row, since sums of ℓ would cancel."""

    reads = 0
    vectors = ("start", "end")
    start: Any
    end: Any
    loss: Any
    models: tuple | None = None


@dataclass(frozen=True, eq=False)
class CurvatureMass(Pass):
    """-> row vector (rows,): the sum of a row's curvatures times its weight."""

    reads = 0
    of_rows = True
    vectors = ("margins",)
    margins: Any
    loss: Any
    models: tuple | None = None


@dataclass(frozen=True, eq=False)
class WeightSum(Pass):
    """-> Σ s of the rows that each model trains on, float64 (models,)."""

    reads = 0
    models: tuple
