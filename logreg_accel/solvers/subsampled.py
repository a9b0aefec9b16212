"""Newton's method with sub-sampled Hessians, which reaches the optimum in a handful of reads of X."""

import math
from collections import deque
from dataclasses import dataclass

import numpy as np

from .conjugate import conjugate_gradients
from .from_sample import MOST_STEPS, POOR_RATE, SOLVED, near_the_optimum
from .lbfgs import two_loop
from .line_search import NEWTON_FLATTENING, step
from .newton import by_factors, newton_in_memory
from .questions import (
    CLASS_MEAN,
    CONVERGED,
    MATRIX,
    NOISE_FLOOR,
    SOLVE,
    Accept,
    Curvature,
    Draw,
    Evaluate,
    Sample,
)
from .rare_columns import by_own_loss, completed, misses

_METRIC_UP_TO = 1000  # parameters up to which the metric is factored
_CREPT = 3  # number of poor steps with the Hessian of all rows after which another metric cannot help
_SHORTENED = 1e-3  # a step on a new metric that is cut below this shows that the metric lacks curvature
_FIRST_ROWS = 50  # rows per parameter of the first sample, at most: solving it takes several Hessians
_SAMPLE_SHARE = 0.02  # up to this share of all rows, a sample may have more rows than it usually needs
# Above `factored_up_to` parameters, these replace SOLVED, POOR_RATE and MOST_STEPS: with only a few rows per
# parameter, the optimum of a sample does not carry over to all rows and need not.
_WIDE_SOLVED = 0.1
_WIDE_POOR_RATE = 0.8
_WIDE_STEPS = 3
_NARROW = 8  # features up to which a Hessian of all rows costs no more than drawing some of them
# Parameters up to which the first sample is solved with factored Hessians; beyond, they would take longer
# than the reads of all rows.
FACTORED_UP_TO = 200


@dataclass(frozen=True)
class newton_subsampled:
    """Sub-sampled Newton with L-BFGS corrections.

    (a) A sample, with as many rows from every class, is solved by Newton's method in memory; it grows
    fourfold while its optimum does not carry over to all rows. If some columns are zero in nearly all of its
    rows, the next step is one of rare_columns.py. (b) The metric is the Hessian of rows drawn in
    proportion to what they add to it, factored once; to begin with, a sample of as many rows that has seen
    all columns serves. (c) L-BFGS runs on the full data with that metric, at one read per step. (d) If the
    unit step is poor, the line is minimised on stored margins, without a read (line_search.py). (e) When the
    decrement exceeds 0.3 of the previous one, a new metric is drawn at the current point, with twice as many
    rows every second time; in the limit this is exact Newton.

    Above `factored_up_to` parameters, where (b) would cost more than it saves, every step is a Newton-CG step
    on a new sample, drawn by means of the norms of all rows. The sample doubles when the decrement exceeds
    0.8 of the previous one.

    Parameters
    ----------
    rows_per_parameter : int
        Rows of a sample, per parameter.
    memory : int
        Number of pairs of changes in w and in the gradient that are kept.
    factored_up_to : int
        Parameters up to which the metric is factored.
    exact : bool
        Whether the steps after the sample are Newton's, with the Hessian of all rows. "newton-subsampled"
        stands for that where features are so few that drawing rows takes longer.

    References
    ----------
    Roosta-Khorasani and Mahoney (2019), Sub-sampled Newton methods, Mathematical Programming 174; sampling by
    row norms: Xu et al. (2016), Sub-sampled Newton methods with non-uniform sampling, NeurIPS.
    """

    rows_per_parameter: int = 50
    memory: int = 10
    factored_up_to: int = _METRIC_UP_TO
    exact: bool = False

    def __post_init__(self):
        for name in ("rows_per_parameter", "memory", "factored_up_to"):
            value = getattr(self, name)
            if not (isinstance(value, int) and value >= 1):
                raise ValueError(f"`{name}` is {value!r}; expected a positive integer.")
        if not isinstance(self.exact, bool):
            raise ValueError(f"`exact` is {self.exact!r}; expected True or False.")

    @classmethod
    def for_shape(cls, n_rows, n_features, n_outputs=1):
        """Choose the rows of a sample such that its Hessian costs no more than about three reads of X.

        The Hessian takes n² operations per row, so with many features, fewer rows per parameter take more
        reads but less time. Of many rows, more than 50 per parameter save reads, as long as they are a small
        part of all. A row tells as much about each of several outputs as about a single one.
        """
        size = n_outputs * n_features + 1
        least, usual, most = (max(2, round(rows / n_outputs)) for rows in (12, 50, 200))
        few = min(max(_SAMPLE_SHARE * n_rows / size, usual), most)
        rows = int(min(max(16 * n_rows / size**2, least), few))
        return cls(rows_per_parameter=rows, exact=n_outputs == 1 and n_features <= _NARROW)

    def bytes_beside(self, shape):
        """A sample and a Hessian: of all parameters, or of one class where those are many."""
        factored = shape.size if shape.size <= self.factored_up_to else shape.n_features + 1
        sample = shape.sample(self.rows_per_parameter * shape.size)
        return shape.vectors(2 * self.memory + 12) + sample + shape.hessian(factored)

    def __call__(self, start):
        size = self.rows_per_parameter * len(start.w)
        if len(start.w) > self.factored_up_to:
            return (yield from self._by_products(start, size))
        if self.exact:
            return (yield from self._by_all_rows(start, size))
        here, rare, sample = yield from _beside_rare_columns(start, size)
        pairs, drawn, before, crept = deque(maxlen=self.memory), int(sample is None), math.inf, 0
        if sample is None:
            metric = yield from _metric(start, size, drawn, here)
        else:
            metric = yield Curvature(here.w, SOLVE, sample)
        while True:
            direction = -two_loop(pairs, metric, here.gradient)
            decrement = -0.5 * (here.gradient @ direction)
            if (yield Accept(here, gap=decrement)):
                return CONVERGED
            poor = 0.5 * (here.gradient @ metric(here.gradient)) > POOR_RATE * before
            crept += int(poor and size >= start.n_rows)
            if crept > _CREPT:
                return (yield from by_factors(here))
            if poor:
                size, drawn, before = size * (1 + drawn % 2), drawn + 1, math.inf
                metric = yield from _metric(start, size, drawn, here)
                pairs.clear()
                direction = -metric(here.gradient)
                decrement = -0.5 * (here.gradient @ direction)
            likely = (Sample(size * (1 + drawn % 2), start.seed + drawn + 1),)
            there = yield from step(here, direction, likely=likely, diagonal=rare)
            if there is None:
                if decrement <= here.rounding or (size == math.inf and not pairs):
                    return NOISE_FLOOR
                # If even a new metric gives no descent, some columns are zero in nearly all rows of the
                # sample; from here on, the metric is the Hessian of all rows.
                size, drawn, before = math.inf if drawn and not pairs else size, drawn + 1, math.inf
                metric = yield from _metric(start, size, drawn, here)
                pairs.clear()
                continue
            s, y = there.w - here.w, there.gradient - here.gradient
            if drawn and not pairs and abs(s).max() < _SHORTENED * abs(direction).max():
                crept = _CREPT + 1  # the sample has no curvature in a direction where other rows have some
            if s @ y > 0:
                pairs.append((s, y))
            here, before = there, decrement

    def _by_all_rows(self, start, size):
        """Run Newton's method from the optimum of a sample.

        That sample may be large, since each of its steps replaces a Hessian of all rows. A warm start may
        already be close to the optimum; a sample then shows it.
        """
        here, _ = yield from near_the_optimum(start, size, _newton(start, SOLVED, MOST_STEPS))
        gap = math.inf
        if start.w.any():
            metric = yield from _metric(start, size, 1, here)
            gap = 0.5 * (here.gradient @ metric(here.gradient))
        if (yield Accept(here, gap=gap)):
            return CONVERGED
        return (yield from by_factors(here, NEWTON_FLATTENING, early=True))

    def _by_products(self, start, size):
        """Run sub-sampled Newton-CG: the metric is applied, not factored.

        The alternative of L-BFGS on top of it, with the sample kept as long as the rate is good, took as many
        reads and more time.
        """
        here, size = yield from near_the_optimum(
            start, size, _newton(start, _WIDE_SOLVED, _WIDE_STEPS), math.inf
        )
        precondition, there, before, drawn = None, here, math.inf, 0
        while True:
            drawn += 1
            sample = yield Draw(Sample(size, start.seed + drawn, here, by_norms=True))
            if precondition is None:
                precondition = yield Curvature(here.w, CLASS_MEAN, on=sample)
            known = (yield Evaluate(here.w, sample)) if sample else here
            direction, *_ = yield from conjugate_gradients(
                here, precondition, 0.1, 200, sample, known.margins
            )
            decrement = -0.5 * (here.gradient @ direction)
            if there is not None and (yield Accept(here, gap=decrement)):
                return CONVERGED
            there = yield from step(here, direction)
            if there is None and (sample is None or decrement <= here.rounding):
                return NOISE_FLOOR
            if there is None or decrement > _WIDE_POOR_RATE * before:
                size, precondition = 2 * size, None
            here, before = there or here, decrement


def _beside_rare_columns(start, size):
    """Return a Point of all rows near the optimum of a sample, and whether the sample lacks some columns.

    If it does, the point is one step further, and has the diagonal of its Hessian. A sample that lacks none
    is returned, too, if it has the `size` of those that are drawn for a metric: it serves nearly as well, and
    drawing another takes as long as some steps, unless rows are gathered during evaluations. Otherwise the
    third value is None.
    """
    solve, last = _newton(start, SOLVED, MOST_STEPS), [None]
    first, likely = min(size, _FIRST_ROWS * len(start.w)), (Sample(size, start.seed + 1),)

    def noting(sample, w):
        last[0] = sample
        return (yield from solve(sample, w))

    # Without a penalty the weights of rare levels often have no optimum, which is seen along Newton's steps.
    few = start.n_outputs == 1 and len(start.w) <= FACTORED_UP_TO
    wanted = few and start.with_diagonal and bool(np.any(start.ridge))
    serves = wanted and first == size and not start.gathers
    here, _ = yield from near_the_optimum(
        start, first, noting, likely=() if serves else likely, diagonal=wanted
    )
    if here.diagonal is None:
        return here, False, None
    if not (yield from misses(last[0], here)):
        return here._replace(diagonal=None), False, last[0] if serves else None
    way = yield from by_own_loss(last[0], here)
    return ((yield from step(here, way, likely=likely, diagonal=True)) or here), True, None


def _metric(start, size, drawn, here):
    """Return v -> H⁻¹·v, where H is the Hessian at a point on rows that are drawn for it."""
    some = size < start.n_rows
    sample = (yield Draw(Sample(size, start.seed + drawn, at=here))) if some else None
    if sample is not None and here.diagonal is not None:
        return completed((yield Curvature(here.w, MATRIX, sample)), here.diagonal)
    return (yield Curvature(here.w, SOLVE, sample, None if sample else here.margins))


def _newton(start, enough, most_steps):
    """Return the function by which `near_the_optimum` solves a sample.

    Without a penalty, rows may be separated; Newton's steps then do not square the decrement.
    """
    squares = len(start.w) <= FACTORED_UP_TO and np.any(start.ridge)
    surely = math.sqrt(enough) if squares else 0.0

    def solve(sample, w):
        near, _ = yield from newton_in_memory(sample, w, enough, most_steps, FACTORED_UP_TO, surely)
        return near

    return solve
