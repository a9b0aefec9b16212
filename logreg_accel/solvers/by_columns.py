"""Proximal Newton by coordinate descent, for more weights than there is room for in a matrix."""

from dataclasses import dataclass

import numpy as np

from .line_search import descend, l1_change
from .proximal import fista
from .questions import BY_COLUMNS, CONVERGED, NOISE_FLOOR, Accept, Curvature, Evaluate

_SHARE = 0.1  # a model is solved up to this share of the subgradient's distance from zero
_SWEEPS = 50  # sweeps over a model at most: those over the next one gain as much
_NOT_BETTER = 0.1  # share of that distance that a step may leave whose gain is lost in the rounding of values


@dataclass(frozen=True)
class newton_by_columns:
    """Proximal Newton whose models are solved by coordinate descent, which needs no matrix.

    Where single columns cannot be accessed (on a GPU, from disk, with several classes), fista takes over.

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
            direction = model.minimum(here, _SHARE * off, _SWEEPS) - here.w
            decrease = max(-(here.gradient @ direction + l1_change(here, direction, l1)), 0.0)
            if (yield Accept(here, gap=None if self.proven else decrease)):
                return CONVERGED
            if decrease <= here.rounding and off > _NOT_BETTER * before:
                return NOISE_FLOOR
            there, before = (yield from descend(here, direction, l1)), off
            if there is None:
                return NOISE_FLOOR
            here = there


def _off(here, l1):
    """The subgradient of smallest norm, element by element in absolute value."""
    g = here.gradient
    return float(np.where(here.w != 0, abs(g + l1 * np.sign(here.w)), np.maximum(abs(g) - l1, 0)).max())
