"""Proximal Newton whose models are walked column by column, for more weights than a matrix has room for."""

from dataclasses import dataclass

import numpy as np

from .newton import conjugate_gradients
from .proximal import descend, fista, l1_change
from .questions import BY_COLUMNS, CONVERGED, NOISE_FLOOR, Accept, Curvature, Evaluate

_SHARE = 0.1  # of what a gradient is off by, up to which the model is solved
_SWEEPS = 50  # of a model; those of the next one gain as much
_NOT_BETTER = 0.1  # share of what a gradient was off by before a Newton step of no gain that values show
_MOST_CROSS = 0.01  # share of the weights that a step may bring to zero at once
_FORCING, _PRODUCTS = 1e-2, 200  # of conjugate gradients once signs are settled


@dataclass(frozen=True)
class newton_by_columns:
    """Proximal Newton with models that coordinate descent solves, which needs no matrix.

    Coordinate descent soon finds which weights are zero, and is slow with the others where columns are much
    alike. So once a step changes no sign, conjugate gradients solve for the weights that are not zero. Where
    columns cannot be walked (on a GPU, from disk, of several classes), fista takes over.

    Parameters
    ----------
    proven : bool
        Whether points are judged by a duality gap, and not by how far the model falls.

    References
    ----------
    Yuan, Ho and Lin (2012), An improved GLMNET for L1-regularized logistic regression, JMLR 13.
    """

    proven: bool = False

    def __call__(self, start):
        l1 = start.l1 + np.zeros(len(start.w))
        here, before = (yield Evaluate(start.w)), np.inf
        while True:
            off = _off(here, l1)
            model = yield Curvature(here.w, BY_COLUMNS, margins=here.margins)
            if model is None:
                return (yield from fista()(start._replace(w=here.w)))
            u = model.minimum(here, _SHARE * off, _SWEEPS)
            direction = u - here.w
            if settled := (np.sign(u) == np.sign(here.w)).all():
                direction = yield from _newton(here, l1, model.diagonal, direction)
            decrease = max(-(here.gradient @ direction + l1_change(here, direction, l1)), 0.0)
            if (yield Accept(here, gap=None if self.proven else decrease)):
                return CONVERGED
            if settled and decrease <= here.rounding and off > _NOT_BETTER * before:
                return NOISE_FLOOR
            there, before = (yield from descend(here, direction, l1)), off
            if there is None and settled:
                there = yield from descend(here, u - here.w, l1)
            if there is None:
                return NOISE_FLOOR
            here = there


def _off(here, l1):
    """How far the subgradient that is nearest to zero is from it."""
    g = here.gradient
    return float(np.where(here.w != 0, abs(g + l1 * np.sign(here.w)), np.maximum(abs(g) - l1, 0)).max())


def _newton(here, l1, diagonal, otherwise):
    """Newton's step in the weights that are not zero, or another one where it would change many signs."""
    free = (here.w != 0) | (l1 == 0)
    slope = np.where(free, here.gradient + l1 * np.sign(here.w), 0.0)
    inverse = np.where(free & (diagonal > 0), 1 / np.where(diagonal > 0, diagonal, 1), 0.0)
    step, *_ = yield from conjugate_gradients(
        here._replace(gradient=slope), lambda r: inverse * r, _FORCING, _PRODUCTS, None, here.margins
    )
    crosses = (l1 > 0) & ((here.w + step) * here.w < 0)
    if not np.isfinite(step).all() or crosses.sum() > _MOST_CROSS * free.sum():
        return otherwise
    return np.where(crosses, -here.w, step)
