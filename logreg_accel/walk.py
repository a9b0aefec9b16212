"""How far the Newton steps of a proof by repair have come, and the least bound on the way."""

import math
from typing import Any, NamedTuple

from .solvers import questions as ask

_FAR = 1.0  # a change of margins beyond which H is stale
_ENDLESS, _CREEPS, _JUMP = 0.9, 0.1, 200.0
"""Each step along which some rows are separated raises their margins by 1 and leaves a third of the
decrement, so that such steps never end; a jump removes the loss of these rows at once."""


class Found(NamedTuple):
    """The least bound so far, and what its errors depend on.

    metric : Matrix or Products
        The system of the round that found it; the last one if none did.
    residual : ndarray (size,)
        The sums of that round before their repair.
    short : float
        What the remaining sums may add.
    way : ndarray (size,)
        From w to the point of that round.
    """

    bound: float = math.inf
    metric: Any = None
    residual: Any = None
    short: float = 0.0
    way: Any = None


class Walk:
    """How far Newton steps on G have come.

    Attributes
    ----------
    there : Point
    metric : Matrix or Products
        The last system.
    covered : ndarray (size,) of bool, or None for all
        The weights that have a part in it.
    stale : bool
        Whether the curvature has changed since then.
    drift : float
        The largest change of a margin since then.
    above : float
        The gaps between losses and tangents at `there`; nan if they are unknown.
    before, least : float
        The decrement before the last step, and the least so far.
    """

    def __init__(self, here):
        self.there, self.metric, self.covered, self.stale = here, None, None, True
        self.drift, self.above, self.before, self.least = 0.0, math.nan, math.inf, math.inf

    def needs_metric(self, active):
        """Whether the system has to be made anew."""
        # The old matrix has no part for weights that were inactive: their sums would stay unrepaired.
        return self.stale or (self.covered is not None and bool((active & ~self.covered).any()))

    def go(self, G, step, decrement, ahead):
        """Take a step, or a jump where steps creep; whether G fell.

        `ahead` is the end of the step and the change of margins on the way to it, or None.
        """
        self.stale = decrement > 1e-4 * self.before  # the curvature has changed on the way
        end, change = ahead or (None, None)
        if end is not None and change.largest > _ENDLESS and decrement > _CREEPS * self.before:
            step, end = _JUMP / change.largest * step, None
        last, self.before = self.there, decrement
        there = yield from G.descend(last, step, end)
        if there is None:
            return False
        if there is not end:
            change = yield ask.MarginChange(last, there, G.rows)
        self.there, self.drift = there, self.drift + change.largest
        self.above = change.above if last is G.here else math.nan
        self.stale = self.stale or self.drift > _FAR
        return True
