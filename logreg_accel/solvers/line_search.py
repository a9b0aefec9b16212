"""The line search that all smooth solvers share; it usually takes one read of X, and rarely more than two."""

import math

from .. import clock
from .questions import Evaluate, LineMinimum

_ENOUGH_DECREASE = 1e-4  # Nocedal and Wright, Numerical Optimization, 2nd ed., eq. 3.6a
ENOUGH_FLATTENING = 0.9  # ... and eq. 3.7b
NEWTON_FLATTENING = 0.25
"""The same where a step takes a Hessian: far from the optimum the best step is often two or three times
Newton's, and a second evaluation costs less than the steps that it saves."""

_SAME_STEP = 0.1  # if the unit step descends, a best step as close to it as this is not worth a read
_NO_STEP = 1e-3  # the same if the unit step does not descend
_TRIALS = 12  # along a line, where each is a read
_OVERFLOWS = 10  # number of trials if the loss overflows, each with a thousandth of the previous step


def step(here, direction, on=None, flat=ENOUGH_FLATTENING, likely=()):
    """Find the next point from `here` along a direction: a Point, or None if rounding hides any descent.

    The unit step is tried first. If it is not good enough, the line is minimised on the margins of both ends,
    which costs no read, and X is read once more at the best step, unless that is nearly the unit step. The
    usual backtracking, which reads X for every trial, takes several times as many reads on nearly separable
    data. The unit step is good enough if the slope at its end is at most `flat` of that at its start; one
    that can gain no more than the rounding of a value, if it is at most ENOUGH_FLATTENING of it.
    """
    slope = here.gradient @ direction
    if not slope < 0:
        return None
    if -slope <= here.rounding:
        flat = ENOUGH_FLATTENING
    there = yield Evaluate(here.w + direction, on, likely=likely)
    for _ in range(_OVERFLOWS):
        if math.isfinite(there.value):
            break
        direction, slope = direction * 1e-3, slope * 1e-3
        there = yield Evaluate(here.w + direction, on)
    else:
        return None
    if not _good(here, there, direction, slope, flat):
        if here.margins is None:
            return (yield from _by_reads(here, there, direction, slope, on))
        t = yield LineMinimum(here, there, on)
        if abs(t - 1) > (_SAME_STEP if _descends(here, there, direction, slope) else _NO_STEP):
            there = yield Evaluate(here.w + t * direction, on, likely=likely)
        if not _descends(here, there, direction, slope):
            return None
    return there


def _by_reads(here, there, direction, slope, on):
    """The next point where margins are not kept: the minimum of a cubic between the ends, a read each."""
    high = 1.0
    for _ in range(_TRIALS):
        if _descends(here, there, direction, slope):
            return there
        high *= _cubic_minimum(here, there, slope * high, (there.gradient @ direction) * high)
        there = yield Evaluate(here.w + high * direction, on)
    return there if _descends(here, there, direction, slope) else None


def _cubic_minimum(here, there, slope, other):
    """Where on (0, 1) the cubic of two values and slopes is least (Nocedal and Wright, eq. 3.59)."""
    d1 = slope + other - 3 * (there.value - here.value)
    square = d1 * d1 - slope * other
    if not (math.isfinite(square) and square >= 0):
        return _SAME_STEP
    d2 = math.sqrt(square)
    t = 1 - (other + d2 - d1) / ((other - slope + 2 * d2) or 1.0)
    return min(max(t, _SAME_STEP), 1 - _SAME_STEP)


def _descends(here, there, direction, slope):
    if there.value < here.value - here.rounding:
        return True
    return there.value <= here.value + here.rounding and abs(there.gradient @ direction) < 0.5 * abs(slope)


def _good(here, there, direction, slope, flat):
    """Check Wolfe's conditions.

    Changes in value below the rounding are ignored and left to the slope (Hager and Zhang 2005, § 4).
    """
    low = there.value <= here.value + _ENOUGH_DECREASE * slope + here.rounding
    return low and abs(there.gradient @ direction) <= flat * abs(slope)


def minimum(slope_and_curvature, first):
    """Minimise a convex function of one variable over t ≥ 0 by a safeguarded Newton iteration.

    It stops just before the minimum, when the slope has risen to 1 % of that at 0. Beyond it, where the slope
    may be as small but the function flat, the value can be above that at 0.

    Parameters
    ----------
    slope_and_curvature : function t -> (float, float)
    first : float
        The slope at 0.

    Returns
    -------
    float
        A t at which the function lies below its value at 0, or 0.
    """
    enough = 0.01 * abs(first)
    low, high, t = 0.0, math.inf, 1.0
    for _ in range(60):
        clock.check()
        slope, curvature = map(float, slope_and_curvature(t))  # NumPy's would warn of a step that overflows
        if -enough <= slope <= 0:
            return t
        low, high = (t, high) if slope < 0 else (low, t)
        # A small slope beyond the minimum is mirrored, since Newton's method can stay on that side for ever.
        step = (2 if 0 < slope <= enough else 1) * slope
        newton = t - step / curvature if curvature > 0 else math.inf
        if not low < newton < min(high, 10 * t):
            newton = 4 * t if high == math.inf else 0.5 * (low + high)
        if newton > 1e6:
            break
        t = newton
    return low
