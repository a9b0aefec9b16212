"""Tables as they come made into matrices: `TableEncoder`, and what it has learned of each column."""

from .columns import LeftOut, Levels, Number
from .encoder import Counts, TableEncoder

__all__ = ["Counts", "LeftOut", "Levels", "Number", "TableEncoder"]
