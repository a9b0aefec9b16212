"""Separable data without a penalty: F falls forever along some direction and has no minimum.

If a direction moves some rows towards their own class and none away from it, these rows are separated (Albert
and Anderson 1984, Biometrika 71): all rows, or with quasi-separation a part of them.
"""

import numpy as np
import scipy.linalg
import scipy.optimize

from .duality import EXACT
from .metric import against_shifts
from .solvers import questions as ask
from .solvers.nearly_singular import directions, split

_FROM_ITER = 3
_TWICE = 2  # a single step may look like separation by accident
_GAIN = 0.3  # margins that grow without end gain about 1 in a step of Newton's method
# What other margins may lose, as a share of the largest gain of one: in a series of steps where that share
# falls, and by rounding (at least so much, and in units of the rounding of F and of the margins themselves).
_LOWERED = 1e-6
_ROUNDED, _SEVERAL = 1e-9, 30
_LESS = 0.9
_FEW = 0.1  # the same for a step that is examined once a fit has ended
_COUNTS = 1e-3  # share of the largest component of a direction above which a parameter belongs to it
_NULL = 1e-11
_FAR = 1e6  # gain of a margin after which the loss of a separated row has vanished
_BEYOND = 1e3  # the same along a corrected step, in which the rounding of the correction grows
_NOTHING = 1e-6  # share of F that counts as zero
_UNMOVED = 1e-4  # share of the largest gain that other margins may lose by a corrected step
_NO_CURVATURE = 1e-30
_CORRECTIONS, _DOUBLE = 2, float(np.finfo(np.float64).eps)  # of a direction, by finer products
_LOOKED_AT_UP_TO = 600  # number of parameters up to which a step is examined by means of a Hessian


class Separation:
    """Watches the steps of a fit in which some weights have no penalty.

    Parameters
    ----------
    start : Start
    box : (lower, upper) or None
        Bounds of the weights: along a direction that hits a bound, F does not fall forever.

    Attributes
    ----------
    possible : bool
        Whether any weight of a column has no penalty.
    total : bool
        Whether a point has proven that F falls towards 0.
    there : bool
        Whether the steps have shown, up to rounding, that F has no minimum.
    along : ndarray or None
        The last step, corrected such that it changes only the margins of rows that it separates.
    """

    def __init__(self, start, box=None):
        self.scale, self.size, self.box = start.scale + np.zeros(len(start.w)), len(start.w), box
        self.held = (start.ridge + start.l1 + np.zeros(self.size)) > 0
        self.possible = not self.held.any() or not self.held[: start.n_features * start.n_outputs].all()
        self.direction, self.steps, self.receding, self.lost, self.most = None, 0, 0, np.inf, 0.0
        self.outputs, self.tol, self.root_rows = start.n_outputs, start.tol, start.n_rows**0.5
        self.there, self.doubted, self.along, self.goes_on = False, _TWICE, None, False
        self.total = False
        self.clearest = _FEW, 0.0, None  # of the best step: the relative loss of others, the gain, the step

    def seen(self, previous, point, change):
        """Record a step between two points and the Change of margins that it made."""
        self.direction = step = point.w - previous.w
        before, self.most, self.steps = self.lost, change.most, self.steps + 1
        self.lost = -change.least / change.most if change.most > 0 else np.inf
        nothing = max(_ROUNDED, self._rounding(point) if self.size <= _LOOKED_AT_UP_TO else 0.0)
        endless = change.most > _GAIN and not ended(self._free(step), self.box).any()
        self.goes_on = endless and self.lost <= _FEW
        if endless and self.lost < self.clearest[0]:
            self.clearest = self.lost, self.most, step
        recedes = endless and (self.lost <= nothing or self.lost <= min(_LOWERED, _LESS * before))
        self.receding = self.receding + 1 if recedes and self.steps >= _FROM_ITER else 0

    def confirm(self, point):
        """Examine whether the last steps separate rows; a generator of questions.

        Far along the last step the rows that it separates have no curvature left. If they are separated, the
        step hardly changes when it is corrected such that the margins of all other rows stay. Small losses of
        the others prove nothing: if some values are huge, a step may raise the margins of the rows that have
        them while the others lose next to nothing, and yet no step leaves the others unchanged.
        """
        if self.receding >= self.doubted:
            few = self.size <= _LOOKED_AT_UP_TO
            self.there = (not few) or (yield from self._separates(point, self.tol))
            self.receding, self.doubted = 0, 2 * self.doubted

    def watch(self, previous, point):
        """Find out, if weights have no penalty, whether steps keep raising margins and lower none.

        F then decreases forever along them: some rows are separated from the others, and F has no minimum. A
        single step may look like that by accident.
        """
        if not self.possible or previous is None:
            return
        change = yield ask.MarginChange(previous, point)
        self.seen(previous, point, change)
        yield from self.confirm(point)

    def seen_in(self, point, objective):
        """Whether steps, or F at a point, have shown that F has no minimum; a generator of questions."""
        self.total = yield from separates(point, objective, self.box)
        return self.there or self.total

    def look(self, point, proven):
        """Whether a step has separated rows, once a fit has ended; a generator of questions.

        The last steps are mostly rounding. So the step that lowered other margins least is examined instead.
        If F is proven to be at its minimum, that is worth the reads only if the last step still raised
        margins, as of rows whose loss falls forever.
        """
        if self.size > _LOOKED_AT_UP_TO:
            return self.receding >= self.doubted
        if not self.receding:
            if self.clearest[-1] is None or (proven and not self.goes_on):
                return False
            self.lost, self.most, self.direction = self.clearest
        exact = point.rounding < EXACT * point.value  # otherwise the fit continues in float64
        return (yield from self._separates(point, np.inf, closely=exact))

    def _rounding(self, point):
        """What other margins lose by rounding, as a share of the largest gain.

        The terms of a margin may be far larger than its change: huge margins change by rounding where nothing
        else changes them.
        """
        units = max(1.0, self._terms(point.w) / self.most) if self.most > 0 else 1.0
        return _SEVERAL * units * point.rounding / point.value

    def _terms(self, w):
        """The terms of a margin, added up without their signs."""
        return (self.scale * abs(w)).reshape(-1, self.outputs).sum(axis=0).max()

    def _free(self, direction):
        """The part of a direction without penalties: weights that have one converge."""
        return np.where(self.held, 0.0, direction)

    def _separates(self, point, tol, closely=False):
        """Whether the last step separates rows, once it is corrected; more closely where the fit has ended.

        During a fit, what needs a closer look is left to later steps: a fit that is called separable ends,
        and the rows that are not separated might still be far from their optimum. So they have to be at it,
        up to `tol`, once the separated rows have no loss left.
        """
        step = self._free(self.direction)
        far = yield ask.Evaluate(point.w + min(_FAR, 1 / max(self.lost, 1 / _FAR)) / self.most * step)
        if far.value <= _NOTHING * point.value:
            return True
        H = yield ask.Curvature(far.w, ask.MATRIX)
        slope = yield ask.HessianVector(far.w, step)
        diagonal = H.diagonal()
        resting = (step == 0) & (ended(np.ones(self.size), self.box) | ended(-np.ones(self.size), self.box))
        resting |= self.held
        seen = (diagonal > _NO_CURVATURE * self.scale**2) & ~resting
        if closely and self.outputs > 1:
            against_shifts(H, self.outputs, np.flatnonzero(seen.reshape(-1, self.outputs).all(axis=1)))
        H = H[np.ix_(seen, seen)]
        basis, lost = split(H, _NULL)
        known = point, far, step, slope, seen
        if (yield from self._stays(*known, basis, lost, tol, 1 + closely)):
            return True
        # Nearly collinear columns move other rows along directions whose curvature the rounding of H hides.
        if not (closely and lost.shape[1]):
            return False
        basis, lost = yield from directions(far, H, None, seen)
        return (yield from self._stays(*known, basis, lost, tol, 2))

    def _stays(self, point, far, step, slope, seen, basis, lost, tol, corrections):
        """Whether a step leaves all rows that still have a loss far along it where they are, once it has been
        corrected along the directions of a basis, in which the Hessian is the identity.

        These rows have to be at their optimum up to `tol`, too; directions whose curvature is `lost` have at
        most what rounding hides. A second correction removes what the rounding of the first one has left.
        """
        along = step.copy()
        for left in reversed(range(corrections)):
            along[seen] -= basis @ (basis.T @ slope[seen])
            slope = (yield ask.HessianVector(far.w, along)) if left else None
        gain = _BEYOND / self.most if tol < np.inf else 1.0
        beyond = yield ask.Evaluate(point.w + gain * along)
        change = yield ask.MarginChange(point, beyond)
        stays = change.most > 0 and change.least >= -_UNMOVED * change.most
        if not stays or ended(along, self.box).any():
            return False
        g = beyond.gradient[seen]
        slopes = np.append(basis.T @ g, lost.T @ g / np.sqrt(_NULL))
        if not 0.5 * (slopes @ slopes) <= tol * point.value:
            return False
        along = yield from self._exact(point, far, along, gain, seen, basis)
        if along is None:
            return False
        self.along, self.most = along, change.most / gain
        return True

    def _exact(self, point, far, along, gain, seen, basis):
        """The direction, corrected by products in long double, if it then lowers no margin by more than they
        are rounded; otherwise None. Where they are not offered, the direction as it is.

        A row that loses any share of what another one gains ends the fall of F, however small the share is.
        """
        exact = yield ask.Draw(ask.Finer())
        if exact is None:
            return along
        for _ in range(_CORRECTIONS):
            slope = yield ask.HessianVector(far.w, along, exact)
            along = along.copy()
            along[seen] -= basis @ (basis.T @ slope[seen])
        here = yield ask.Evaluate(point.w, on=exact)
        there = yield ask.Evaluate(point.w + gain * along, on=exact)
        change = yield ask.MarginChange(here, there, exact)
        terms = self.root_rows * (self._terms(here.w) + self._terms(there.w))  # of the largest numbers of X
        rounding = _SEVERAL * _DOUBLE * terms
        return along if change.most > rounding and change.least >= -rounding else None

    def parameters(self, point):
        """The parameters that grow without end, (size,) of bool; a generator of questions.

        Where columns are collinear, as one-hot ones beside an intercept are, many directions separate the
        same rows. The result is a direction of few parameters: that of the least ‖d‖₁ in scaled columns.
        """
        steps = self.along, self.direction, point.w  # a corrected step has no parts that move other rows
        d = self._free(next(step for step in steps if step is not None))
        if self.size <= _LOOKED_AT_UP_TO and self.box is None:
            # At the point separated rows have no curvature left: H there would hide what separates them.
            H = yield ask.Curvature(np.zeros(self.size), ask.MATRIX)
            free = np.flatnonzero(~self.held)
            d[free] = sparsest(d[free], H[np.ix_(free, free)], self.scale[free])
        step = np.where(ended(d, self.box), 0.0, abs(d * self.scale))
        return step > _COUNTS * step.max(initial=0)


def settled(previous, point):
    """Whether the last step changed no margin by more than 1: only then a Newton decrement is meaningful.

    This follows from generalised self-concordance (Bach 2010, Electronic Journal of Statistics 4). On nearly
    separable data a decrement can be orders of magnitude below the true gap.
    """
    return previous is not None and (yield ask.MarginChange(previous, point)).largest <= 1


def sparsest(d, H, scale):
    """Return the d + N·a of least ‖scale·(d + N·a)‖₁, where the columns of N span the null space of H."""
    diagonal = H.diagonal()
    unit = 1 / np.sqrt(np.where(diagonal > 0, diagonal, 1))
    values, Q = scipy.linalg.eigh(H * unit * unit[:, None], check_finite=False)
    null = unit[:, None] * Q[:, values <= _NULL * values[-1]]
    p, q = null.shape
    if q == 0:
        return d
    scale = np.where(scale > 0, scale, 1)
    N, target = scale[:, None] * null, scale * d / (abs(scale * d).max() or 1)
    # the least sum of t with -t <= target + N·a <= t
    bounds = np.block([[N, -np.eye(p)], [-N, -np.eye(p)]])
    found = scipy.optimize.linprog(
        np.append(np.zeros(q), np.ones(p)),
        A_ub=bounds,
        b_ub=np.append(-target, target),
        bounds=[(None, None)] * q + [(0, None)] * p,
    )
    return (target + N @ found.x[:q]) / scale if found.success else d


def ended(direction, box):
    """Which weights a bound keeps from moving along a direction without end."""
    if box is None:
        return np.zeros(len(direction), dtype=bool)
    return ((direction < 0) & (box[0] > -np.inf)) | ((direction > 0) & (box[1] < np.inf))


def separates(point, objective, box=None):
    """Whether the value of F at a point proves that a plane separates the classes; a generator of questions.

    A row on the wrong side has a loss of at least ℓ(0) with two classes, and of log 2 with more. If Σ s·ℓ is
    below the least weight of a row times that, every row is on the right side. Then, without a penalty, F has
    no minimum: it falls towards 0 as w grows. With penalties or bounds, the weights that have no penalty and
    no bound on their way must separate the classes alone. Offsets do not matter: they stay the same while the
    margins grow.
    """
    penalty, rows = objective.penalty, objective.rows
    least = rows.least_weight * min(objective.loss.at_zero, np.log(2))
    if not point.value * rows.weight_sum < least:
        return False
    intercepts = objective.at.penalised(np.ones(len(point.w))) == 0
    if penalty.there and penalty.everywhere(intercepts):
        return False
    bounded = (((penalty.l1 > 0) | (penalty.l2 > 0)) & ~intercepts) | ended(point.w, box)
    alone = np.where(bounded, 0.0, point.w)
    if rows.offset_scale is not None:
        margins = float(abs(alone) @ objective.at.of_columns(rows.scale))
        if not margins > 0:
            return False
        alone *= max(rows.offset_scale * np.sqrt(rows.n_rows), 1.0) / (_ROUNDED * margins)
    elif not bounded.any():
        return True
    return (yield ask.Evaluate(alone)).value * rows.weight_sum < least
