"""Serial, nogil Numba loops over a range of rows. Importing this package imports Numba; nothing else does.

Numba keeps compiled code on disk, and takes it again when the *file* of a function is unchanged, even if a
file that it was compiled from has changed. So the cache lies in a folder named by a fingerprint of all files
here: a new version never runs old code.
"""

import contextlib
import hashlib
import os
import tempfile
from pathlib import Path

import numba

__all__ = ["drawing", "lasso", "passes", "pointwise", "rows", "softmax", "sparse"]


def _cache_folder(package=Path(__file__).parent):
    sources = b"".join(path.read_bytes() for path in sorted(package.glob("*.py")))
    fingerprint = hashlib.sha256(sources).hexdigest()[:16]
    home = numba.config.CACHE_DIR or os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return str(Path(home) / "logreg_accel" / fingerprint)


@contextlib.contextmanager
def _caching_in(folder):
    """Cache functions decorated in this context there or, if it cannot be written, for this process alone."""
    before = numba.config.CACHE_DIR
    try:
        with contextlib.suppress(OSError):
            os.makedirs(folder, exist_ok=True)
        numba.config.CACHE_DIR = (
            folder if os.access(folder, os.W_OK) else tempfile.mkdtemp(prefix="logreg_accel-")
        )
        yield
    finally:
        numba.config.CACHE_DIR = before


with _caching_in(_cache_folder()):
    from . import drawing, lasso, passes, pointwise, rows, softmax, sparse
