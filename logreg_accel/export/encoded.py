"""What each column of a raw table adds to the margins of a model with an encoder."""

from typing import Any, NamedTuple

import numpy as np

from ..table.columns import Number


class NumberTerm(NamedTuple):
    """A column of numbers: value / scale · slope, or `missing` for a missing value.

    Attributes
    ----------
    name : str
    scale : float
    slope, missing : ndarray (outputs,)
    """

    name: str
    scale: float
    slope: Any
    missing: Any


class LevelTerm(NamedTuple):
    """A column of levels.

    Attributes
    ----------
    name : str
    levels : tuple of str
        Any other text counts as rare, or as no level; an empty one is missing.
    weights : ndarray (levels, outputs)
    other, missing : ndarray (outputs,)
    """

    name: str
    levels: tuple
    weights: Any
    other: Any
    missing: Any


def terms_of(model):
    """The NumberTerm or LevelTerm of every column that the encoder of a model uses."""
    W, terms, first = model.coef_.T.astype(np.float64), [], 0
    nothing = np.zeros(W.shape[1])
    for column in model.encoder_.columns_:
        own = W[first : first + len(column.features)]
        first += len(column.features)
        if not len(own):
            continue
        if isinstance(column, Number):
            at_median = column.median / column.scale * own[0]
            missing = at_median + own[1] if column.missing else at_median
            terms.append(NumberTerm(column.name, column.scale, own[0], missing))
        else:
            n = len(column.levels)
            other = own[n] if column.pooled else nothing
            missing = own[-1] if column.missing else nothing
            levels, weights = column.levels, own[:n]
            if column.base is not None:
                levels, weights = (*levels, column.base), np.vstack([weights, nothing])
            terms.append(LevelTerm(column.name, levels, weights, other, missing))
    return terms
