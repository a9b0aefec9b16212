"""What is known of an objective from the margins at two points, without a read.

These are slopes along the line between the points, changes of margins, and gaps between losses and tangents.
"""

import numpy as np

from .backends import passes


def slopes(objective, start, end):
    """A function t -> slope and curvature of F along a line, from margins.

    Where an L1 penalty has a kink, the slope is that on the right.
    """
    at, penalty = objective.at, objective.penalty
    w, d = at.penalised(start.w), at.penalised(end.w) - at.penalised(start.w)
    along, across = ((penalty.gradient(v) * d).sum() for v in (w, d))

    def slope_and_curvature(t):
        line = passes.Line(start.margins, end.margins, t, objective.loss, objective.models)
        slope, curvature = objective.rows.sweep(line) / objective.weight_sum
        if penalty.has_l1:
            there = w + t * d
            slope += float((penalty.l1 * np.where(there != 0, np.sign(there) * d, abs(d))).sum())
        return slope + along + t * across, curvature + across

    return slope_and_curvature


def change(objective, start, end, known=None):
    """Return the Change of margins from one point to another, or `known`, with the gap of the mean loss."""
    found = known or _sweep(passes.MarginChange, objective, start, end, passes.UNKNOWN)
    return found._replace(above=found.above / objective.weight_sum)


def above(objective, start, end):
    """The gap between the mean loss at one point and its tangent at another; nan where it is unknown."""
    return float(_sweep(passes.AboveTangent, objective, start, end, [np.nan])[0]) / objective.weight_sum


def _sweep(sweep, objective, start, end, unknown):
    if start.margins is None or end.margins is None:
        return unknown
    return objective.rows.sweep(sweep(start.margins, end.margins, objective.loss, objective.models))
