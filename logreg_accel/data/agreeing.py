"""Whether the chunks of a source have the same columns and types."""

import numpy as np

from .compressed import CompressedRows
from .matrix import Matrix
from .sparse import as_csr


def like_first(chunk, where, first):
    """Return the chunk with its columns in the order of the first one's; raise ValueError for others."""
    origin, like = first
    if (chunk.names is None) != (like.names is None):
        raise ValueError(
            f"{where!r} has columns {'with' if chunk.names else 'without'} names, unlike {origin!r}."
        )
    if chunk.names and chunk.names != like.names:
        missing = [name for name in like.names if name not in chunk.names]
        extra = [name for name in chunk.names if name not in like.names]
        if missing or extra:
            told = [
                f"{what} {', '.join(map(repr, of[:5]))}"
                for what, of in (("lacks", missing), ("adds", extra))
                if of
            ]
            raise ValueError(
                f"{where!r} has other columns than {origin!r}: it {' and '.join(told)}. `features` names "
                "those to take."
            )
        order = [chunk.names.index(name) for name in like.names]
        types = tuple(chunk.types[j] for j in order) if len(chunk.types) > 1 else chunk.types
        chunk = chunk._replace(X=chunk.X[:, order], names=like.names, types=types)
    if not like.open_ended and chunk.X.shape[1:] != like.X.shape[1:]:
        raise ValueError(
            f"{where!r} has {chunk.X.shape[1]} columns, where {origin!r} has {like.X.shape[1]}; expected "
            "as many."
        )
    if chunk.types and like.types and chunk.types != like.types:
        j = next(j for j, (a, b) in enumerate(zip(chunk.types, like.types, strict=False)) if a != b)
        name = f"in column {chunk.names[j]!r}" if chunk.names and len(chunk.types) > 1 else "as numbers"
        raise ValueError(
            f"{where!r} has {chunk.types[j]} {name}, where {origin!r} has {like.types[j]}; expected one "
            "type in all shards: cast it where they are written."
        )
    if hasattr(chunk.X, "tocsr") != hasattr(like.X, "tocsr"):
        raise ValueError(
            f"{where!r} is {'sparse' if hasattr(chunk.X, 'tocsr') else 'dense'}, unlike {origin!r}."
        )
    for name in ("y", "weight"):
        if (
            (getattr(chunk, name) is None) != (getattr(like, name) is None)
            and chunk.X.shape[0]
            and like.X.shape[0]
        ):
            raise ValueError(
                f"{where!r} has {'no' if getattr(chunk, name) is None else 'a'} {_CALLED[name]}, unlike "
                f"{origin!r}."
            )
    return chunk


_CALLED = {"y": "target", "weight": "weight"}


def check_shapes(chunk, where, start):
    """Raise ValueError for labels or weights that are not one per row."""
    if chunk.X.ndim != 2:
        raise ValueError(f"{where!r} has X of shape {chunk.X.shape}; expected two dimensions.")
    m = chunk.X.shape[0]
    for name in ("y", "weight"):
        one = getattr(chunk, name)
        if m and one is not None and one.shape != (m,):
            raise ValueError(
                f"{where!r}, from row {start} on: {m} rows of X and a {_CALLED[name]} of shape "
                f"{one.shape}; expected one per row."
            )


def check_rows(chunk, where, start, labelled):
    """Raise ValueError for rows that cannot be used."""
    if not all(chunk.X.shape):
        return
    if labelled and chunk.y is None:
        raise ValueError(
            f"{where!r} has no labels; `target` names their column, and chunks are pairs (X, y)."
        )
    found = matrix_of(chunk.X).first_nonfinite()
    if found is not None:
        row, column, kind = found
        column = repr(chunk.names[column]) if chunk.names else column
        raise ValueError(
            f"{where!r} contains {kind} at row {start + row}, column {column}. NaN and inf cannot be "
            "fitted; drop those rows or impute them."
        )


def matrix_of(X):
    """The Matrix of a chunk."""
    return CompressedRows(as_csr(X)) if hasattr(X, "tocsr") and X.shape[1] else Matrix(np.asarray(X))
