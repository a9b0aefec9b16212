"""Rows: where the rows of a problem live, and how sums over them are made.

`Rows` is the interface; `MemoryRows` holds blocks in memory; `StreamRows` reads them from disk;
`RowSpace` is a problem of few rows with as many features as rows, `of_columns` one of some columns,
`of_classes` one of some classes. `sampling` says which rows to draw.
"""

from .base import Rows
from .decode import opened
from .memory import MemoryRows
from .row_space import RowSpace
from .some_classes import of_classes
from .some_columns import of_columns
from .stream import StreamRows
from .streamed import Relabelled, Streamed

__all__ = [
    "MemoryRows",
    "Relabelled",
    "RowSpace",
    "Rows",
    "StreamRows",
    "Streamed",
    "of_classes",
    "of_columns",
    "opened",
]
