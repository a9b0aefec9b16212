"""Raw tables as matrices: `TableEncoder`, and what it learns about each column."""

from .columns import LeftOut, Levels, Number
from .encoder import Counts, TableEncoder

__all__ = ["Counts", "LeftOut", "Levels", "Number", "TableEncoder"]
