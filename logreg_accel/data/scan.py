"""`scan`: rows that need not fit into memory, read and checked chunk by chunk."""

import math
import os
import re
from typing import Any, NamedTuple

import numpy as np

from .checked import Pattern, last_change, pieces_of, stamps_of
from .chunks import Wanted
from .files import refuse_labels
from .gathering import Tables
from .shards import parts_of, refuse_without_labels

_UNITS = {"": 1, "K": 1000, "M": 1000**2, "G": 1000**3, "T": 1000**4}
_LEAST_MEMORY = 96_000_000
_LEAST_TO_READ = 85_000_000  # bytes beside pages: Arrow itself, chunks, blocks being made, freed memory


class SoFar(NamedTuple):
    """What is known of a source while it is read: it has at least these rows, columns, bytes and classes."""

    n_rows: int
    n_features: int
    nbytes: int
    n_classes: int


def nothing(*_):
    """The default of functions that are called on the way."""


class Source:
    """Rows that are read again for every iteration; `scan` makes one.

    Attributes
    ----------
    memory : int
        Bytes that a fit may use.
    cache : str or None
    progress : callable (Piece) or None
        Called with every piece of the first read.
    client : distributed.Client, int or None
        A cluster whose workers read the parts.
    """

    encoder = None  # a source of tables that are encoded has a TableEncoder

    def __init__(self, data, wanted, memory, cache, classes, client=None):
        self.data, self.wanted = data, wanted
        self.memory, self.cache, self.classes, self.client = memory, cache, classes, client
        self.parts, self.progress = parts_of(data, wanted), None

    def __repr__(self):
        return f"<source of {len(self.parts)} parts, the first of which is {self.parts[0].name!r}>"

    def fingerprint(self):
        """A fingerprint that distinguishes these inputs from others without reading them.

        Size and modification time alone would be those of a file that was rewritten by a program which then
        restored its time, as `rsync` and archivers do.

        Returns
        -------
        dict or None
            JSON values; None unless all rows are in local files.
        """
        if not all(part.paths for part in self.parts):
            return None
        stamps = [[os.path.abspath(path), *last_change(path)] for part in self.parts for path in part.paths]
        w = self.wanted
        features = None if w.features is None else list(map(str, w.features))
        asked = [str(w.target), str(w.weight), features, list(w.drop)]
        return {
            "files": stamps,
            "columns": asked,
            "classes": None if self.classes is None else str(self.classes),
        }

    def learn(self, check=nothing):
        """Learn what has to be known about all rows before the first read.

        `check` is called with a SoFar a few times; whatever it raises ends the read.
        """

    def parts_to_read(self):
        """The parts as workers read them, each by itself; after `learn`."""
        return self.parts

    def learned(self):
        """The results of `learn` that a cache of the rows keeps, as JSON values."""

    def recall(self, kept):
        """Restore the results that `learned` returned."""

    def check_room(self):
        """Check, before anything is read, that reading the files takes no more than `memory`.

        Raises
        ------
        MemoryError
            It takes more; the message says how much, and what takes less.
        """
        for part in self.parts:
            least = part.room() + _LEAST_TO_READ
            if least > self.memory:
                why, instead = part.why
                raise MemoryError(
                    f"reading {part.name!r} takes {math.ceil(least / 1e6)} MB, {why}, and `memory` is "
                    f"{self.memory / 1e6:.0f} MB. Raise it, {instead}."
                )

    def pieces(self, labelled=True):
        """The pieces in order, each checked against the first.

        Parameters
        ----------
        labelled : bool
            Whether the pieces need labels.

        Yields
        ------
        Piece

        Raises
        ------
        FileNotFoundError
            A file has vanished.
        ValueError, TypeError
            Shards do not match, or have nulls or numbers that are not finite (the message names file, row and
            column); a file has changed while it was read; there are no rows.
        """
        parts, pattern, rows = parts_of(self.data, self.wanted), Pattern(), 0
        stamps = [stamps_of(part) for part in parts]  # rows of before and after a change must not be mixed
        self.check_room()
        if labelled and self.wanted.target is None:
            refuse_without_labels(self.parts)
        for number, part in enumerate(parts):
            for piece in pieces_of(number, part, pattern, labelled, stamps[number]):
                yield piece
                rows += piece.chunk.X.shape[0]
        if not rows:
            others = f" and {len(parts) - 1} more parts" if len(parts) > 1 else ""
            again = (
                "" if parts[0].paths else " Whenever a callable is called, it has to begin a new iterator."
            )
            raise ValueError(f"the source has no rows: {parts[0].name!r}{others}.{again}")


def scan(
    data: Any,
    *,
    target: Any = None,
    weight: Any = None,
    features: list | None = None,
    drop: tuple | list = (),
    memory: str | int = "4GB",
    cache: str | os.PathLike | None = None,
    classes: Any = None,
    encoder: Any = None,
    layout: dict | None = None,
    client: Any = None,
) -> Source:
    """Make a source of rows that need not fit into memory; `fit` and the predictions accept it as X.

    The first read decodes and checks the rows, learns the labels and writes the blocks that do not fit into
    `memory` to a cache on disk, from which later reads take them. The same source gives the same bits with
    any `memory` that has room for what the solver and the proof keep; otherwise `solver="auto"` uses smaller
    samples or another solver. `fit` on the same rows in memory agrees to within `tol`. If its samples have
    the same size, as with two million rows of a hundred columns, it takes the same steps, and the result
    differs only by rounding.

    Parameters
    ----------
    data : path, pattern, folder or list of those; Arrow dataset; polars LazyFrame; or callable
        Files are CSV (also compressed), Parquet, Feather, svmlight, .npy and .npz, and are read in the order
        of their names. A callable returns, each time it is called, an iterator over (X, y) or (X, y, weight)
        chunks, dense or sparse.
    target, weight : str, or for .npy files the number of a column or a pattern of files beside them
        Where labels and weights are; not for callables and svmlight files, which contain them.
    features : list of str or None
        The columns to use; None uses all others.
    drop : list of str
        Columns to leave out.
    memory : str or int
        Memory that a fit may use in addition to what the process uses already: "4GB", "800MB", or bytes.
        This includes the page of every column that Arrow holds while it reads a Parquet file. It does not
        include what polars holds for a lazy frame, however many rows there are: several decompressed row
        groups (which stay within the budget if they are small), and more if the query sorts, joins or groups;
        columns that are used unchanged take less if `data` names the files themselves. Nor does it include,
        in `LogisticRegressionCV`, what scikit-learn takes for a splitter other than StratifiedKFold and for
        scores other than the default one, "neg_log_loss" and the "roc_auc" of two classes.
    cache : path or None
        A folder on a local disk where the blocks stay, so that the next fit on the same inputs need not
        decode them; None uses a temporary file in `TMPDIR`, which is removed afterwards.
    classes : sequence or None
        All labels. None learns them from the first file that has two or more; a new label in a later file is
        then an error that names file and row.
    encoder : TableEncoder or None
        Encodes tables with text, categories and missing values as numbers. An encoder that is not fitted
        learns from the files, which takes one more read. With None, all columns must be numbers.
    layout : dict or None
        With an encoder, the format of text files: `separator`, `header` (False: columns are called 0, 1,
        ...), `missing` (texts that stand for a missing value) and `encoding`.
    client : distributed.Client, int or None
        The client of a Dask cluster, or a number of processes to start on this machine; each worker reads its
        share of the files. `memory` and `cache` are then those of each worker. All workers must see the files
        under the same names. An `encoder` learns in this process, in one read, and encodes on the workers.
        The bits of a fit do not depend on the number of workers, and workers may die, hang or join at any
        time.

    Returns
    -------
    Source

    Raises
    ------
    FileNotFoundError, ValueError, TypeError
        The files do not exist, or arguments cannot be used.

    Examples
    --------
    >>> import numpy as np, logreg_accel
    >>> def chunks():
    ...     for seed in range(3):
    ...         X = np.random.default_rng(seed).standard_normal((100, 2))
    ...         yield X, X[:, 0] + X[:, 1] ** 2 > 0.5
    >>> model = logreg_accel.LogisticRegression().fit(logreg_accel.scan(chunks, memory="200MB"))
    >>> model.coef_.shape
    (1, 2)
    """
    if features is not None and (isinstance(features, str) or not len(features)):
        raise ValueError(f"`features` is {features!r}; expected a list of columns, or None for all others.")
    refuse_labels(list(features or ()), target, weight)
    size = bytes_of(memory)
    if size < _LEAST_MEMORY:
        raise ValueError(f"`memory` is {memory!r}; expected at least {_LEAST_MEMORY // 1_000_000} MB.")
    if classes is not None:
        classes = np.unique(np.asarray(classes))
        if len(classes) < 2:
            raise ValueError(f"`classes` is {classes.tolist()}; expected two labels or more.")
    if not (cache is None or isinstance(cache, str | os.PathLike)):
        raise TypeError(f"`cache` is {cache!r}; expected the name of a folder, or None.")
    cache = None if cache is None else os.fspath(cache)
    if isinstance(client, bool) or (isinstance(client, int) and client < 1):
        raise ValueError(f"`client` is {client!r}; expected a distributed.Client or a number of processes.")
    wanted = Wanted(target, weight, features, tuple(drop)).within(size)
    if encoder is not None:
        tables = Tables(list(data) if isinstance(data, list | tuple) else [data], **(layout or {}))
        source = encoder.source(tables, wanted, size, cache, classes)
        source.client = client
        return source
    return Source(data, wanted, size, cache, classes, client)


def bytes_of(memory):
    """The number of bytes of a size such as "4GB". Raises ValueError if it is not a size."""
    if isinstance(memory, int) and not isinstance(memory, bool):
        return memory
    found = re.fullmatch(r"\s*(\d+\.?\d*)\s*([KMGT]?)(i?)B?\s*", str(memory), re.IGNORECASE)
    if not found:
        raise ValueError(
            f"`memory` is {memory!r}; expected a size such as '4GB', '800MB' or a number of bytes."
        )
    number, unit, binary = found.groups()
    unit = unit.upper()
    return int(float(number) * (1024 ** "_KMGT".index(unit or "_") if binary else _UNITS[unit]))
