"""Dask arrays and frames as a source: each of their partitions is a part."""

import uuid

from ..data.chunks import Wanted, of_arrays
from ..data.scan import Source
from ..data.shards import Part

_MEMORY = 4_000_000_000


class Partition:
    """A partition of Dask collections, read on the worker where the pool has placed its values.

    Parameters
    ----------
    key : str
    name : str
        For messages.
    values : list of Delayed
        X, and labels and weights if there are any; on a worker, the computed values.
    """

    def __init__(self, key, name, values):
        self.key, self.name, self.values = key, name, values

    def __getstate__(self):
        return {"key": self.key, "name": self.name}  # the client and Dask compute the values

    def __call__(self):
        yield of_arrays(*self.values, where=self.name)
        del self.values


def is_collection(given):
    """Whether it is a Dask array, frame or series."""
    return hasattr(given, "__dask_graph__") and hasattr(given, "to_delayed")


def source_of(X, y, sample_weight=None):
    """A source of the rows of Dask collections, on the workers of the current client.

    Parameters
    ----------
    X : dask.array.Array (n_samples, n_features) or dask.dataframe.DataFrame
    y, sample_weight : dask.array.Array or dask.dataframe.Series, partitioned like X; or None

    Raises
    ------
    TypeError
        y is in memory.
    ValueError
        The partitions of y differ from those of X, or there is no client.
    """
    client = _client()
    values, key = [], uuid.uuid4().hex
    for name, given in (("X", X), ("y", y), ("sample_weight", sample_weight)):
        if given is None:
            continue
        if not is_collection(given):
            raise TypeError(
                f"`{name}` is {type(given).__name__} beside Dask collections; expected a Dask array or "
                "series with the partitions of X."
            )
        values.append(_partitions(given, X if given is not X else None))
        if len(values[-1]) != len(values[0]):
            raise ValueError(
                f"`{name}` has {len(values[-1])} partitions and `X` {len(values[0])}; expected equally many."
            )
    parts = []
    for i, own in enumerate(zip(*values, strict=True)):
        partition = Partition(f"{key}-{i}", f"partition {i}", list(own))
        parts.append(Part(partition.name, partition))
    return Source(parts, Wanted(), _MEMORY, None, None, client)


def _partitions(given, like):
    """The Delayed of every partition of the rows."""
    if hasattr(given, "chunks"):
        if given.ndim == 2 and len(given.chunks[1]) > 1:
            given = given.rechunk({1: -1})
        known = like is not None and hasattr(like, "chunks") and all(m == m for m in like.chunks[0])
        if known and given.shape[0] == like.shape[0] and given.chunks[0] != like.chunks[0]:
            given = given.rechunk({0: like.chunks[0]})
    made = given.to_delayed()
    if len(made) != getattr(
        given, "npartitions", len(made)
    ):  # Dask merges files of which few columns are read
        made = given.to_delayed(optimize_graph=False)
    return list(made.ravel()) if hasattr(made, "ravel") else list(made)


def _client():
    try:
        from distributed import get_client

        return get_client()
    except (ImportError, ValueError) as error:
        raise ValueError(
            "`X` is a Dask collection, and there is no Client on whose workers the fit could run: "
            "`from distributed import Client; Client()` makes one (pip install 'logreg-accel[dask]')."
        ) from error
