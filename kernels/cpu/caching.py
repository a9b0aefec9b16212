"""The cache of compiled code on disk, whose failures never end a fit.

Numba reuses compiled code as long as the *file* of a function is unchanged, even if another file that it was
compiled from has changed. So the cache is in a folder named by a fingerprint of all files here: a new version
never runs old code. If there can be no such folder, loops are compiled anew in every process.
"""

import contextlib
import hashlib
import os
import tempfile
from pathlib import Path

import numba
from numba.core.runtime import rtsys


def _cache_folder(package=Path(__file__).parent):
    """The folder's name; None if neither the environment nor the system has a home folder."""
    sources = b"".join(path.read_bytes() for path in sorted(package.glob("*.py")))
    fingerprint = hashlib.sha256(sources).hexdigest()[:16]
    try:
        home = numba.config.CACHE_DIR or os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError:
        return None
    return str(Path(home) / "logreg_accel" / fingerprint)


def _takes_files(folder):
    """Create the folder and write to it: on a full disk, empty files can still be created."""
    try:
        os.makedirs(folder, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder, buffering=0) as probe:
            return probe.write(bytes(4096)) == 4096
    except OSError:
        return False


_FOLDER = _cache_folder()
CACHE = _FOLDER is not None and _takes_files(_FOLDER)
"""Numba's option of every function here."""


@contextlib.contextmanager
def in_folder():
    """Functions that are decorated in this context are cached in the folder."""
    before = numba.config.CACHE_DIR
    try:
        numba.config.CACHE_DIR = _FOLDER or before
        yield
    finally:
        numba.config.CACHE_DIR = before


def forgive(dispatcher):
    """Make a function's cache ignore files that it cannot load, and failures to save."""
    cache = dispatcher._cache  # Numba has no public name for it
    load, save = getattr(cache, "_load_overload", cache.load_overload), cache.save_overload

    def load_overload(signature, context):
        """Load without what Numba does first: it registers all types, which takes as long as its import.

        Compiled code only needs Numba's runtime, and a compilation registers the rest by itself.
        """
        try:
            rtsys.initialize(context)
            return load(signature, context)
        except Exception:  # pickle and LLVM may raise anything for a damaged file
            with contextlib.suppress(OSError):
                cache.flush()
            return None

    def save_overload(*arguments):
        with contextlib.suppress(OSError):  # the disk may be full, or the folder removed
            save(*arguments)

    cache.load_overload, cache.save_overload = load_overload, save_overload
