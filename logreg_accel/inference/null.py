"""The log-likelihood of a model that has only an intercept."""

import numpy as np

from ..backends import moments

_STEPS = 50


def null_likelihood(evidence):
    """From the class shares; with an offset, by Newton's method on the intercepts, which reads no X."""
    s = evidence.totals[0]
    shares = s / s.sum()
    rows, k = evidence.rows, evidence.layout.n_outputs
    if rows.offset_scale is None:
        return float((s * np.log(shares)).sum())

    def at(b):
        with rows.backend.limit_threads():
            return rows.sweep(moments.Intercepts(b, evidence.loss))

    b = np.log(shares[1:] / shares[:1]) if k == 1 else np.log(shares)
    here = at(b)
    for _ in range(_STEPS):
        H = here.information + here.information.trace() / k**2 if k > 1 else here.information
        step = -np.linalg.solve(H, here.gradient)
        decrement = -float(step @ here.gradient)
        there = at(b + step)
        while not there.value <= here.value + 1e-14 * abs(here.value) and abs(step).max() > 1e-12:
            step = step / 4
            there = at(b + step)
        b, here = b + step, there
        if decrement <= 1e-13 * abs(here.value):
            break
    return -here.value * evidence.scale
