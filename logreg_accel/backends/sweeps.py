"""The bodies of passes that need row vectors, labels and weights, but not X, in array code."""

import numpy as np

from . import generic
from . import passes as p

_OF_A_LINE = 8  # arrays that are made of a row's margins along a line, which the cache holds as well
FAR = 100.0  # a row whose own class leads by more than this has no loss


def line(backend, pass_, block):
    """Slope and curvature along the line between two sets of margins."""
    sums, (m, k) = np.zeros(2), pass_.start.shape
    tile = max(m if backend.on_device else backend.tile_bytes // (_OF_A_LINE * pass_.start[:1].nbytes), 1)
    for rows in (slice(start, start + tile) for start in range(0, m, tile)):
        D = pass_.end[rows] - pass_.start[rows]
        Z = pass_.start[rows] + D.dtype.type(pass_.t) * D
        for columns, y, s in generic.models_of(pass_, generic.part_of(block, rows), k):
            for i, term in enumerate(pass_.loss.line_terms(Z[:, columns], y, D[:, columns])):
                sums[i] += float((term if s is None else s * term).sum(dtype=np.float64))
    return sums


def margin_change(backend, pass_, block):
    """The largest spread of a row's changes, and the least and most in favour of its own class.

    A row that is far on the side of its own class has no loss left, so that its changes do not count. If one
    column has huge values, such rows would otherwise hide the changes of all others.
    """
    xp, start, end = backend.xp, pass_.start, pass_.end
    if not start.size:
        return p.Change()
    ends, spreads = [], []
    for columns, y, s in generic.models_of(pass_, block, start.shape[1]):
        spreads.append(float(pass_.loss.spread(end[:, columns] - start[:, columns]).max()))
        before, after = (np.minimum(pass_.loss.lead(z[:, columns], y), FAR) for z in (start, end))
        lost = (after - before).min(axis=1)
        gained = np.maximum(after, -FAR) - np.maximum(before, -FAR)
        gained = xp.where(before < FAR, gained, 0).max(axis=1)
        ends.append([change if s is None else xp.where(s[:, 0] > 0, change, 0) for change in (lost, gained)])
    least = min(float(lost.min()) for lost, _ in ends)
    most = max(float(gained.max()) for _, gained in ends)
    return p.Change(float(np.max(spreads)), least, most)


def above_tangent(backend, pass_, block):
    """How far the losses at some margins lie above their tangents at others."""
    total = 0.0
    for columns, y, s in generic.models_of(pass_, block, pass_.start.shape[1]):
        z0, z1 = (z[:, columns] for z in (pass_.start, pass_.end))
        (value, _), (tangent, slope) = (pass_.loss.value_residual(z, y) for z in (z0, z1))
        above = (value - tangent).sum(axis=1) - (slope * (z0 - z1)).sum(axis=1)
        total += float((above if s is None else s[:, 0] * above).sum(dtype=np.float64))
    return np.array([total])


def curvature_mass(backend, pass_, block):
    """Σ over outputs of s·curvature of every row."""
    mass = 0
    for columns, y, s in generic.models_of(pass_, block, pass_.margins.shape[1]):
        curvatures = pass_.loss.curvature(pass_.margins[:, columns], y).sum(axis=1)
        mass = mass + (curvatures if s is None else s[:, 0] * curvatures)
    return mass


def weight_sum(backend, pass_, block):
    """Σ s of the rows that each model trains on."""
    weights = [s for _, _, s in generic.models_of(pass_, block, len(pass_.models))]
    return np.array([float(block.y.shape[0] if s is None else s.sum(dtype=np.float64)) for s in weights])


BODIES = {
    p.Line: line,
    p.MarginChange: margin_change,
    p.AboveTangent: above_tangent,
    p.CurvatureMass: curvature_mass,
    p.WeightSum: weight_sum,
}
