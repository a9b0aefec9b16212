"""The pass that finds single columns which separate a class, and its body in array code."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from .passes import Pass

_FIRST_ROWS, _GROWTH = 64, 4


class Sides(NamedTuple):
    """The result of a ColumnSides pass.

    Attributes
    ----------
    above, below : ndarray (n, n_classes)
        The number of rows of each class in which a column is above zero, and below it.
    size : ndarray (n,)
        Σ |x| of every column.
    seen : int
        The number of rows that were examined; that ends when no column can separate a class any more.
    """

    above: Any
    below: Any
    size: Any
    seen: int

    @property
    def against(self):
        """The numbers of rows that an increasing and a decreasing weight move away from their class, each
        (n, n_classes): rows of the class with the other sign, and rows of other classes with the same one."""
        others = (part.sum(axis=1, keepdims=True) - part for part in (self.above, self.below))
        above, below = others
        return self.below + above, self.above + below

    @property
    def may_separate(self):
        """Which columns may separate a class, as far as the rows that were examined tell."""
        up, down = self.against
        return ~(up.all(axis=1) & down.all(axis=1))


@dataclass(frozen=True, eq=False)
class ColumnSides(Pass):
    """-> Sides, of the rows of positive weight.

    which : (n,) of bool, the columns in question.
    """

    n_classes: int
    which: Any

    @staticmethod
    def combine(parts):
        """The Sides over all parts."""
        return Sides(*(sum(each) for each in zip(*parts, strict=True)))


def column_sides(backend, pass_, block):
    """Count rows in growing pieces, so that next to no time is spent if no column separates a class."""
    (m, n), codes = block.X.shape, np.arange(pass_.n_classes)
    found, start, rows = Sides(*np.zeros((2, n, len(codes))), np.zeros(n), 0), 0, _FIRST_ROWS
    while start < m and (found.may_separate & pass_.which).any():
        stop = min(start + rows, m)
        of_class = (block.y[start:stop, None] == codes).astype(np.float64)
        if block.sample_weight is not None:
            of_class *= block.sample_weight[start:stop, None] > 0
        sides = block.X.between(start, stop).sides(of_class)
        found = ColumnSides.combine([found, Sides(*sides, stop - start)])
        start, rows = stop, min(rows * _GROWTH, max(backend.tile_bytes // block.X.row_bytes, _FIRST_ROWS))
    return found


BODIES = {ColumnSides: column_sides}
