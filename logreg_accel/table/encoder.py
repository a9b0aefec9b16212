"""TableEncoder: a table as it comes in, a matrix of numbers out."""

import warnings
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from ..data.frames import as_arrow
from . import columns as kinds
from .facts import Room, facts_of
from .learning import learn_all
from .rows import Counts, encode_table, slots_of, workers

_DENSE = 0.3  # share of entries from which the matrix is dense; as that of scikit-learn's ColumnTransformer


class TableEncoder(TransformerMixin, BaseEstimator):
    """Make a matrix of numbers of a table with text, categories, bools, dates and missing values.

    - Numbers stay as they are. A missing one becomes the median, and a column "name (missing)" says so.
    - Text and categories become a column of zeros and ones for every level; levels of few rows are pooled in
      "name (rare)", missing values are in "name (missing)". Bools become one column.
    - Left out, with the reason in `columns_`: dates and times, columns of one value, integers that number
      the rows, texts that name them, and columns that are neither numbers nor text.
    - A level that training did not have is taken as rare, or as no level where none was; a missing value
      where none was, as the median or as no level; a column that is not there, as missing in all rows;
      other columns are not used. `transform` counts them in a warning.

    Parameters
    ----------
    min_count : int or None, default None
        Rows that a level must have at least; None takes a hundredth of the rows, at most 5.
    max_levels : int, default 50,000
        Columns of more levels are refused.
    categorical, numeric, drop : sequences of str, default ()
        Columns that are levels, or numbers, whatever they look like, and columns to leave out.
    drop_first : bool, default False
        Make no column of the first level, with which others are then compared: columns for all are collinear.
    scale : bool, default False
        Divide numbers by their standard deviation, so that a penalty falls on all alike.
    sparse_output : "auto" or bool, default "auto"
        A SciPy matrix in compressed rows or a NumPy array; "auto" takes the array where 0.3 of it are used.

    Attributes
    ----------
    columns_ : list of Number, Levels and LeftOut
        What is made of each column.
    n_features_in_ : int
    feature_names_in_ : ndarray of str

    Examples
    --------
    >>> from logreg_accel import TableEncoder
    >>> encoder = TableEncoder().fit({"age": [31, 45, None, 28], "city": ["Rom", "Oslo", "Rom", None]})
    >>> encoder.get_feature_names_out().tolist()
    ['age', 'age (missing)', 'city=Oslo', 'city=Rom', 'city (missing)']
    """

    def __init__(
        self,
        *,
        min_count: int | None = None,
        max_levels: int = 50_000,
        categorical: Sequence[str] = (),
        numeric: Sequence[str] = (),
        drop: Sequence[str] = (),
        drop_first: bool = False,
        scale: bool = False,
        sparse_output: bool | str = "auto",
    ) -> None:
        self.min_count = min_count
        self.max_levels = max_levels
        self.categorical = categorical
        self.numeric = numeric
        self.drop = drop
        self.drop_first = drop_first
        self.scale = scale
        self.sparse_output = sparse_output

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = tags.input_tags.string = tags.input_tags.categorical = True
        return tags

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn from a table what to make of its columns.

        Parameters
        ----------
        X : frame of pandas or polars, Arrow table, dict of columns, or 2-d array
        y : ignored

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            X is no table, or columns cannot be used: with no value at all, infinite ones, numbers and words
            mixed, more than `max_levels` levels. The message names all of them and says what to do.
        """
        return self.learn([as_arrow(X)])

    def learn(self, tables: Any, memory: int | None = None) -> Self:
        """`fit` to a table that comes in pieces: an iterable of Arrow tables or batches of the same columns.

        With `memory`, no more than so many bytes are kept of them. Where a column has more different numbers
        than these hold, its median is near the middle; else it is exact. Where texts are too many, a column
        of which nearly all are different is left out.
        """
        gathered: dict[str, Any] = {}
        failed: dict[str, ValueError] = {}
        names: list[str] = []

        def add(name, column):
            try:
                gathered[name].add(column)
            except ValueError as error:
                failed[name] = error

        with workers() as pool:
            each = pool.map if memory is None else map  # columns that share a room go one by one
            for number, table in enumerate(tables):
                if not number:
                    names = table.schema.names
                    self._check(names)
                    room, types = Room(memory, len(names)), zip(names, table.schema.types, strict=True)
                    gathered = {n: facts_of(n, kind, self, room) for n, kind in types if n not in self.drop}
                columns = dict(zip(names, table.columns, strict=True))
                left = [name for name in gathered if name not in failed]
                list(each(add, left, [columns[name] for name in left]))
            self._keep(learn_all(gathered, failed, self, each), names)
        if not self.n_features_out_:
            reasons = "; ".join(f"{column.name!r}: {column.why}" for column in self.columns_[:5])
            rows = f" (n_samples = {max((facts.rows for facts in gathered.values()), default=0)})"
            raise ValueError(f"No column is left for the features{rows}. {reasons}.")
        return self

    def _check(self, names):
        if self.min_count is not None and not (isinstance(self.min_count, int) and self.min_count >= 1):
            raise ValueError(f"`min_count` is {self.min_count!r}; expected an integer from 1 on, or None.")
        if self.sparse_output not in ("auto", True, False):
            raise ValueError(f"`sparse_output` is {self.sparse_output!r}; expected 'auto', True or False.")
        for parameter in ("categorical", "numeric", "drop"):
            strange = [name for name in getattr(self, parameter) if name not in names]
            if strange:
                listed = ", ".join(names[:20])
                raise ValueError(f"`{parameter}` has {strange[0]!r}; expected some of {listed}.")

    def _keep(self, columns, names):
        self.columns_ = columns
        self.n_features_in_ = len(names)
        self.feature_names_in_ = np.array(names, dtype=object)
        self.n_features_out_ = sum(len(column.features) for column in columns)

    def transform(self, X: Any) -> Any:
        """Encode the rows of a table; columns are found by name.

        Parameters
        ----------
        X : frame of pandas or polars, Arrow table, dict of columns, or 2-d array

        Returns
        -------
        ndarray or CSR array (n_samples, n_features_out_), float64

        Raises
        ------
        ValueError, TypeError
            X is no table, has none of the columns, or text or infinite values where training had numbers.

        Warns
        -----
        UserWarning
            The table has what training did not have.
        """
        encoded, counts = self.encode(X)
        for sentence in counts.sentences():
            warnings.warn(sentence, stacklevel=3)  # above scikit-learn's wrapper
        return encoded

    def encode(self, X: Any) -> tuple[Any, Counts]:
        """As `transform`, but (matrix, `Counts`) without a warning."""
        check_is_fitted(self)
        table = as_arrow(X)
        if isinstance(X, np.ndarray | list) and table.num_columns != self.n_features_in_:
            raise ValueError(
                f"X has {table.num_columns} features, but {type(self).__name__} is expecting "
                f"{self.n_features_in_} features as input."
            )
        used, counts = self.matched(table.column_names)
        here = set(table.column_names)
        given = table.select([column.name for column in used if column.name in here])
        encoded, new = encode_table(used, given, self.sparse_)
        counts.add(new)
        return encoded, counts

    def matched(self, names):
        """The columns that have a place in the matrix, and `Counts` of what a table with these names lacks.

        Raises
        ------
        ValueError
            The table has none of them.
        """
        used = [column for column in self.columns_ if column.features]
        here, known = set(names), set(self.feature_names_in_)
        counts = Counts(
            absent=[column.name for column in used if column.name not in here],
            extra=[name for name in names if name not in known],
        )
        if len(counts.absent) == len(used):
            raise ValueError(
                f"The table has none of the columns {', '.join(repr(column.name) for column in used[:10])}."
            )
        return used, counts

    @property
    def sparse_(self):
        """Whether `transform` returns a sparse matrix."""
        if self.sparse_output != "auto":
            return bool(self.sparse_output)
        return (
            sum(slots_of(column) for column in self.columns_ if column.features)
            < _DENSE * self.n_features_out_
        )

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """The names of the columns of the matrix: "name", "name=level", "name (rare)", "name (missing)"."""
        check_is_fitted(self)
        names = [name for column in self.columns_ for name in column.features]
        return np.array(names, dtype=object)

    def source(self, tables, wanted, memory, cache=None, classes=None):
        """The rows of `data.gathering.Tables` as a source that this encoder makes; see `scan`."""
        from .stream import TableSource  # which needs numbers of what was learned here

        return TableSource(tables, wanted, memory, cache, classes, self)

    # -- JSON --------------------------------------------------------------------------------------------

    def to_dict(self) -> dict:
        """The fitted encoder as JSON values."""
        check_is_fitted(self)
        return {
            "columns": kinds.pack(self.columns_),
            "names": self.feature_names_in_.tolist(),
            "sparse": self.sparse_,
        }

    @classmethod
    def from_dict(cls, values: Any) -> Self:
        """The fitted encoder that `to_dict` told of.

        Raises
        ------
        ValueError
            `to_dict` cannot have made this.
        """
        if not isinstance(values, dict) or values.keys() != {"columns", "names", "sparse"}:
            raise ValueError("it is no encoder")
        columns, names = kinds.unpack(values["columns"]), values["names"]
        if not isinstance(names, list) or not all(type(name) is str for name in names):
            raise ValueError("its names of columns are no list of texts")
        if type(values["sparse"]) is not bool or not {column.name for column in columns} <= set(names):
            raise ValueError("its columns are not those of its table")
        encoder = cls(sparse_output=values["sparse"])
        encoder._keep(columns, names)
        return encoder
