"""Where compiled code is kept on disk, and that this never ends a fit.

Numba takes compiled code again when the *file* of a function is unchanged, even if a file that it was
compiled from has changed. So the cache lies in a folder named by a fingerprint of all files here: a new
version never runs old code. Where there is no such folder, loops are compiled anew in every process.
"""

import contextlib
import hashlib
import os
import tempfile
from pathlib import Path

import numba
from numba.core.runtime import rtsys


def _cache_folder(package=Path(__file__).parent):
    """The folder's name; None where neither the environment nor the system knows a home."""
    sources = b"".join(path.read_bytes() for path in sorted(package.glob("*.py")))
    fingerprint = hashlib.sha256(sources).hexdigest()[:16]
    try:
        home = numba.config.CACHE_DIR or os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError:
        return None
    return str(Path(home) / "logreg_accel" / fingerprint)


def _takes_files(folder):
    """Create the folder and try it: a full disk still takes empty files."""
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
    """Have a function's cache load what it can and save what it can."""
    cache = dispatcher._cache  # Numba has no public name for it
    load, save = getattr(cache, "_load_overload", cache.load_overload), cache.save_overload

    def load_overload(signature, context):
        """Numba's own first learns all that may be compiled, which takes as long as its import does.

        Code that was compiled needs Numba's runtime alone, and a compilation learns the rest by itself.
        """
        try:
            rtsys.initialize(context)
            return load(signature, context)
        except Exception:  # of a damaged file: whatever pickle or LLVM makes of it
            with contextlib.suppress(OSError):
                cache.flush()
            return None

    def save_overload(*arguments):
        with contextlib.suppress(OSError):  # the disk is full by now, or the folder is gone
            save(*arguments)

    cache.load_overload, cache.save_overload = load_overload, save_overload
