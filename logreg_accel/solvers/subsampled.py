"""Newton's method with sub-sampled Hessians: to the optimum in a handful of reads of X."""

import math
from collections import deque
from dataclasses import dataclass

from .from_sample import MOST_STEPS, POOR_RATE, SOLVED, near_the_optimum
from .lbfgs import two_loop
from .line_search import step
from .newton import conjugate_gradients, newton_in_memory
from .questions import CLASS_MEAN, CONVERGED, NOISE_FLOOR, SOLVE, Accept, Curvature, Draw, Evaluate, Sample

_METRIC_UP_TO = 1000  # parameters
_WIDE_SOLVED = (
    0.1  # as SOLVED: the optimum of a few rows a parameter does not carry over, and is not asked to
)
_WIDE_POOR_RATE = 0.8  # as POOR_RATE
_WIDE_STEPS = 3  # as MOST_STEPS
_FACTORED_UP_TO = (
    200  # parameters; beyond, some eight Hessians of the first sample take longer than the reads of all rows
)


@dataclass(frozen=True)
class newton_subsampled:
    """Sub-sampled Newton with L-BFGS corrections.

    (a) A sample by class is solved by Newton's method in memory; it grows fourfold while its optimum does not
    carry over. (b) The metric is the Hessian of rows drawn by what they add to it, factored once.
    (c) L-BFGS runs on the full data with that metric: a read a step.
    (d) Where the unit step is poor, the line is minimised on stored margins, without a read (line_search.py).
    (e) When the decrement shrinks by less than to 0.3 of the last one, a new metric is drawn here, twice as
    large every
        second time; in the limit this is exact Newton.

    Above 1,000 parameters, where (b) would cost more than it saves, every step is one of Newton-CG on a
    sample of its own, drawn with the norms of all rows in hand, which doubles when the decrement shrinks by
    less than to 0.8 of the last one.

    Parameters
    ----------
    rows_per_parameter : int
        Rows of a sample beside the number of parameters.
    memory : int
        Pairs of changes in w and in the gradient that are kept.

    References
    ----------
    Roosta-Khorasani and Mahoney (2019), Sub-sampled Newton methods, Mathematical Programming 174; sampling by
    row norms: Xu et al. (2016), Sub-sampled Newton methods with non-uniform sampling, NeurIPS.
    """

    rows_per_parameter: int = 50
    memory: int = 10

    def __post_init__(self):
        for name in ("rows_per_parameter", "memory"):
            value = getattr(self, name)
            if not (isinstance(value, int) and value >= 1):
                raise ValueError(f"`{name}` is {value!r}; expected a positive integer.")

    @classmethod
    def for_shape(cls, n_rows, n_features, n_outputs=1):
        """Rows of a sample such that its Hessian, n² operations a row, costs at most some three reads of X.

        On two cores, float32, 200,000 x 1000: 50 rows a parameter take 4.8 reads and 4.4 s, 12 take 6.4 reads
        and 2.1 s. A row says as much of each of its outputs as it would of one.
        """
        least, most = (max(2, round(rows / n_outputs)) for rows in (12, 50))
        return cls(
            rows_per_parameter=int(min(max(16 * n_rows / (n_outputs * n_features + 1) ** 2, least), most))
        )

    def __call__(self, start):
        size = self.rows_per_parameter * len(start.w)
        if len(start.w) > _METRIC_UP_TO:
            return (yield from self._by_products(start, size))
        here, size = yield from near_the_optimum(start, size, _newton(SOLVED, MOST_STEPS))
        pairs = deque(maxlen=self.memory)
        metric, drawn = None, 0
        while True:
            if metric is None:
                drawn += 1
                sample = yield Draw(Sample(size, start.seed + drawn, at=here))
                metric = yield Curvature(here.w, SOLVE, on=sample)
                pairs.clear()
            direction = -two_loop(pairs, metric, here.gradient)
            decrement = -0.5 * (here.gradient @ direction)
            if (yield Accept(here, gap=decrement)):
                return CONVERGED
            there = yield from step(here, direction)
            if there is None:
                if decrement <= here.rounding or (size == math.inf and not pairs):
                    return NOISE_FLOOR
                # no descent along a fresh metric: columns that the sample hardly saw; from here on all rows
                # form it
                size, metric = math.inf if not pairs else size, None
                continue
            s, y = there.w - here.w, there.gradient - here.gradient
            if s @ y > 0:
                pairs.append((s, y))
            here = there
            if 0.5 * (here.gradient @ metric(here.gradient)) > POOR_RATE * decrement:
                size, metric = size * (1 + drawn % 2), None

    def _by_products(self, start, size):
        """Sub-sampled Newton-CG: the metric is applied, not factored.

        L-BFGS on top of it, with the sample kept as long as the rate is good, took as many reads and a third
        more time (60,000 images of 784 pixels, ten classes).
        """
        here, size = yield from near_the_optimum(start, size, _newton(_WIDE_SOLVED, _WIDE_STEPS), math.inf)
        precondition, there, before, drawn = None, here, math.inf, 0
        while True:
            drawn += 1
            sample = yield Draw(Sample(size, start.seed + drawn, here, by_norms=True))
            if precondition is None:
                precondition = yield Curvature(here.w, CLASS_MEAN, on=sample)
            known = (yield Evaluate(here.w, sample)) if sample else here
            direction = yield from conjugate_gradients(here, precondition, 0.1, 200, sample, known.margins)
            decrement = -0.5 * (here.gradient @ direction)
            if there is not None and (yield Accept(here, gap=decrement)):
                return CONVERGED
            there = yield from step(here, direction)
            if there is None and (sample is None or decrement <= here.rounding):
                return NOISE_FLOOR
            if there is None or decrement > _WIDE_POOR_RATE * before:
                size, precondition = 2 * size, None
            here, before = there or here, decrement


def _newton(enough, most_steps):
    """How a sample is solved."""

    def solve(sample, w):
        near, _ = yield from newton_in_memory(sample, w, enough, most_steps, _FACTORED_UP_TO)
        return near

    return solve
