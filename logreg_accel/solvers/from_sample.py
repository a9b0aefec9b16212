"""The start shared by solvers that use samples: the optimum of a sample that carries over to all rows."""

from .questions import Draw, Evaluate, Sample

CARRIES_OVER = 0.2  # how far, relatively, the loss of all rows may lie above that of the sample
POOR_RATE = 0.3  # a new metric is drawn when a predicted decrease exceeds this share of the previous one
SOLVED = 1e-4  # decrement, relative to the loss of the sample, at which the sample counts as solved
MOST_STEPS = 20  # on one sample


def near_the_optimum(start, size, solve, carries_over=CARRIES_OVER, likely=(), diagonal=False):
    """Find a Point of all rows near the optimum of a sample, which grows fourfold until it carries over.

    Parameters
    ----------
    start : Start
        A warm start needs no sample: it is only evaluated.
    size : int
        Rows of the first sample.
    solve : function (sample, w) -> generator that returns a Point of the sample
    carries_over : float
        How far the loss of all rows may lie above that of the sample, relative to the latter.
    likely : tuple
        Draws that will follow at the point that is found.
    diagonal : bool
        Whether a Point found by means of a sample has the diagonal of the Hessian.

    Returns
    -------
    here : Point
    size : int
        Rows of the last sample.
    """
    w, here = start.w, None
    if w.any():
        return (yield Evaluate(w, likely=likely)), size
    while True:
        sample = yield Draw(Sample(size, start.seed))
        if sample is None:
            return here or (yield Evaluate(w, likely=likely)), size
        near = yield from solve(sample, w)
        here = yield Evaluate(near.w, diagonal=diagonal, likely=likely)
        if not here.value > (1 + carries_over) * near.value:
            return here, size
        w, size = near.w, 4 * size
