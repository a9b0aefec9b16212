"""Serial, nogil Numba loops over a range of rows. Importing this package imports Numba; nothing else does.

Numba keeps compiled code on disk, and takes it again when the *file* of a function is unchanged, even if a file that
it was compiled from has changed. So the cache lies in a folder named by a fingerprint of all files here: a new
version never runs old code.
"""

import contextlib
import hashlib
import os
from pathlib import Path

import numba

__all__ = ["columns", "pointwise", "rows"]


def _cache_folder():
    sources = b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py")))
    fingerprint = hashlib.sha256(sources).hexdigest()[:16]
    home = numba.config.CACHE_DIR or os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return str(Path(home) / "logreg_accel" / fingerprint)


@contextlib.contextmanager
def _caching_in(folder):
    """Functions decorated in this context are cached there, or where Numba finds best if it cannot be written."""
    before = numba.config.CACHE_DIR
    try:
        with contextlib.suppress(OSError):
            os.makedirs(folder, exist_ok=True)
            if os.access(folder, os.W_OK):
                numba.config.CACHE_DIR = folder
        yield
    finally:
        numba.config.CACHE_DIR = before


with _caching_in(_cache_folder()):
    from . import columns, pointwise, rows
