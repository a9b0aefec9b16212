"""The rows that many models share: in memory, or read block by block from a source."""

import contextlib

from .. import streaming
from ..cluster.collections import is_collection
from ..data import as_offset, as_weights, encoded
from ..data.scan import Source
from ..rows.cache import room_at_first, room_for_blocks
from ..rows.stream import most_kept, most_of_proof
from .table import Shared

_PROOF = 3  # memory for the rows of a proof, as stored and in float64, relative to their size as stored
_LEAST = 80_000_000  # least number of bytes in addition to labels, splits and weights of every row
_SPLITS = 2  # bytes per row for the splits that train on it


@contextlib.contextmanager
def opened(template, X, y, sample_weight=None, offset=None, read=None):
    """A context with the rows of a table as a Shared, whose columns a model remembers.

    Parameters
    ----------
    template : LogisticRegression
    X : array, frame, table, sparse matrix, or Source
    y : labels; None takes those of a source
    sample_weight, offset : as in `LogisticRegression.fit`
    read : function (y, n_samples) -> codes, classes, split bits or None
        Reads the given labels; None expects one label per row.

    Raises
    ------
    ValueError, TypeError
        As in `LogisticRegression.fit`; also for a source whose rows are on workers.
    """
    read = read or one_target
    if not isinstance(X, Source) and not is_collection(X):
        matrix = template._matrix(X, reset=True)
        codes, classes, splits = read(y, matrix.shape[0])
        weights = as_weights(sample_weight, matrix.shape[0])
        yield Shared(matrix, codes, weights, splits, classes, as_offset(offset, len(codes), len(classes)))
        return
    _check(template, X)
    several = y if read is not one_target else None
    given = (None if several is y else y), sample_weight, offset
    with streaming.labelled_rows(template, X, *given, own=several is None) as rows:
        codes, weights = rows.in_memory()
        beside = codes.nbytes + _SPLITS * len(codes) + (0 if weights is None else weights.nbytes)
        left = rows.memory - beside
        if left < _LEAST:
            raise MemoryError(
                f"labels, splits and weights of {len(codes):,} rows take {beside / 1e6:.0f} MB, and `memory` "
                f"is {rows.memory / 1e6:.0f} MB; expected at least {(beside + _LEAST) / 1e6:.0f} MB."
            )
        nbytes = rows.store.nbytes
        proof = _PROOF * most_of_proof(nbytes, left) + most_kept(nbytes, left)
        rows.store.limit(min(room_at_first(left), room_for_blocks(left, proof)))
        classes, splits = rows.classes, None
        if several is not None:
            codes, classes, splits = read(several, len(codes))
        yield Shared(rows.store, codes, weights, splits, classes, None, left, beside)


def one_target(y, n_samples):
    """Class codes and classes from one label per row."""
    classes, codes, _ = encoded(y)
    if len(codes) != n_samples:
        raise ValueError(f"`X` has {n_samples} rows and `y` {len(codes)}. Give one label per row.")
    return codes, classes, None


def _check(template, X):
    """Raise an error for options that a source does not support, before it is read."""
    if is_collection(X) or X.client is not None:
        raise TypeError(
            "`X` is on the workers of a cluster, and many models share the rows of one machine; expected "
            "`scan(...)` without `client`, or an array. Fit LogisticRegression(C=...) there for each C."
        )
    if template.standardize:
        raise TypeError(
            "`standardize` is not offered for rows that are read block by block; scale the columns first."
        )
