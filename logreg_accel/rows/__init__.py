"""Rows: where the rows of a problem live, and how sums over them are made.

`Rows` is what everybody else sees; `MemoryRows` holds blocks in memory; `RowSpace` is a problem of few rows
with as many features as rows. `sampling` says which rows to draw.
"""

from .base import Rows
from .memory import MemoryRows
from .row_space import RowSpace

__all__ = ["MemoryRows", "RowSpace", "Rows"]
