"""Messages between the client and the workers: values that any worker understands without context."""

from collections import Counter
from typing import Any, NamedTuple

import numpy as np


class Plan(NamedTuple):
    """How the parts of a source are read.

    Attributes
    ----------
    token : str
        Identifies the source.
    first : (str, Chunk) or None
        The place and the columns that all chunks have to match.
    classes : ndarray or None
        The given classes.
    memory : int
        Bytes that one worker may use.
    folder : str or None
        The folder for blocks that do not fit into memory.
    """

    token: str
    first: Any = None
    classes: Any = None
    memory: int = 0
    folder: Any = None


class Summary(NamedTuple):
    """The facts about a part after its first read.

    Attributes
    ----------
    names, kind, width, layouts
        Those of its blocks.
    labels : ndarray
        The labels that occur, sorted.
    codes, rows : ndarray
        The code of each in the blocks of the part, and the first row that has it.
    totals : tuple of ndarray
        Rows of each label, and the sum, the largest and the least positive of their weights.
    digest : bytes
        Distinguishes the part from others.
    rounded : Counter
        For each column, how many integers float64 cannot represent.
    """

    names: Any
    kind: Any
    width: int
    layouts: tuple
    labels: np.ndarray
    codes: np.ndarray
    rows: np.ndarray
    totals: tuple
    digest: bytes
    rounded: Counter


class View(NamedTuple):
    """How rows are read: the arithmetic, and the centre that is subtracted."""

    dtype: np.dtype
    subtracted: Any
    backend: str


class Recipe(NamedTuple):
    """A row vector: its name, and the pass that computes it, again if it is lost."""

    key: int
    view: View
    pass_: Any


class ClassMasses(NamedTuple):
    """Masses that are a number for each class, times the weights."""

    each: np.ndarray


class Product(NamedTuple):
    """mass·other."""

    masses: Recipe
    others: Recipe


class Halves(NamedTuple):
    """See `masses.mixed`."""

    masses: Recipe
    others: Recipe
    one: float
    both: float


class Lacking(NamedTuple):
    """The answer of a worker that does not know how to read some parts."""

    parts: list
