"""Serial, nogil Numba loops over a range of rows. Importing this package imports Numba; nothing else does."""

import numba
from numba.core.dispatcher import Dispatcher

from . import caching

__all__ = [
    "checksums",
    "classes",
    "drawing",
    "dual",
    "lasso",
    "many",
    "moments",
    "passes",
    "pointwise",
    "rows",
    "softmax",
    "sparse",
]

if numba.config.DISABLE_JIT:
    raise ImportError("NUMBA_DISABLE_JIT is set, and loops that are not compiled are too slow; unset it")

with caching.in_folder():
    from . import (
        checksums,
        classes,
        drawing,
        dual,
        lasso,
        many,
        moments,
        passes,
        pointwise,
        rows,
        softmax,
        sparse,
    )

_modules = (checksums, classes, drawing, dual, lasso, many, moments, passes, pointwise, rows, softmax, sparse)
for function in {one for module in _modules for one in vars(module).values() if isinstance(one, Dispatcher)}:
    caching.forgive(function)
