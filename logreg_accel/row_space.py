"""A problem of few rows and many features, as one with as many weights as rows."""

import numpy as np
import scipy.linalg.lapack

from .backends import get_backend
from .data import Block, Dataset

_UP_TO_ROWS = 5000


def reduce(objective):
    """The same problem for weights in the space of the rows, with `lift` back from there: one read for XXᵀ.

    XXᵀ = LLᵀ, with pivots for rows that depend on others; w = Xᵀ(L⁻ᵀu) then has margins Lu and ‖w‖ = ‖u‖.

    Parameters
    ----------
    objective : Objective

    Returns
    -------
    Objective
        With `lift`, u -> w, and `distance`, a Point of the full problem -> how far above the minimum it can lie.

    Raises
    ------
    ValueError
        No L2 penalty, or rows times outputs are too many for XXᵀ.
    """
    m, k, backend = objective.dataset.n_rows, objective.loss.n_outputs, objective.backend
    if not (objective.penalty.l2 > 0 and m * k <= _UP_TO_ROWS):
        raise ValueError(
            f"`solver` is 'row-space' with {'no L2 penalty' if objective.penalty.l2 == 0 else 'an L2 penalty'}, {m} rows and {k} "
            f"outputs; expected a finite C, l1_ratio=0 and at most {_UP_TO_ROWS} rows times outputs. "
            "Use solver='newton-cg'."
        )
    X = objective.joined([block.X for block in objective.blocks])
    with np.errstate(invalid="ignore", over="ignore"):
        gram = backend.gram(X)
    objective.check_sums(gram.diagonal())
    packed, pivots, rank, _ = scipy.linalg.lapack.dpstrf(gram, lower=1)
    pivots -= 1
    rank = max(rank, 1)  # all rows are zero: their one weight is, too
    L = np.empty((m, rank))
    L[pivots] = np.tril(packed)[:, :rank]
    basis, kept = X[backend.xp.asarray(pivots[:rank])], L[pivots[:rank]]
    dataset = Dataset([Block(L, objective.of_rows("y"), objective.of_rows("sample_weight"))], objective.dataset.classes)
    reduced = type(objective)(dataset, objective.loss, objective.penalty, get_backend("numpy", 0)[0], objective.fit_intercept)

    def lift(u):
        U = u.reshape(-1, k)
        a = scipy.linalg.solve_triangular(kept, U[:rank], lower=True, trans="T") if kept.any() else 0 * U[:rank]
        return np.concatenate([backend.combine(basis, a), U[rank:]]).ravel()

    reduced.lift = lift
    reduced.distance = lambda point: objective.penalty.suboptimality_bound(point.gradient)
    return reduced
