"""TableEncoder, which encodes a raw table as a matrix of numbers."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from ..data.frames import as_arrow
from . import columns as kinds
from .learning import learn_pieces
from .rows import Counts, encode_table, slots_of

_DENSE = 0.3  # share of entries from which the matrix is dense, as in scikit-learn's ColumnTransformer


class TableEncoder(TransformerMixin, BaseEstimator):
    """Encode a table with text, categories, bools, dates and missing values as a matrix of numbers.

    - Numbers are unchanged. A missing number becomes the median, and a column "name (missing)" marks it.
    - Text and categories become a column of zeros and ones for every level; levels with few rows are pooled
      in "name (rare)", and missing values are in "name (missing)". Bools become one column.
    - These are left out, with the reason in `columns_`: dates and times, columns of one value, integers that
      number the rows, texts that identify them, and columns that are neither numbers nor text.
    - In later tables, a level that training did not have counts as rare, or as no level if no levels were
      rare. A missing value in a column that had none becomes the median or no level, and a missing column
      counts as missing in all rows; unknown columns are ignored. `transform` warns with the numbers of all of
      these.

    Parameters
    ----------
    min_count : int or None, default None
        Smallest number of rows of a level; None means a hundredth of the rows, but at most 5.
    max_levels : int, default 50,000
        Columns with more levels are an error.
    categorical, numeric, drop : sequences of str, default ()
        Names of columns to encode as levels, to take as numbers, and to leave out, whatever they look like.
    drop_first : bool or dict, default False
        Make no column for the first level, or for that which a dict {column: level} names, with which the
        others are then compared. Columns for all levels are collinear.
    scale : bool, default False
        Divide numbers by their standard deviation, so that a penalty affects all columns alike.
    sparse_output : "auto" or bool, default "auto"
        Whether the result is a SciPy matrix in compressed rows or a NumPy array; "auto" makes an array if at
        least 0.3 of it is expected to be nonzero.

    Attributes
    ----------
    columns_ : list of Number, Levels and LeftOut
        The encoding of each column.
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
        drop_first: bool | Mapping[str, str] = False,
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
        """Learn from a table how to encode its columns.

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
            X is not a table, or columns cannot be used: without any value, with infinite values, with numbers
            and words mixed, or with more than `max_levels` levels. The message names all of them and says
            what to do.
        """
        return self.learn([as_arrow(X)])

    def learn(self, tables: Any, memory: int | None = None, at_least: Any = None) -> Self:
        """Learn, like `fit`, from a table in pieces.

        Parameters
        ----------
        tables : iterable of Arrow tables or batches of equal columns
        memory : int or None
            Bytes that may be kept of the pieces. If the distinct numbers of a column need more, its median is
            approximate; otherwise it is exact. If the texts of a column need more and nearly all of them are
            different, the column is left out.
        at_least : function (rows, features) or None
            Called a few times with the rows and the features so far. Whatever it raises ends the learning.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            As `fit`; also if no column is left.
        """
        columns, names, n_rows = learn_pieces(self, tables, memory, at_least)
        self._keep(columns, names)
        if not self.n_features_out_:
            reasons = "; ".join(f"{column.name!r}: {column.why}" for column in self.columns_[:5])
            raise ValueError(f"No column is left for the features (n_samples = {n_rows}). {reasons}.")
        return self

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
            X is not a table, has none of the columns, or has text or infinite values where training had
            numbers.

        Warns
        -----
        UserWarning
            The table has levels, columns or missing values that training did not have, or lacks columns.
        """
        encoded, counts = self.encode(X)
        for sentence in counts.sentences():
            warnings.warn(sentence, stacklevel=3)  # above scikit-learn's wrapper
        return encoded

    def encode(self, X: Any) -> tuple[Any, Counts]:
        """Encode the rows of a table, and count what a warning of `transform` would say.

        Parameters
        ----------
        X : as for `transform`, which also says what is raised

        Returns
        -------
        matrix : ndarray or CSR array (n_samples, n_features_out_), float64
        counts : Counts
        """
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
        """Find the columns of a table by name.

        Parameters
        ----------
        names : list of str

        Returns
        -------
        used : list of Number and Levels, of which the matrix is made
        counts : Counts of what the table lacks, and what it has beside them

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
        slots = sum(slots_of(column) for column in self.columns_ if column.features)
        return slots < _DENSE * self.n_features_out_

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the names of the matrix's columns: "name", "name=level", "name (rare)", "name (missing)".

        Parameters
        ----------
        input_features : ignored

        Returns
        -------
        ndarray of str, objects (n_features_out_,)
        """
        check_is_fitted(self)
        names = [name for column in self.columns_ for name in column.features]
        return np.array(names, dtype=object)

    def source(self, tables, wanted, memory, cache=None, classes=None):
        """The rows of `data.gathering.Tables`, encoded, as a source; see `scan`."""
        from .stream import TableSource  # imports this module

        return TableSource(tables, wanted, memory, cache, classes, self)

    # -- JSON --------------------------------------------------------------------------------------------

    def to_dict(self) -> dict:
        """The fitted encoder as a dict of JSON values, of which `from_dict` makes it again.

        Returns
        -------
        dict
        """
        check_is_fitted(self)
        return {
            "columns": kinds.pack(self.columns_),
            "names": self.feature_names_in_.tolist(),
            "sparse": self.sparse_,
        }

    @classmethod
    def from_dict(cls, values: Any) -> Self:
        """The fitted encoder that `to_dict` was called on.

        Parameters
        ----------
        values : dict

        Returns
        -------
        TableEncoder

        Raises
        ------
        ValueError
            `to_dict` cannot have made these values; the message says why.
        """
        if not isinstance(values, dict) or values.keys() != {"columns", "names", "sparse"}:
            raise ValueError("it is not an encoder")
        columns, names = kinds.unpack(values["columns"]), values["names"]
        if not isinstance(names, list) or not all(type(name) is str for name in names):
            raise ValueError("its names of columns are not a list of texts")
        if type(values["sparse"]) is not bool or not {column.name for column in columns} <= set(names):
            raise ValueError("its columns are not those of its table")
        encoder = cls(sparse_output=values["sparse"])
        encoder._keep(columns, names)
        return encoder
