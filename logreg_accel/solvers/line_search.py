"""The line searches that solvers share; they usually take one read of X, and rarely more than two."""

import math

import numpy as np

from .. import clock
from .questions import Evaluate, LineMinimum

_ENOUGH_DECREASE = 1e-4  # Nocedal and Wright, Numerical Optimization, 2nd ed., eq. 3.6a
ENOUGH_FLATTENING = 0.9  # ... and eq. 3.7b
NEWTON_FLATTENING = 0.25
"""The same for steps that take a Hessian: far from the optimum the best step is often two or three times the
Newton step, and a second evaluation costs less than the steps that it saves."""

_SAME_STEP = 0.1  # if the unit step descends, a best step as close to it as this is not worth a read
_NO_STEP = 1e-3  # the same if the unit step does not descend
_TRIALS = 12  # along a line, where each is a read
_SHORTENINGS, _HALVINGS = 14, 3  # under an L1 penalty
_AT_ZERO = 1e-9  # share of a weight that counts as none where the best step ends beside the kink at zero
_OVERFLOWS = 10  # number of trials if the loss overflows, each with a thousandth of the previous step


def step(here, direction, on=None, flat=ENOUGH_FLATTENING, likely=(), box=None, diagonal=False):
    """Find the next point from `here` along a direction: a Point, or None if rounding hides any descent.

    The unit step is tried first. If it is not good enough, the line is minimised on the margins of both ends,
    which costs no read, and X is read once more at the best step, unless that is nearly the unit step. The
    usual backtracking, which reads X for every trial, takes several times as many reads on nearly separable
    data. The unit step is good enough if the slope at its end is at most `flat` of that at its start; one
    that can gain no more than the rounding of a value, if it is at most ENOUGH_FLATTENING of it.

    No point leaves a `box` (lower, upper), in which the unit step ends.
    """
    slope = here.gradient @ direction
    if not slope < 0:
        return None
    if -slope <= here.rounding:
        flat = ENOUGH_FLATTENING

    def at(t):
        w = here.w + t * direction
        return w if box is None else np.clip(w, *box)

    there = yield Evaluate(at(1), on, diagonal, likely=likely)
    for _ in range(_OVERFLOWS):
        if math.isfinite(there.value):
            break
        direction, slope = direction * 1e-3, slope * 1e-3
        there = yield Evaluate(at(1), on)
    else:
        return None
    if not _good(here, there, direction, slope, flat):
        if here.margins is None:
            return (yield from _by_reads(here, there, direction, slope, at, on))
        t = yield LineMinimum(here, there, on)
        t = t if box is None else min(t, _longest(here.w, direction, *box))
        if abs(t - 1) > (_SAME_STEP if _descends(here, there, direction, slope) else _NO_STEP):
            there = yield Evaluate(at(t), on, diagonal, likely=likely)
        if not _descends(here, there, direction, slope):
            return None
    return there


def _longest(w, direction, lower, upper):
    """The t ≥ 1 up to which w + t·direction is between bounds."""
    ends = np.where(direction > 0, upper, lower)
    with np.errstate(divide="ignore", invalid="ignore"):
        room = np.where(direction == 0, np.inf, (ends - w) / direction)
    return max(float(room.min(initial=np.inf)), 1.0)


def _by_reads(here, there, direction, slope, at, on):
    """The next point if margins are not kept: minima of cubics between the ends, with one read each."""
    high = 1.0
    for _ in range(_TRIALS):
        if _descends(here, there, direction, slope):
            return there
        slopes = slope * high, (there.gradient @ direction) * high
        high *= min(max(_cubic_minimum(*slopes, there.value - here.value), _SAME_STEP), 1 - _SAME_STEP)
        there = yield Evaluate(at(high), on)
    return there if _descends(here, there, direction, slope) else None


def _cubic_minimum(slope, other, rise):
    """The minimum of the cubic with the given slopes at 0 and 1 and the given rise between them (Nocedal and
    Wright, eq. 3.59); 0 if it has none."""
    d1 = slope + other - 3 * rise
    square = d1 * d1 - slope * other
    if not (math.isfinite(square) and square >= 0):
        return 0.0
    d2 = math.sqrt(square)
    return 1 - (other + d2 - d1) / ((other - slope + 2 * d2) or 1.0)


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


def l1_change(here, d, l1):
    """The change of Σ l1·|w| by a step d."""
    return float(l1 @ (abs(here.w + d) - abs(here.w)))


def descend(here, direction, l1, on=None):
    """Try the steps 1, 1/2, 1/4, 1/8, and then the best step, until one decreases F enough.

    Returns a Point, or None if rounding hides any decrease. Where the loss has hardly any curvature, the
    model's step is too long by many orders of magnitude, so that halving alone would take too many reads. The
    best step is found on the margins, without a read; where they are not kept, steps go on to 1/64, 1/512 ...
    """
    for i in range(_SHORTENINGS):
        d = direction * (0.5**i if i <= _HALVINGS else 0.125 ** (i - _HALVINGS + 1))
        there = yield Evaluate(here.w + d, on)
        if _falls(here, there, d, l1):
            return there
        if i == _HALVINGS and here.margins is not None:
            break
    else:
        return None
    d *= yield LineMinimum(here, there, on)
    at_zero = (l1 > 0) & (abs(here.w + d) <= _AT_ZERO * abs(here.w))
    d[at_zero] = -here.w[at_zero]
    there = yield Evaluate(here.w + d, on)
    return there if _falls(here, there, d, l1) else None


def _falls(here, there, d, l1):
    slope = here.gradient @ d + l1_change(here, d, l1)
    return there.value <= here.value + _ENOUGH_DECREASE * slope + here.rounding


def ends(start, end):
    """The slopes of F at 0 and 1 on the line between two Points.

    A difference of the values, which are known, too, would lose most digits. L-BFGS would amplify the
    rounding, and the same rows in another order would give visibly different weights.
    """
    d = end.w - start.w
    return float(start.gradient @ d), float(end.gradient @ d)


def minimum(slope_and_curvature, first, last=None):
    """Minimise a convex function of one variable over t ≥ 0 by a safeguarded Newton iteration.

    It stops just before the minimum, when the slope has risen to 1 % of that at 0. Beyond it, where the slope
    may be as small but the function flat, the value can be above that at 0.

    Parameters
    ----------
    slope_and_curvature : function t -> (float, float)
    first : float
        The slope at 0.
    last : float or None
        The slope at 1, where it is known, which spares an evaluation.

    Returns
    -------
    float
        A t at which the function lies below its value at 0, or 0.
    """
    enough = 0.01 * abs(first)
    low, high, t, shrinks, known = 0.0, math.inf, 1.0, 0.5, last is not None
    for _ in range(60):
        clock.check()
        # NumPy's scalars would warn about a step that overflows
        slope, curvature = (last, 0.0) if known else map(float, slope_and_curvature(t))
        if -enough <= slope <= 0:
            return t
        low, high = (t, high) if slope < 0 else (low, t)
        # Newton's method aims at half of that slope: aiming at zero, it could stay beyond the minimum
        # forever.
        newton = t - (slope + enough / 2) / curvature if curvature > 0 else math.inf
        if known:
            newton, known = first / (first - last) if last > first else math.inf, False
        if not low < newton < min(high, 10 * t):
            if high == math.inf:
                newton = 4 * t
            elif low == 0:  # where rows have no curvature, a step may be too long by orders of magnitude
                newton, shrinks = shrinks * high, shrinks * shrinks
            else:
                newton = min(0.5 * (low + high), math.sqrt(low) * math.sqrt(high) * 2)
        if newton > 1e6:
            break
        t = newton
    return low
