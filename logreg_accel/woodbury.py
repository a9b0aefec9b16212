"""Newton's system in the row space, by a matrix that takes no products of matrices.

The rows there are a factor L (m, p) of the Gram matrix K = LLᵀ. Let D be the curvatures of the rows divided
by the sum of their weights, and λ the strength of the penalty. By the Woodbury identity::

    (λI + LᵀDL)⁻¹ = (I − Lᵀ·E·B⁻¹·E·L)/λ,   E = D^½,   B = λI + E·K·E

B is K with scaled rows and columns, whereas LᵀDL would have to be multiplied out at every step. What an
intercept adds is a row and a column h = LᵀD1, for which (λI + LᵀDL)⁻¹·h = Lᵀ·E·B⁻¹·E·1, so that its Schur
complement λ·1ᵀ·E·B⁻¹·E·1 has no difference in which digits are lost (Rasmussen and Williams, Gaussian
Processes for Machine Learning, section 3.4).
"""

import numpy as np

from . import metric


def solve(objective, question):
    """Return a function v -> (∇²F)⁻¹·v, for one output and v (size,)."""
    rows, ridge = objective.rows, float(objective._ridge[0])
    (block,), (Z,) = rows.blocks(), question.margins.parts
    L, s = block.X.stored, None if block.sample_weight is None else block.sample_weight[:, None]
    ((_, _, curvature),) = rows.backend.curvature_blocks(objective.loss, Z, block.y, s)
    e = np.sqrt(curvature[:, 0] / objective.weight_sum)
    B = rows.gram * e
    B *= e[:, None]
    B.reshape(-1)[:: len(B) + 1] += ridge
    solve_rows = rows.backend.factor(B, metric.rounding(objective))

    def of_weights(v):
        return (v - (e * solve_rows(e * (L @ v))) @ L) / ridge

    if not objective.fit_intercept:
        return of_weights
    own = solve_rows(e)
    beside = (e * own) @ L
    complement = ridge * float(e @ own) or 1.0  # no row has a curvature left

    def of_all(v):
        intercept = (v[-1] - beside @ v[:-1]) / complement
        return np.append(of_weights(v[:-1]) - beside * intercept, intercept)

    return of_all
