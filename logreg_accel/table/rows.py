"""Rows of a table as rows of a matrix, batch by batch.

A row has a fixed number of slots, one for every number, level and indicator of a missing number, in the order
of the columns of the matrix. So the entries of all rows form two matrices, and only zeros have to be removed.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import scipy.sparse

from ..data.sparse import below_each_other
from .columns import Number
from .values import numbers_of, texts_of

_BATCH = 1 << 16  # rows that are encoded together, so that the columns being written stay in the cache


@dataclass
class Counts:
    """What a table had, or lacked, compared with the one that the encoder learned from.

    `unseen` counts unknown levels by column, `lacking` missing numbers in columns that had none; `absent`
    names missing columns, `extra` unknown ones.
    """

    unseen: dict = field(default_factory=dict)
    lacking: dict = field(default_factory=dict)
    absent: list = field(default_factory=list)
    extra: list = field(default_factory=list)

    def add(self, other):
        """Add the counts of another part of the same table."""
        for mine, more in ((self.unseen, other.unseen), (self.lacking, other.lacking)):
            for name, count in more.items():
                mine[name] = mine.get(name, 0) + count

    def sentences(self):
        """The counts as sentences, one for each kind."""
        for name, count in self.unseen.items():
            yield f"column {name!r}: {count} values that training did not have, taken as rare or as no level"
        for name, count in self.lacking.items():
            yield f"column {name!r}: {count} missing values, where training had none, taken as the median"
        if self.absent:
            yield f"columns that are not there, taken as missing: {', '.join(map(repr, self.absent))}"
        if self.extra:
            yield f"columns that the model does not know, not used: {', '.join(map(repr, self.extra))}"


def slots_of(column):
    """The largest number of entries of a row in the columns made from one column."""
    return 2 if isinstance(column, Number) and column.missing else 1


def workers():
    """A pool of threads for work on parts of a table, to be used as a context."""
    return ThreadPoolExecutor(min(os.cpu_count() or 1, 8))


def encode_table(used, table, sparse):
    """The matrix of an Arrow table with known columns, and `Counts` of its differences."""
    starts = range(0, table.num_rows, _BATCH)
    with workers() as pool:
        encoded = pool.map(lambda start: _encode_rows(used, table, sparse, start), starts)
        parts, new = zip(*(pair for pairs in encoded for pair in pairs), strict=True)
        counts = Counts()
        for other in new:
            counts.add(other)
        return (below_each_other(parts, pool.map) if sparse else np.concatenate(parts)), counts


def _encode_rows(used, table, sparse, start):
    """Yield the results of `encode_batch` for the rows of a table from `start` on, in one or more parts."""
    given, encoded = table.slice(start, _BATCH).combine_chunks(), []
    for batch in given.to_batches():  # several where their texts are longer than 2 GiB
        encoded.append(encode_batch(used, batch, sparse, start))
        start += batch.num_rows
    return encoded


def encode_batch(used, batch, sparse, start=0):
    """The matrix of a record batch, whose first row is number `start`, and `Counts` of its differences."""
    slots = sum(map(slots_of, used))
    places = np.empty((batch.num_rows, slots), dtype=np.int32)
    values = np.ones((batch.num_rows, slots))
    counts, columns = Counts(), dict(zip(batch.schema.names, batch.columns, strict=True))
    slot = offset = 0
    for column in used:
        given = columns.get(column.name)
        fill = _fill_number if isinstance(column, Number) else _fill_levels
        fill(column, given, places[:, slot:], values[:, slot:], offset, counts, start)
        slot += slots_of(column)
        offset += len(column.features)
    if not sparse:
        dense = np.zeros((batch.num_rows, offset))
        dense[np.arange(batch.num_rows)[:, None], places] = values
        return dense, counts
    there = values != 0
    indptr = np.concatenate([[0], np.cumsum(np.count_nonzero(there, axis=1))])
    if not there.all():
        places, values = places[there], values[there]
    arrays = (values.ravel(), places.ravel(), indptr.astype(np.int32))
    return scipy.sparse.csr_array(arrays, shape=(batch.num_rows, offset)), counts


def _fill_number(column, given, places, values, offset, counts, start):
    numbers = np.full(len(places), np.nan) if given is None else numbers_of(column.name, given, start)
    lacks = np.isnan(numbers)
    if lacks.any():
        numbers = np.where(lacks, column.median, numbers)
        if not column.missing and given is not None:
            counts.lacking[column.name] = int(lacks.sum())
    places[:, 0], values[:, 0] = offset, numbers / column.scale
    if column.missing:
        places[:, 1], values[:, 1] = offset + 1, lacks


def _fill_levels(column, given, places, values, offset, counts, start):
    last, nowhere = len(column.levels), -1
    rare = last if column.pooled else nowhere
    missing = last + bool(column.pooled) if column.missing else nowhere
    if given is None:
        where = np.full(len(places), missing)
    else:
        codes, texts = texts_of(given)
        found, empty = _found(column, texts)
        strange = int(np.count_nonzero(np.append((found < 0) & ~empty, False)[codes]))
        if strange:
            counts.unseen[column.name] = strange
        place = np.where((found < 0) | (found >= last), rare, found)
        if column.base is not None:
            place[found == len(column.known) - 1] = nowhere
        where = np.append(np.where(empty, missing, place), missing)[codes]
    places[:, 0] = offset + np.maximum(where, 0)
    values[:, 0] = where >= 0


def _found(column, texts):
    """The numbers of texts among the known ones, -1 for others; and which texts are empty."""
    import pyarrow as pa
    import pyarrow.compute as pc

    known = pa.array(column.known, texts.type)
    found = pc.index_in(texts, value_set=known).fill_null(-1).to_numpy(zero_copy_only=False)
    return found, pc.equal(texts, "").fill_null(True).to_numpy(zero_copy_only=False)
