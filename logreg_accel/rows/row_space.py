"""A problem with few rows and many features, turned into one with as many features as rows."""

import numpy as np
import scipy.linalg

from ..backends import linalg
from ..data import Block, Matrix
from .masses import joined
from .memory import MemoryRows

_UP_TO_ROWS = 5000


class RowSpace(MemoryRows):
    """The rows of a problem in coordinates of the row space: one read of X for XXᵀ.

    XXᵀ = LLᵀ, with pivoting for linearly dependent rows; then w = Xᵀ(L⁻ᵀu) has margins Lu and ‖w‖ = ‖u‖.

    Parameters
    ----------
    rows : MemoryRows
    n_outputs : int
    penalised : bool
        Whether there is an L2 penalty, without which the minimum need not lie in this space.

    Attributes
    ----------
    gram : ndarray (m, m)
        XXᵀ.

    Raises
    ------
    ValueError
        No penalty, rows times outputs too many for XXᵀ, or sums over X that are not finite.
    """

    cost = 1.0

    def __init__(self, rows, n_outputs, penalised):
        m = rows.n_rows
        if not (rows.in_memory and isinstance(rows, MemoryRows)):
            raise TypeError(
                f"`solver` is 'row-space', which needs rows in memory, not {type(rows).__name__}."
            )
        if not penalised or m * n_outputs > _UP_TO_ROWS:
            raise ValueError(
                f"`solver` is 'row-space' with {'an' if penalised else 'no'} L2 penalty, {m} rows and "
                f"{n_outputs} outputs; expected a finite C, l1_ratio=0 and at most {_UP_TO_ROWS} rows times "
                "outputs. Use solver='newton-cg'."
            )
        self.rows = rows
        blocks = list(rows.blocks())
        xp = rows.backend.xp
        X = (
            blocks[0].X
            if len(blocks) == 1
            else Matrix(xp.concatenate([block.X.to_dense() for block in blocks]))
        )
        with np.errstate(invalid="ignore", over="ignore"):
            gram = rows.backend.row_gram(X)
        if not np.isfinite(gram.diagonal()).all():
            rows.refuse_nonfinite()
            rows.refuse_overflow()
        self.gram = gram
        L, pivots = linalg.pivoted_cholesky(gram)
        kept = pivots[: L.shape[1]].astype(np.int64)  # LAPACK's pivots have fewer bits than kernels expect
        self._basis, self._factor = X.take(xp.asarray(kept)), L[kept]
        offset = joined([block.offset for block in blocks])
        offset = None if offset is None else rows.backend.to_host(offset)
        block = Block(Matrix(L), rows.labels(), rows.weights(), offset=offset)
        super().__init__([block], rows.backend.in_array_code(), rows.n_classes)
        self.share = 0.0

    def combine(self, U):
        """W of the full problem, (n_features + 1, k) or without the last row, from U here. One read of X."""
        rank = self._factor.shape[0]
        if self._factor.any():
            a = scipy.linalg.solve_triangular(self._factor, U[:rank], lower=True, trans="T")
        else:
            a = 0 * U[:rank]
        return np.concatenate([self.rows.backend.combination(self._basis, a), U[rank:]])
