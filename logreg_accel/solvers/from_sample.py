"""The start that solvers on samples share: near the optimum of a sample that carries over to all rows."""

from .questions import Draw, Evaluate, Sample

CARRIES_OVER = 0.2  # of the loss: what the full data's may lie above the sample's
POOR_RATE = 0.3  # of the last decrease: shrinking by less, the metric is drawn anew
SOLVED = 1e-4  # of the loss of the sample
MOST_STEPS = 20  # on a sample


def near_the_optimum(start, size, solve, carries_over=CARRIES_OVER):
    """A Point of all rows near the optimum of a sample, and the size of that sample, which grows fourfold
    until it will do.

    Parameters
    ----------
    start : Start
        A warm start needs no sample: it is evaluated as it is.
    size : int
        Rows of the first sample.
    solve : function (sample, w) -> generator that returns a Point of the sample
    carries_over : float
        Relative to the loss of the sample, how far that of all rows may lie above it.
    """
    w = start.w
    if w.any():
        return (yield Evaluate(w)), size
    while True:
        sample = yield Draw(Sample(size, start.seed))
        if sample is None:
            return (yield Evaluate(w)), size
        near = yield from solve(sample, w)
        here = yield Evaluate(near.w)
        if not here.value > (1 + carries_over) * near.value:
            return here, size
        w, size = near.w, 4 * size
