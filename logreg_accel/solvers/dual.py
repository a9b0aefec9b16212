"""Dual coordinate ascent, for rows of moderate norm: sparse and normalised ones above all."""

import math
from dataclasses import dataclass

from .newton import newton_cg
from .questions import CONVERGED, Accept, Epoch, Evaluate

_NEAR = 4.0  # multiple of `tol` up to which a gap is worth the read that finds the best intercept
_TELL = 10  # epochs from one accepted point to the next
_GOOD = 1e-3  # relative gap below which Newton's method starts where the epochs ended
_WATCHED = 4  # number of the last epochs from which the rate is estimated


@dataclass(frozen=True)
class dual:
    """Stochastic dual coordinate ascent with an intercept that bears no penalty.

    Every row has a residual, a variable of the dual problem. An epoch visits the rows in random order, and
    solves for the residual of each while all others are fixed; w, which is a sum over the rows, is kept up to
    date. The rate depends on C·‖x‖², but neither on the number of columns nor on their conditioning. The
    duality gap, which is known after every epoch, proves the result.

    If more than `most` epochs would be needed, as for large C, or if epochs are not offered (a backend
    without compiled loops for them, more than two classes, no L2 penalty), Newton's method with conjugate
    gradients takes over.

    Parameters
    ----------
    most : int
        Number of epochs.

    References
    ----------
    Yu, Huang and Lin (2011), Dual coordinate descent methods for logistic regression and maximum entropy
    models, Machine Learning 85; Shalev-Shwartz and Zhang (2013), Stochastic dual coordinate ascent methods
    for regularized loss minimization, JMLR 14.
    """

    most: int = 60

    def __post_init__(self):
        if not (isinstance(self.most, int) and self.most >= 1):
            raise ValueError(f"`most` is {self.most!r}; expected a positive integer.")

    def bytes_beside(self, shape):
        """Count the residuals before and after an epoch, the norms of the rows, and their order."""
        newton = newton_cg.for_shape(shape.n_rows, shape.n_features, shape.n_outputs)
        return newton.bytes_beside(shape) + 5 * 8 * shape.n_rows

    def __call__(self, start):
        last, here, gaps = None, None, []
        for number in range(1, self.most + 1):
            w, state = (start.w, None) if last is None else (last.w, last.state)
            settle = number % _TELL == 1 or self._expected(gaps) <= _NEAR * start.tol * here.value
            ended = yield Epoch(w, state, start.seed + number, settle)
            if ended is None:
                break
            last = ended
            gaps.append(last.gap)
            if here is not None and self._left(gaps, start.tol * here.value) > self.most - number:
                break
            if number % _TELL == 1 or (settle and last.gap <= start.tol * here.value):
                here = (yield Evaluate(last.best))._replace(dual=last.state)
                if (yield Accept(here, gap=last.gap)):
                    return CONVERGED
        if here is not None and last.gap <= _GOOD * here.value:
            start = start._replace(w=last.best)
        n_features = len(start.w) // start.n_outputs
        newton = newton_cg.for_shape(start.n_rows, n_features, start.n_outputs)
        return (yield from newton(start))

    @staticmethod
    def _expected(gaps):
        """The gap after the next epoch, if the last rate holds."""
        return gaps[-1] * min(gaps[-1] / (gaps[-2] or 1.0), 1.0) if len(gaps) > 1 else math.inf

    @staticmethod
    def _left(gaps, wanted):
        """The number of epochs from here to a gap, at the rate of the last ones."""
        if len(gaps) <= _WATCHED or gaps[-1] <= wanted:
            return 0
        rate = (gaps[-1] / (gaps[-1 - _WATCHED] or 1.0)) ** (1 / _WATCHED)
        return math.log(wanted / gaps[-1]) / math.log(rate) if 0 < rate < 1 and wanted > 0 else math.inf
