"""Parquet and Feather files, read whole or in batches that take little memory beside themselves."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from .opening import head_of

_BUFFER = 1 << 16  # bytes of a column that are read at once
_PAGES = 2_300_000  # bytes of a page and a dictionary, each of which most writers limit to a megabyte


def schema_of(path, kind):
    """Names and types of the columns."""
    import pyarrow.parquet

    if kind == "parquet":
        return pyarrow.parquet.read_schema(path)
    return (_open_feather(path) or table_of(path, kind)).schema


def table_of(path, kind, columns=None):
    """All rows."""
    import pyarrow.feather
    import pyarrow.parquet

    read = pyarrow.parquet.read_table if kind == "parquet" else pyarrow.feather.read_table
    return read(path, columns=columns)


def batches_of(path, kind, columns, rows):
    """Record batches in the order of the rows; those of Parquet have at most `rows` rows."""
    import pyarrow.parquet

    if kind == "parquet":
        # With its defaults, Arrow would hold a whole compressed row group, and each thread a column.
        file = pyarrow.parquet.ParquetFile(path, buffer_size=_BUFFER, pre_buffer=False)
        return _ahead(file.iter_batches(rows, columns=columns, use_threads=False))
    file = _open_feather(path)
    if file is None:
        return table_of(path, kind, columns).to_batches()
    return (file.get_batch(i) for i in range(file.num_record_batches))


def _ahead(batches):
    """The same batches; while one of them is used, a thread decodes the next one."""
    with ThreadPoolExecutor(1, "logreg_accel-decode") as thread:
        following = thread.submit(next, batches, None)
        while (batch := following.result()) is not None:
            following = thread.submit(next, batches, None)
            yield batch
            del batch  # before the next one is waited for


def room_of(path, columns):
    """Bytes that `batches_of` takes for some columns of a Parquet file, in addition to the batches.

    Of each column, Arrow holds a page and the dictionary, compressed and decompressed.
    """
    import pyarrow.parquet

    facts, wanted, held = pyarrow.parquet.read_metadata(path), set(columns), Counter()
    for i in range(facts.num_row_groups):
        group = facts.row_group(i)
        for j in range(group.num_columns):
            chunk = group.column(j)
            name = chunk.path_in_schema.split(".")[0]
            if name in wanted:
                held[name] = max(held[name], min(2 * chunk.total_uncompressed_size, _PAGES))
    return sum(held.values())


def _open_feather(path):
    """The file; None for the first version of the format, which has no batches."""
    import pyarrow

    if head_of(path, 6) != b"ARROW1":
        return None
    return pyarrow.ipc.open_file(pyarrow.OSFile(path))
