"""The passes of dual coordinate ascent, by the loops of kernels/cpu/dual.py.

One thread visits all rows, because rows that are visited at the same time would not see each other's changes.
Two partitions whose sums are exchanged now and then diverged on text; with steps halved for safety, they took
more than twice as many epochs.
"""

import numpy as np

from ... import clock
from ...losses import Logistic
from .. import ascent
from . import kernels

_VISITS = 1 << 22  # numbers of X that are read between two checks of the deadline
_RUN = 4  # adjacent rows that are visited in order
_SHARE = 0.1  # strength of the augmented Lagrangian, relative to the mean ‖x‖² or 1/C


def _epoch(backend, pass_, block, job):
    loops, m = kernels.loops("dual"), block.X.shape[0]
    y, s, C = job.y, _weights(block), pass_.strength
    w = pass_.W[:, 0].copy()
    state = _first_state(backend, pass_, block, job, w) if pass_.state is None else pass_.state.copy()
    typical = max(float(state[:, 1].mean()), 1 / (C * (float(s.mean()) if s.size else 1.0)))
    kappa = _SHARE * typical if pass_.intercept else 0.0
    order, gap = _order(m, np.random.default_rng(pass_.seed)), 0.0
    at_once = max(_VISITS * m // max(block.X.nbytes, 1), 1)
    for rows in clock.slices(m, at_once):
        gap += loops.epoch(job.A, y, s, C, kappa, order[rows], state, w)
    if pass_.intercept:
        negative, positive = loops.sides(y, s, state)
        w[-1] += kappa * C * (positive - negative)
    if not pass_.settle:
        return ascent.EpochResult(w, state, gap, w[-1])
    z = _margins(backend, pass_, block, w)
    b = loops.best_intercept(y, s, z, w[-1]) if pass_.intercept else 0.0
    return ascent.EpochResult(w, state, loops.gap(y, s, z, b, 1.0, 1.0, state), b)


def _order(m, rng):
    """All rows as short runs in random order; single rows would wait for memory most of the time."""
    runs = rng.permutation(-(-m // _RUN))[:, None] * _RUN + np.arange(_RUN)
    order = runs.ravel()
    return (order[order < m] + rng.integers(_RUN)) % m


def _first_state(backend, pass_, block, job, w):
    """Return the first p and ‖x‖², and the w that belongs to these p, which replaces the given one."""
    loops, state = kernels.loops("dual"), np.zeros((block.X.shape[0], 2))
    loops.squares(job.A, len(w) - 1, state)
    if w.any():
        loops.residuals(job.y, _margins(backend, pass_, block, w) + w[-1], state)
        w[:-1] = 0
        loops.combine(job.A, job.y, _weights(block), -pass_.strength, pass_.strength, state, w)
    return state


def _margins(backend, pass_, block, w):
    """X·w without the intercept."""
    W = np.append(w[:-1], 0.0)[:, None]
    return backend.run(kernels.p.Margins(W), block)[:, 0]


def _weights(block):
    """Weights in float64, as proofs need them."""
    s = block.sample_weight
    return np.empty(0) if s is None else np.ascontiguousarray(s, dtype=np.float64)


def _gap(backend, pass_, block, job):
    loops, s = kernels.loops("dual"), _weights(block)
    z = np.ascontiguousarray(pass_.margins[:, 0])
    negative = positive = 1.0
    if pass_.intercept:  # the residuals of the heavier class are scaled down to the sum of the other one
        sides = loops.sides(job.y, s, pass_.state)
        negative, positive = (min(sides) / side if side > 0 else 1.0 for side in sides)
    w = np.zeros(len(pass_.W))
    C = pass_.strength
    loops.combine(job.A, job.y, s, -C * negative, C * positive, pass_.state, w)
    return loops.gap(job.y, s, z, 0.0, negative, positive, pass_.state), w[:-1]


for _layout in ("rows", "sparse"):
    kernels.KERNELS[ascent.DualEpoch, Logistic, _layout] = kernels.with_job(_layout)(_epoch)
    kernels.KERNELS[ascent.DualGap, Logistic, _layout] = kernels.with_job(_layout)(_gap)
