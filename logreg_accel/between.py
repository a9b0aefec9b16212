"""What is known of an objective from the margins at one or two points, without a read.

These are slopes along the line between the points, changes of margins, gaps between losses and tangents, and
probabilities.
"""

import numpy as np

from .backends import passes

_MOST_BYTES = 1 << 26  # of kept probabilities, an amount that solvers take without asking what is available


def slopes(objective, start, end):
    """A function t -> slope and curvature of F along a line, from margins."""
    at, penalty = objective.at, objective.penalty
    w, d = at.penalised(start.w), at.penalised(end.w) - at.penalised(start.w)
    along, across = ((penalty.gradient(v) * d).sum() for v in (w, d))

    def slope_and_curvature(t):
        line = passes.Line(start.margins, end.margins, t, objective.loss, objective.models)
        slope, curvature = objective.rows.sweep(line) / objective.weight_sum
        return slope + along + t * across, curvature + across

    return slope_and_curvature


def change(objective, start, end, known=None):
    """Return the Change of margins from one point to another, or `known`, with the gap of the mean loss."""
    found = known or _sweep(passes.MarginChange, objective, start, end, passes.UNKNOWN)
    return found._replace(above=found.above / objective.weight_sum)


def above(objective, start, end):
    """The gap between the mean loss at one point and its tangent at another; nan where it is unknown."""
    return float(_sweep(passes.AboveTangent, objective, start, end, [np.nan])[0]) / objective.weight_sum


def probabilities(objective, margins):
    """The probabilities at some margins, made once and kept with them for all products of a system.

    None where passes take the margins themselves: if the loss has no use for probabilities, for one of
    several models, where rows are not in memory, are many, or have their sums logged, and in compiled loops,
    whose exponentials take no longer than reading probabilities.
    """
    rows, loss = objective.rows, objective.loss
    nbytes = rows.n_rows * loss.n_outputs * rows.dtype.itemsize
    if margins is None or objective.models is not None or not hasattr(loss, "product_at"):
        return None
    if ("curvature_product", type(loss)) in rows.backend.pointwise_kernels:
        return None
    if nbytes > _MOST_BYTES or rows.log is not None or rows.columns_in_memory() is None:
        return None
    if margins.probabilities is None:
        margins.probabilities = rows.sweep(passes.Probabilities(margins, loss))
    return margins.probabilities


def _sweep(sweep, objective, start, end, unknown):
    if start.margins is None or end.margins is None:
        return unknown
    return objective.rows.sweep(sweep(start.margins, end.margins, objective.loss, objective.models))
