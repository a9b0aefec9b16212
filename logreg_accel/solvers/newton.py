"""Newton's method, with the Hessian factored or its system solved by conjugate gradients."""

import functools
import math
from dataclasses import dataclass

import numpy as np

from .by_class import beside_shifts, renewed_after
from .by_levels import LEVELS_AT_ONCE, newton_by_levels
from .conjugate import ENOUGH, LITTLE, Past, conjugate_gradients
from .line_search import ENOUGH_FLATTENING, NEWTON_FLATTENING, step
from .nearly_singular import FLAT, LOOKED_AT_UP_TO, creep, solution
from .questions import (
    CLASS_BLOCKS,
    CLASS_MEAN,
    CONVERGED,
    DIAGONAL,
    NOISE_FLOOR,
    SOLVE,
    Accept,
    Curvature,
    Evaluate,
)

_PER_PRODUCT = 16
"""Forming the Hessian costs about as much as size/16 products with it, because a matrix product runs at the
speed of arithmetic and a product with a vector at that of memory."""

_SPARED = 0.02
"""A product that gains no more than this share of `tol` is the last one of a step. Further products would
gain a few times as much, and a step mostly ends far below `tol`."""

_SHORT = 2
"""Number of steps that may end like that. In more of them, what is neglected would add up."""

_PROVEN, _MISSED = 0.25, 0.1
"""Share of `tol` at which a bound on the gap ends a step, and the factor by which that share is reduced if
the bound at the next point turned out larger, because the Hessian has changed."""

_SERVED = 8
"""Products after which the diagonal that preconditions them is made anew at the next point, for a read: far
from the start, rows that are decided have lost their curvature, and columns with them. With several classes,
shifts of all classes are kept apart from it, which one of a later point would mix with the rest."""

_PRODUCTS = 10  # products with the Hessian that are tried, however small it is

_FACTORED_UP_TO = 2000  # parameters
_USUAL = 1 / 8  # share of the cost of blocks that any step may cost in products; what is more is added up

_CREEPING = 0.3
"""Share of a decrement that is left two steps later where steps creep. Along separated rows an exact step
leaves 1/e."""

_MEAN_UP_TO = 1000
_MEAN_UP_TO_PER_CLASS = 300
"""Features, in all and for each class, up to which one block of a Hessian costs no more than the products
that it saves; where rows are fewer, its factor is most of the cost."""


@dataclass(frozen=True)
class newton_cholesky:
    """Newton's method (iteratively reweighted least squares): d = −H⁻¹g with the full Hessian.

    The Hessian has (n + 1)² entries. The gap to the optimum is at most about that before the last step, half
    the squared Newton decrement ½·gᵀH⁻¹g. So the step that made it small enough is taken, too: the results of
    different runs agree to rounding, whatever `tol` is. If its steps end above `tol`, directions that the
    rounding of the Hessian hides are computed one by one.

    References
    ----------
    Boyd and Vandenberghe, Convex Optimization, algorithm 9.5.
    """

    def bytes_beside(self, shape):
        return shape.vectors(8) + shape.hessian(shape.size)

    def __call__(self, start):
        here = yield Evaluate(start.w)
        # Without a penalty, separated rows have no curvature left after a long step, which reveals them.
        flat = NEWTON_FLATTENING if np.any(start.ridge) else ENOUGH_FLATTENING
        if (yield Accept(here, gap=math.inf)):
            return CONVERGED
        return (yield from by_factors(here, flat))


def by_factors(here, flat=ENOUGH_FLATTENING, early=False):
    """Run Newton's method from an accepted point, the Hessian factored, and return the status.

    The gap at the end of a step is estimated by the decrement before it or, for an `early` end, by the same
    factor and the gradient there. A small multiple of the identity covers the rounding of the Hessian. If
    that hides directions, steps end or creep along them; from there on these directions are computed one by
    one, those of the least curvature only where other steps end.
    """
    decrements, closely = [], False
    while True:
        there = None
        if not closely:
            solve = yield Curvature(here.w, SOLVE, margins=here.margins)
            there = yield from step(here, -solve(here.gradient), flat=flat)
            closely = there is None
        for doubted in (FLAT, None) if closely and len(here.w) <= LOOKED_AT_UP_TO else ():
            solve, loses = yield from solution(here, doubted)
            there = yield from step(here, -solve(here.gradient))
            if there is not None or not loses:
                break
        if there is None:
            return NOISE_FLOOR
        decrements.append(0.5 * (here.gradient @ solve(here.gradient)))
        closely = closely or (creep(decrements, _CREEPING) and len(here.w) <= LOOKED_AT_UP_TO)
        here = there
        gap = 0.5 * (here.gradient @ solve(here.gradient)) if early else decrements[-1]
        if (yield Accept(here, gap=gap)):
            return CONVERGED


@dataclass(frozen=True)
class newton_cg:
    """Truncated Newton: H·d = −g is solved by conjugate gradients, each step of which is one read of X.

    The preconditioner is the diagonal of the Hessian or, with several classes, one block for all
    classes, the mean of theirs, made anew once products took as long; it is corrected along the directions of
    earlier steps (conjugate.py). If classes have very different sizes
    and the Hessian is large, that takes too many products, and each class gets its own block. The iteration
    stops when the residual, in the preconditioned norm and relative to its initial value, is at most min(0.1,
    √(‖g‖/‖g₀‖)), or when strong convexity will prove the point that it leads to, or, in up to two steps, when
    a product gains almost nothing relative to `tol`; the bound then shows whether that sufficed. As in
    newton-cholesky, the decrement before a step is the estimate of the gap after it.

    If a Newton step takes more products than a Hessian costs, this and all later systems are solved by a
    factor of the Hessian, from which the levels of a wide category of a sparse X are eliminated
    (by_levels.py). So the fit takes at most about twice as long as with the better of the two methods
    alone.

    Parameters
    ----------
    max_inner : int
        Largest number of conjugate-gradient steps for one Newton step.
    factored_up_to : int
        Parameters up to which the Hessian may be factored.
    by_class_mean : bool
        Whether the mean of the classes' blocks is the preconditioner; "newton-cg" stands for what suits X.

    References
    ----------
    Nocedal and Wright, Numerical Optimization, 2nd ed., algorithm 7.1; forcing terms after Dembo, Eisenstat
    and Steihaug (1982), SIAM J. Numer. Anal. 19.
    """

    max_inner: int = 200
    factored_up_to: int = _FACTORED_UP_TO
    by_class_mean: bool = False

    @classmethod
    def for_shape(cls, n_rows, n_features, n_outputs=1):
        """Choose the preconditioner: a block takes n² + n³/3m operations a row, a product 4·n·K."""
        worth = n_features * (1 + n_features / (3 * max(n_rows, 1))) <= _MEAN_UP_TO_PER_CLASS * n_outputs
        by_mean = n_outputs > 1 and n_features <= _MEAN_UP_TO and worth
        return cls(by_class_mean=by_mean, factored_up_to=_FACTORED_UP_TO * (2 if by_mean else 1))

    def __post_init__(self):
        for name, least in (("max_inner", 1), ("factored_up_to", 0)):
            value = getattr(self, name)
            if not (isinstance(value, int) and value >= least):
                expected = "a positive integer" if least else "an integer, at least 0"
                raise ValueError(f"`{name}` is {value!r}; expected {expected}.")

    def bytes_beside(self, shape):
        factored = shape.hessian(shape.size) if shape.size <= self.factored_up_to else 0
        each = shape.n_features + 1
        blocks = shape.hessian(each) + shape.matrices(2 * shape.n_outputs, each) if self.by_class_mean else 0
        return shape.vectors(12 + Past.vectors(shape.size)) + max(factored, blocks)

    def __call__(self, start):
        here = yield Evaluate(start.w, diagonal=not self.by_class_mean)
        precondition, first_norm = None if self.by_class_mean else _by_diagonal(here.diagonal), None
        form = CLASS_MEAN if self.by_class_mean else DIAGONAL
        worth = _worth(len(start.w), self.factored_up_to)
        by_levels = start.by_levels(self.factored_up_to)
        by_levels, worth = by_levels <= worth, min(by_levels, worth)
        blocks = worth_blocks(len(start.w), start.n_outputs) if len(start.w) > _FACTORED_UP_TO else worth
        many, flat, past = 0.0, ENOUGH_FLATTENING, Past(start)
        served, serves = (math.inf, renewed_after(start)) if self.by_class_mean else (0, _SERVED)
        gap, short, gain, share = math.inf, 0, _SPARED * start.tol, _PROVEN
        while not (yield Accept(here, gap=gap)):
            if by_levels and worth <= LEVELS_AT_ONCE:
                return (yield from newton_by_levels(here, start))
            renewed = served >= serves or form == CLASS_BLOCKS
            if renewed:
                served = 0
                precondition = yield Curvature(here.w, form, margins=here.margins)
                if form == DIAGONAL:
                    precondition = _by_diagonal(precondition)
                if start.n_outputs > 1 and form != CLASS_MEAN:
                    precondition = beside_shifts(precondition, start.ridge, start.n_outputs)
            norm = math.sqrt(here.gradient @ precondition(here.gradient))
            first_norm = first_norm or norm or 1.0
            forcing, most = min(0.1, math.sqrt(norm / first_norm)), min(self.max_inner, worth)
            little, left_out = gain * here.value if short < _SHORT else 0.0, 0.0
            enough = share * start.tol * here.value
            proven = functools.partial(_bound, start.ridge), enough
            corrected = past.corrected(precondition, renewed)
            direction, products, ended = yield from conjugate_gradients(
                here, corrected, forcing, most, None, here.margins, little, proven, past.note
            )
            if products >= worth:
                return (yield from newton_by_levels(here, start) if by_levels else by_factors(here))
            served += products
            many += max(products - _USUAL * blocks, 0)
            if many >= blocks:
                form, flat = CLASS_BLOCKS if self.by_class_mean else DIAGONAL, NEWTON_FLATTENING
            if ended == LITTLE:
                short, left_out = short + 1, little
            if ended == ENOUGH:
                share, left_out = share * _MISSED, enough
            there = yield from step(here, direction, flat=flat)
            if there is None and corrected is not precondition:  # what earlier directions tell is rounding
                past, left_out = Past(start), 0.0
                asked = here, precondition, forcing, most, None, here.margins
                direction, *_ = yield from conjugate_gradients(*asked)
                there = yield from step(here, direction, flat=flat)
            if there is None:
                return NOISE_FLOOR
            gap, here = left_out - 0.5 * (here.gradient @ direction), there
        return CONVERGED


def _bound(ridge, r, z):
    """Bound how far F is above its minimum where its gradient is r: ½·Σ rⱼ²/λⱼ by strong convexity, and with
    the preconditioner in place of λⱼ for parameters without a penalty."""
    return 0.5 * (r @ np.divide(r, ridge, out=z.copy(), where=ridge > 0))


def _worth(size, most=_FACTORED_UP_TO):
    """The number of products with a Hessian that cost as much as the Hessian; inf if it may not be formed."""
    return max(_PRODUCTS, size // _PER_PRODUCT) if size <= most else math.inf


def worth_blocks(size, n_outputs):
    """The number of products that cost as much as the diagonal blocks of a Hessian, one per class."""
    return max(_PRODUCTS, 2 * size // ((n_outputs + 1) * _PER_PRODUCT))


def _by_diagonal(diagonal):
    """Return the function r -> r/diagonal, in which zeros of the diagonal count as ones."""
    inverse = 1 / np.where(diagonal > 0, diagonal, 1)
    return lambda r: inverse * r


def newton_in_memory(on, w, enough, most_steps, factored_up_to=math.inf, surely=0.0):
    """Run Newton's method on rows in memory, and return the final Point and the last decrement.

    It stops when the decrement is at most `enough` times the value, or after a step from one that is at most
    `surely` times the value: Newton's step squares it, and computing it again would take another Hessian. The
    Hessian is factored
    if there are at most `factored_up_to` parameters; otherwise its system is solved by conjugate gradients,
    until a step takes more products than the Hessian costs.
    """
    here = yield Evaluate(w, on)
    factored, worth = len(w) <= factored_up_to, _worth(len(w))
    if not factored:
        precondition = _by_diagonal((yield Curvature(here.w, DIAGONAL, on)))
    for _ in range(most_steps):
        if not factored:
            direction, products, _ = yield from conjugate_gradients(
                here, precondition, 0.1, min(200, worth), on, here.margins
            )
            factored = products >= worth
        if factored:
            solve = yield Curvature(here.w, SOLVE, on, here.margins)
            direction = -solve(here.gradient)
        decrement = -0.5 * (here.gradient @ direction)
        there = (yield from step(here, direction, on)) if decrement > enough * here.value else None
        if there is None:
            break
        here = there
        if decrement <= surely * here.value:
            break
    return here, decrement
